package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/cli"
	"imagecache.dev/internal/imagelabel"
	"imagecache.dev/internal/provenance"
	"imagecache.dev/test/signedimage"
	"imagecache.dev/test/testimage"
	"imagecache.dev/test/testregistry"
)

const verifiedARN = "arn:aws:ecr:eu-central-1:123456789012:repository/gitpod-runner-r/projects/p/image-build"

// signedWorld is a cluster with the project web, and its registry with an image that a key signed, under firstHash, and
// one without a signature, under brokenHash.
func signedWorld(t *testing.T) (key *provenance.PrivateKey, reference string) {
	t.Helper()
	key, err := provenance.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	host := testregistry.Start(t, nil)
	repository := testregistry.Repository(t, host)
	for _, hash := range []string{firstHash, brokenHash} {
		image := testimage.Random(t, 100, 2, func(config *v1.ConfigFile) {
			config.Config.Labels = map[string]string{imagelabel.Hash: hash, imagelabel.UID: "uid-7"}
		})
		if hash == firstHash {
			claims, err := signedimage.Claims(image, verifiedARN)
			if err != nil {
				t.Fatal(err)
			}
			build := provenance.Build{
				Version: "v0.4.0", Cluster: "cluster-1", Namespace: testNamespace, Project: "web", Request: "env-1-4f3c21a9-a",
				StartedAt: time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC), FinishedAt: time.Date(2026, 3, 14, 12, 4, 5, 0, time.UTC),
				Stated: provenance.Stated{Environment: "env-1", KeyCoverage: "Complete", BuildSeconds: 225, Inputs: []provenance.Input{
					{Name: "devcontainer.json", Digest: "sha256:" + strings.Repeat("1", 64)}, {Name: "BuildContext \x1b[31mred", Digest: "sha256:" + strings.Repeat("2", 64)},
				}},
			}
			if image, err = signedimage.SignRecord(t.Context(), image, key, &provenance.Record{Claims: claims, Build: build}); err != nil {
				t.Fatal(err)
			}
		}
		if err := remote.Write(repository.Tag(hash), image); err != nil {
			t.Fatal(err)
		}
	}
	published := []v1alpha1.SigningKey{{ID: key.Key().ID, Use: v1alpha1.KeySigns, PublicKey: key.Key().PEM()}}
	newAPIServer(t,
		&v1alpha1.RunnerImageCache{ObjectMeta: metav1.ObjectMeta{Name: "demo"}, Status: v1alpha1.RunnerImageCacheStatus{SigningKeys: published}},
		&v1alpha1.RunnerImageCache{ObjectMeta: metav1.ObjectMeta{Name: "old"}},
		&v1alpha1.ProjectImageCache{
			ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: v1alpha1.ProjectImageCacheSpec{RunnerRef: v1alpha1.RunnerReference{Name: "demo"}, ProjectID: "p"},
			Status: v1alpha1.ProjectImageCacheStatus{Repository: &v1alpha1.RepositoryStatus{Name: "p", ARN: verifiedARN, URI: repository.Name()}},
		},
		&v1alpha1.ProjectImageCache{
			ObjectMeta: metav1.ObjectMeta{Name: "of-another"}, Spec: v1alpha1.ProjectImageCacheSpec{RunnerRef: v1alpha1.RunnerReference{Name: "demo"}, ProjectID: "q"},
			Status: v1alpha1.ProjectImageCacheStatus{Repository: &v1alpha1.RepositoryStatus{Name: "q", ARN: verifiedARN + "2", URI: repository.Name()}},
		},
		&v1alpha1.ProjectImageCache{
			ObjectMeta: metav1.ObjectMeta{Name: "of-old"}, Spec: v1alpha1.ProjectImageCacheSpec{RunnerRef: v1alpha1.RunnerReference{Name: "old"}, ProjectID: "o"},
			Status: v1alpha1.ProjectImageCacheStatus{Repository: &v1alpha1.RepositoryStatus{Name: "o", ARN: verifiedARN, URI: repository.Name()}},
		},
	)
	return key, repository.Name()
}

func TestVerifyTellsHowAnImageCameAbout(t *testing.T) {
	key, repository := signedWorld(t)
	other, err := provenance.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ours, theirs, bad := file("ours.pub", key.Key().PEM()), file("theirs.pub", other.Key().PEM()), file("bad.pub", "x")
	for name, test := range map[string]struct {
		args []string
		code int
		want string // in what is printed
	}{
		"by project and hash":      {[]string{"web", firstHash}, cli.ExitSuccess, "holds, by key " + key.Key().ShortID()},
		"by reference and key":     {[]string{repository + ":" + firstHash, "--key", ours}, cli.ExitSuccess, "Started:               2026-03-14T12:00:00Z"},
		"by several keys":          {[]string{repository + ":" + firstHash, "--key", theirs, "--key", ours}, cli.ExitSuccess, "environment env-1, a build of 3m45s, key coverage Complete"},
		"inputs":                   {[]string{"web", firstHash}, cli.ExitSuccess, "sha256:" + strings.Repeat("1", 64) + " devcontainer.json"},
		"unsigned":                 {[]string{"web", brokenHash}, cli.ExitFailed, "is not verified: the image has no signature"},
		"by another key":           {[]string{repository + ":" + firstHash, "--key", theirs}, cli.ExitFailed, "not from a key that is known"},
		"of another repository":    {[]string{"of-another", firstHash}, cli.ExitFailed, "the signature is for another image: its repository is"},
		"of an old controller":     {[]string{"of-old", firstHash}, cli.ExitFailed, "has no signing keys in its status"},
		"no image of that hash":    {[]string{"web", strings.Repeat("0", 64)}, cli.ExitFailed, "verify image: read image"},
		"a file without a key":     {[]string{repository + ":" + firstHash, "--key", bad}, cli.ExitFailed, "bad.pub: the content is not a public key in PEM form"},
		"a reference without keys": {[]string{repository + ":" + firstHash}, cli.ExitUsage, "give a project and a hash, or an image's reference with --key FILE"},
		"a project with a key":     {[]string{"web", firstHash, "--key", ours}, cli.ExitUsage, "--key is for an image's reference"},
		"nothing":                  {nil, cli.ExitUsage, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			code := execute(t.Context(), cli.Streams{In: strings.NewReader(""), Out: &out, Err: &out}, append([]string{"imagecache", "verify"}, test.args...))
			if code != test.code || !strings.Contains(out.String(), test.want) {
				t.Errorf("exit code %d, want %d and %q in:\n%s", code, test.code, test.want, out.String())
			}
			if strings.Contains(out.String(), "\x1b") {
				t.Errorf("a name of an input reaches the terminal as it is: %q", out.String())
			}
		})
	}
}

func TestVerifyTellsPrograms(t *testing.T) {
	key, _ := signedWorld(t)
	for hash, verified := range map[string]bool{firstHash: true, brokenHash: false} {
		var out bytes.Buffer
		code := execute(t.Context(), cli.Streams{In: strings.NewReader(""), Out: &out, Err: &out}, []string{"imagecache", "verify", "web", hash, "-o", "json"})
		var got struct {
			Verified                                    bool
			Problem, KeyID, Hash, RequestUID, StartedAt string
			StatedByRunner                              struct{ Inputs []provenance.Input }
		}
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatalf("%v in %s", err, out.String())
		}
		if got.Verified != verified || (code == cli.ExitSuccess) != verified || (got.Problem == "") != verified {
			t.Errorf("exit code %d, %+v", code, got)
		}
		if verified && (got.KeyID != key.Key().ID || got.Hash != hash || got.RequestUID != "uid-7" || got.StartedAt != "2026-03-14T12:00:00Z" || len(got.StatedByRunner.Inputs) != 2) {
			t.Errorf("got %+v", got)
		}
	}
}
