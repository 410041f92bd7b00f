// Package clients checks with programs of others what the cache publishes.
package clients

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"k8s.io/utils/clock"

	"imagecache.dev/internal/attestation"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/internal/imagelabel"
	"imagecache.dev/internal/lru"
	"imagecache.dev/internal/provenance"
	"imagecache.dev/test/awsemulator"
	"imagecache.dev/test/signedimage"
	"imagecache.dev/test/testimage"
)

// program returns the path of a program that make test-clients builds, and skips the test without it.
func program(t *testing.T, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		t.Skipf("%s is not set: make test-clients builds the program and runs this test", variable)
	}
	return path
}

// world is an account with an immutable repository, and a folder that is a client's home.
type world struct {
	t          *testing.T
	account    *awsemulator.Server
	clients    *aws.Clients
	images     *ecr.Images
	repository name.Repository
	home       string
}

const repositoryName = "gitpod-runner-r1/projects/p1/image-build"

func newWorld(t *testing.T) *world {
	t.Helper()
	account, err := awsemulator.Start(awsemulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = account.Close() }) // the test is over
	for variable, value := range map[string]string{
		"AWS_ENDPOINT_URL": account.URL(), "AWS_REGION": account.Region(), "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_ACCESS_KEY_ID": account.AccessKeyID(), "AWS_SECRET_ACCESS_KEY": account.SecretAccessKey(), "AWS_SESSION_TOKEN": "",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	} {
		t.Setenv(variable, value)
	}
	provider, err := aws.NewProvider(t.Context(), aws.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, account: account, clients: provider.Clients(aws.Target{Region: account.Region()}), home: t.TempDir()}
	w.images = ecr.NewImages(w.clients, clock.RealClock{}, lru.NewBudget(1<<20))
	if _, err := ecr.NewRepositories(w.clients).Create(t.Context(), repositoryName, "", nil); err != nil {
		t.Fatal(err)
	}
	if w.repository, err = name.NewRepository(account.RegistryHost()+"/"+repositoryName, name.Insecure); err != nil {
		t.Fatal(err)
	}
	w.login()
	return w
}

// login writes the registry's password where clients look for it.
func (w *world) login() {
	w.t.Helper()
	content, err := json.Marshal(map[string]any{"auths": map[string]any{w.account.RegistryHost(): map[string]string{"auth": w.password()}}})
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.home, "config.json"), content, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) password() string {
	w.t.Helper()
	root := awsecr.New(awsecr.Options{
		Region: w.account.Region(), BaseEndpoint: awssdk.String(w.account.URL()),
		Credentials: credentials.NewStaticCredentialsProvider(w.account.AccessKeyID(), w.account.SecretAccessKey(), ""),
	})
	out, err := root.GetAuthorizationToken(w.t.Context(), &awsecr.GetAuthorizationTokenInput{})
	if err != nil {
		w.t.Fatal(err)
	}
	return *out.AuthorizationData[0].AuthorizationToken
}

// run runs a client, and returns all that it printed.
func (w *world) run(args ...string) (string, error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 4*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, args[0], args[1:]...)
	command.Dir = w.home
	command.Env = append(os.Environ(), "HOME="+w.home, "DOCKER_CONFIG="+w.home, "SIGSTORE_NO_CACHE=true")
	out, err := command.CombinedOutput()
	return string(out), err
}

// published puts an image as the controller does: signed in its manifest. It returns the image's record and digest.
func (w *world) published(signer provenance.Signer, tag string) (*provenance.Record, attestation.Subject) {
	w.t.Helper()
	image := testimage.Random(w.t, 500, 2, func(config *v1.ConfigFile) {
		config.Config.Labels = map[string]string{imagelabel.Hash: tag, imagelabel.Version: "1", imagelabel.UID: "uid-1"}
	})
	arn := "arn:aws:ecr:" + w.account.Region() + ":" + w.account.AccountID() + ":repository/" + repositoryName
	claims, err := signedimage.Claims(image, arn)
	if err != nil {
		w.t.Fatal(err)
	}
	signed, err := signedimage.Sign(w.t.Context(), image, signer, claims)
	if err != nil {
		w.t.Fatal(err)
	}
	auth := remote.WithAuth(authn.FromConfig(authn.AuthConfig{Auth: w.password()}))
	if err := remote.Write(w.repository.Tag(tag), signed, auth); err != nil {
		w.t.Fatal(err)
	}
	digest, err := signed.Digest()
	if err != nil {
		w.t.Fatal(err)
	}
	manifest, mediaType, err := w.images.Manifest(w.t.Context(), repositoryName, digest.String())
	if err != nil || manifest == nil {
		w.t.Fatalf("the image is not found: %v", err)
	}
	verified, err := provenance.NewVerifier(signer.Key()).Read(manifest, digest.String())
	if err != nil {
		w.t.Fatal(err)
	}
	record, err := verified.Record(manifest)
	if err != nil {
		w.t.Fatal(err)
	}
	return record, attestation.Subject{MediaType: mediaType, Digest: digest.String(), SizeBytes: len(manifest)}
}

// attach attaches a statement about about to subject, as the controller does with the same image.
func (w *world) attach(signer provenance.Signer, record *provenance.Record, about string, subject attestation.Subject) {
	w.t.Helper()
	statement, err := provenance.ForManifest(record, w.repository.Name(), about)
	if err != nil {
		w.t.Fatal(err)
	}
	envelope, err := provenance.Sign(w.t.Context(), signer, statement)
	if err != nil {
		w.t.Fatal(err)
	}
	bundle, err := attestation.NewBundle(envelope)
	if err != nil {
		w.t.Fatal(err)
	}
	referrer, err := bundle.Referrer(subject, time.Now())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, blob := range [][]byte{attestation.Empty, bundle.Content} {
		if _, err := w.images.Upload(w.t.Context(), repositoryName, blob); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := w.images.PutReferrer(w.t.Context(), repositoryName, referrer, attestation.ManifestType); err != nil {
		w.t.Fatal(err)
	}
}

func newKey(t *testing.T, file string) *provenance.PrivateKey {
	t.Helper()
	key, err := provenance.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(key.Key().PEM()), 0o600); err != nil {
		t.Fatal(err)
	}
	return key
}

// verify runs the command of docs/provenance.md.
func (w *world) verify(cosign, key, digest string) (string, error) {
	return w.run(cosign, "verify-attestation", "--key", key, "--type", "slsaprovenance1", "--insecure-ignore-tlog=true",
		"--allow-insecure-registry=true", w.repository.Name()+"@"+digest)
}

func TestCosignVerifiesWhatIsAttached(t *testing.T) {
	cosign := program(t, "IMAGECACHE_COSIGN")
	w := newWorld(t)
	ours, theirs := newKey(t, filepath.Join(w.home, "cache.pub")), newKey(t, filepath.Join(w.home, "other.pub"))
	record, subject := w.published(ours, strings.Repeat("a", 64))
	if out, err := w.verify(cosign, "cache.pub", subject.Digest); err == nil {
		t.Errorf("cosign verifies an image to which nothing is attached:\n%s", out)
	}
	w.attach(ours, record, subject.Digest, subject)
	out, err := w.verify(cosign, "cache.pub", subject.Digest)
	if err != nil {
		t.Fatalf("cosign does not verify what is attached: %v\n%s", err, out)
	}
	if statement := statementIn(t, out); statement.PredicateType != "https://slsa.dev/provenance/v1" || statement.Predicate.RunDetails.Builder.ID != provenance.BuilderID {
		t.Errorf("cosign prints another statement: %+v", statement)
	}
	if out, err := w.verify(cosign, "other.pub", subject.Digest); err == nil {
		t.Errorf("cosign verifies with another key:\n%s", out)
	}

	// A statement about another image, attached to this one, and one of a foreign key.
	record, other := w.published(ours, strings.Repeat("b", 64))
	w.attach(ours, record, subject.Digest, other)
	w.attach(theirs, record, other.Digest, other)
	if out, err := w.verify(cosign, "cache.pub", other.Digest); err == nil {
		t.Errorf("cosign takes another image's statement, or another key's:\n%s", out)
	}
}

type statement struct {
	PredicateType string
	Predicate     struct {
		RunDetails struct{ Builder struct{ ID string } }
	}
}

// statementIn reads the statement in the envelope that cosign prints last.
func statementIn(t *testing.T, output string) statement {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(output), "\n")
	var envelope struct{ Payload string }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &envelope); err != nil {
		t.Fatalf("cosign prints no envelope: %v\n%s", err, output)
	}
	payload, err := base64.StdEncoding.DecodeString(envelope.Payload)
	if err != nil {
		t.Fatal(err)
	}
	var s statement
	if err := json.NewDecoder(bytes.NewReader(payload)).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestCommandsOfTheDocumentationVerifyTheAnnotation runs the commands of docs/provenance.md that need nothing of this
// project, with the key that signed and with another.
func TestCommandsOfTheDocumentationVerifyTheAnnotation(t *testing.T) {
	crane := program(t, "IMAGECACHE_CRANE")
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "provenance.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, commands, _ := strings.Cut(string(page), "```sh\n")
	commands, _, _ = strings.Cut(commands, "```")
	if !strings.Contains(commands, "openssl dgst") {
		t.Fatalf("docs/provenance.md begins with other commands:\n%s", commands)
	}
	w := newWorld(t)
	ours := newKey(t, filepath.Join(w.home, "imagecache.pub"))
	record, subject := w.published(ours, strings.Repeat("a", 64))
	verify := func() (string, error) {
		reference := w.repository.Name() + "@" + subject.Digest
		return w.run("env", "REFERENCE="+reference, "PATH="+filepath.Dir(crane)+":"+os.Getenv("PATH"), "bash", "-euo", "pipefail", "-c", commands)
	}
	out, err := verify()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, unsigned, _ := strings.Cut(record.UnsignedManifest, ":")
	if want := "Verified OK\n" + unsigned + "\n" + unsigned + "\n"; !strings.HasPrefix(out, want) || !strings.Contains(out, strings.Repeat("a", 64)) {
		t.Errorf("the commands print\n%s\nwant\n%s", out, want)
	}
	newKey(t, filepath.Join(w.home, "imagecache.pub"))
	if out, err := verify(); err == nil {
		t.Errorf("they verify with another key:\n%s", out)
	}
}

func TestOrasDiscoversWhatIsAttached(t *testing.T) {
	oras := program(t, "IMAGECACHE_ORAS")
	w := newWorld(t)
	key := newKey(t, filepath.Join(w.home, "cache.pub"))
	record, subject := w.published(key, strings.Repeat("a", 64))
	w.attach(key, record, subject.Digest, subject)
	out, err := w.run(oras, "discover", "--plain-http", "--format", "json", w.repository.Name()+"@"+subject.Digest)
	if err != nil {
		t.Fatalf("oras discover: %v\n%s", err, out)
	}
	for _, want := range []string{attestation.BundleType, "https://slsa.dev/provenance/v1", key.Key().ID} {
		if !strings.Contains(out, want) {
			t.Errorf("oras discover does not show %s:\n%s", want, out)
		}
	}
	tags, err := w.run(oras, "repo", "tags", "--plain-http", w.repository.Name())
	if err != nil || strings.TrimSpace(tags) != strings.Repeat("a", 64) {
		t.Errorf("tags %q, %v; want only the image's", tags, err)
	}
	// A second referrer does not need a tag that can't be moved.
	if err := os.WriteFile(filepath.Join(w.home, "note"), []byte("note"), 0o600); err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		if out, err := w.run(oras, "attach", "--plain-http", "--artifact-type", fmt.Sprint("text/note", n), w.repository.Name()+"@"+subject.Digest, "note:text/plain"); err != nil {
			t.Errorf("oras attach: %v\n%s", err, out)
		}
	}
}
