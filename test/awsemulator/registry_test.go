package awsemulator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	gcrtypes "github.com/google/go-containerregistry/pkg/v1/types"

	"imagecache.dev/test/awsemulator"
)

func login(password string) remote.Option {
	return remote.WithAuth(&authn.Basic{Username: "AWS", Password: password})
}

func repository(t *testing.T, s *awsemulator.Server, repo string) name.Repository {
	t.Helper()
	r, err := name.NewRepository(s.RegistryHost()+"/"+repo, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// distribution asks the registry without a client that would hide anything.
func distribution(t *testing.T, s *awsemulator.Server, method, path, password string, body io.Reader, header ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, s.URL()+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if password != "" {
		req.SetBasicAuth("AWS", password)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	return res, string(must(io.ReadAll(res.Body)))
}

// distributionCode is the error code in a registry's answer.
func distributionCode(body string) string {
	var e struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal([]byte(body), &e) != nil || len(e.Errors) == 0 {
		return ""
	}
	return e.Errors[0].Code
}

// https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html
func TestRegistryAsksForAPassword(t *testing.T) {
	clock := awsemulator.FrozenClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	s := start(t, awsemulator.Options{Clock: clock})
	good := password(t, root(t, s))
	for _, tc := range []struct {
		name, password string
		status         int
	}{
		{"none", "", http.StatusUnauthorized},
		{"wrong", "guess", http.StatusUnauthorized},
		{"good", good, http.StatusOK},
	} {
		res, _ := distribution(t, s, "GET", "/v2/", tc.password, nil)
		if res.StatusCode != tc.status {
			t.Errorf("%s: %d, want %d", tc.name, res.StatusCode, tc.status)
		}
		if challenge := res.Header.Get("Www-Authenticate"); tc.status == http.StatusUnauthorized && !strings.HasPrefix(challenge, "Basic realm=") {
			t.Errorf("%s: challenge %q", tc.name, challenge)
		}
	}
	if got := s.IssuedPasswords(); len(got) != 1 || got[0] != good {
		t.Errorf("%d passwords issued, want the one", len(got))
	}
	clock.Advance(12 * time.Hour)
	if res, body := distribution(t, s, "GET", "/v2/", good, nil); res.StatusCode != http.StatusForbidden || distributionCode(body) != "DENIED" {
		t.Errorf("after 12 hours: %d %s", res.StatusCode, body)
	}
}

// Docker and OCI manifests come back as the bytes that went in.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-manifest-formats.html
func TestRegistryStoresBothManifestFormatsAndIndexes(t *testing.T) {
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	createRepository(t, c, "app")
	auth, repo := login(password(t, c)), repository(t, s, "app")
	docker := must(random.Image(400_000, 2)) // larger than what is kept in memory
	oci := mutate.ConfigMediaType(mutate.MediaType(docker, gcrtypes.OCIManifestSchema1), gcrtypes.OCIConfigJSON)
	for tag, img := range map[string]v1.Image{"docker": docker, "oci": oci} {
		if err := remote.Write(repo.Tag(tag), img, auth); err != nil {
			t.Fatal(err)
		}
		got, err := remote.Image(repo.Tag(tag), auth)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(must(img.RawManifest())), string(must(got.RawManifest()))); diff != "" {
			t.Errorf("%s: %s", tag, diff)
		}
		want := must(must(img.Layers())[0].Compressed())
		have := must(must(got.Layers())[0].Compressed())
		if !bytes.Equal(must(io.ReadAll(want)), must(io.ReadAll(have))) {
			t.Errorf("%s: the layer is not what was pushed", tag)
		}
		_, _ = want.Close(), have.Close()
	}
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: oci})
	if err := remote.WriteIndex(repo.Tag("index"), index, auth); err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Index(repo.Tag("index"), auth); err != nil {
		t.Fatal(err)
	}
	tags := must(remote.List(repo, auth))
	if diff := cmp.Diff([]string{"docker", "index", "oci"}, tags); diff != "" {
		t.Error(diff)
	}
}

// The registry and the API are two doors to one store.
func TestRegistryAndAPIShareOneStore(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	createRepository(t, c, "app")
	pw := password(t, c)
	m := pushImage(t, s, c, "app", "v1")
	res, body := distribution(t, s, "GET", "/v2/app/manifests/v1", pw, nil)
	if res.StatusCode != http.StatusOK || body != m || res.Header.Get("Docker-Content-Digest") != digestOf(m) || res.Header.Get("Content-Type") != ociManifestType {
		t.Errorf("manifest by the registry: %d %s", res.StatusCode, body)
	}
	if res, _ := distribution(t, s, "HEAD", "/v2/app/blobs/"+digestOf("layer of v1"), pw, nil); res.StatusCode != http.StatusOK || res.ContentLength != int64(len("layer of v1")) {
		t.Errorf("layer by the registry: %d, %d bytes", res.StatusCode, res.ContentLength)
	}
	res, _ = distribution(t, s, "GET", "/v2/app/blobs/"+digestOf("layer of v1"), pw, nil)
	if res.StatusCode != http.StatusTemporaryRedirect {
		t.Errorf("layer: %d, want a redirect as to S3", res.StatusCode)
	}
	second := manifestOf("config of v1", "layer of v1", "second")
	res, body = distribution(t, s, "PUT", "/v2/app/manifests/v2", pw, strings.NewReader(second), "Content-Type", ociManifestType)
	if res.StatusCode != http.StatusCreated {
		t.Errorf("put by the registry: %d %s", res.StatusCode, body)
	}
	if n := len(must(c.ecr.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("app")})).ImageDetails); n != 2 {
		t.Errorf("%d images by the API, want 2", n)
	}
}

// https://docs.aws.amazon.com/AmazonECR/latest/userguide/common-errors-docker.html
// That the same image under the same immutable tag is refused too: https://github.com/aws/containers-roadmap/issues/2179
func TestRegistryErrors(t *testing.T) {
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	createRepository(t, c, "app")
	setMutability(t, c, "app", types.ImageTagMutabilityImmutable)
	pw := password(t, c)
	m := pushImage(t, s, c, "app", "v1")
	uploadLayer(t, c, "app", "unreferenced")
	for _, tc := range []struct {
		name, method, path, body string
		status                   int
		code                     string
	}{
		{"unknown repository", "GET", "/v2/none/manifests/v1", "", 404, "NAME_UNKNOWN"},
		{"unknown tag", "GET", "/v2/app/manifests/none", "", 404, "MANIFEST_UNKNOWN"},
		{"unknown layer", "GET", "/v2/app/blobs/" + digestOf("none"), "", 404, "BLOB_UNKNOWN"},
		{"layer that no image names", "GET", "/v2/app/blobs/" + digestOf("unreferenced"), "", 404, "BLOB_UNKNOWN"},
		{"immutable tag", "PUT", "/v2/app/manifests/v1", manifestOf("config of v1", "layer of v1", "x"), 400, "TAG_INVALID"},
		{"immutable tag, the same image", "PUT", "/v2/app/manifests/v1", m, 400, "TAG_INVALID"},
		{"missing layer", "PUT", "/v2/app/manifests/v2", manifestOf("no", "where", ""), 404, "BLOB_UNKNOWN"},
		{"wrong digest", "PUT", "/v2/app/manifests/" + digestOf("x"), m, 400, "DIGEST_INVALID"},
		{"broken manifest", "PUT", "/v2/app/manifests/v2", "{", 400, "MANIFEST_INVALID"},
		{"unknown upload", "PATCH", "/v2/app/blobs/uploads/none", "x", 404, "BLOB_UPLOAD_UNKNOWN"},
		{"deletion of a layer", "DELETE", "/v2/app/blobs/" + digestOf("unreferenced"), "", 405, "UNSUPPORTED"},
		{"deletion of an unknown image", "DELETE", "/v2/app/manifests/none", "", 404, "MANIFEST_UNKNOWN"},
		{"catalog", "POST", "/v2/_catalog", "", 405, "UNSUPPORTED"},
		{"page of the catalog", "GET", "/v2/_catalog?n=1001", "", 400, "UNSUPPORTED"},
		{"bad range", "GET", "/v2/app/tags/list?n=1001", "", 400, "UNSUPPORTED"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res, body := distribution(t, s, tc.method, tc.path, pw, strings.NewReader(tc.body), "Content-Type", ociManifestType)
			if res.StatusCode != tc.status || distributionCode(body) != tc.code {
				t.Errorf("%d %s, want %d %s", res.StatusCode, body, tc.status, tc.code)
			}
		})
	}
}

// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-a-blob-in-chunks
func TestRegistryUploadsInChunksAndResumes(t *testing.T) {
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	createRepository(t, c, "app")
	pw := password(t, c)
	res, _ := distribution(t, s, "POST", "/v2/app/blobs/uploads/", pw, nil)
	where := res.Header.Get("Location")
	if res.StatusCode != http.StatusAccepted || where == "" {
		t.Fatalf("start: %d %q", res.StatusCode, where)
	}
	res, _ = distribution(t, s, "PATCH", where, pw, strings.NewReader("hello "), "Content-Range", "0-5")
	if res.StatusCode != http.StatusCreated || res.Header.Get("Range") != "0-5" {
		t.Errorf("first part: %d, range %q", res.StatusCode, res.Header.Get("Range"))
	}
	if res, body := distribution(t, s, "PATCH", where, pw, strings.NewReader("x"), "Content-Range", "3-3"); res.StatusCode != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("a part out of order: %d %s", res.StatusCode, body)
	}
	if res, body := distribution(t, s, "PATCH", where, pw, strings.NewReader("hello"), "Content-Range", "0-4"); !strings.Contains(body, "First byte of the layer part is 0 instead of 6") {
		t.Errorf("a part that begins before the last byte: %d, %s", res.StatusCode, body)
	}
	if res, _ := distribution(t, s, "GET", where, pw, nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("status: %d", res.StatusCode)
	}
	res, body := distribution(t, s, "PUT", where+"?digest="+digestOf("hello world"), pw, strings.NewReader("world"))
	if res.StatusCode != http.StatusCreated {
		t.Errorf("finish: %d %s", res.StatusCode, body)
	}
	res, _ = distribution(t, s, "POST", "/v2/app/blobs/uploads/?mount="+digestOf("hello world")+"&from=other", pw, nil)
	if res.StatusCode != http.StatusAccepted {
		t.Errorf("mount: %d, want an upload to begin: ECR does not mount by default", res.StatusCode)
	}
	if res, _ := distribution(t, s, "DELETE", res.Header.Get("Location"), pw, nil); res.StatusCode != http.StatusNoContent {
		t.Errorf("cancel: %d", res.StatusCode)
	}
}

// Every request of the registry is authorised as the action that ECR maps it to, with the rights of who asked for the password.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html
func TestRegistryPasswordHasTheRightsOfItsSession(t *testing.T) {
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true})
	c := root(t, s)
	createRepository(t, c, "app")
	m := pushImage(t, s, c, "app", "v1")
	full := role(t, s, "full", allow(`"ecr:*"`, "*"))
	open := func(action string) func(pw string) int {
		return func(pw string) int {
			var method, path, body string
			switch action {
			case "ecr:BatchGetImage":
				method, path = "GET", "/v2/app/manifests/v1"
			case "ecr:GetDownloadUrlForLayer":
				method, path = "GET", "/v2/app/blobs/"+digestOf("layer of v1")
			case "ecr:BatchCheckLayerAvailability":
				method, path = "HEAD", "/v2/app/blobs/"+digestOf("layer of v1")
			case "ecr:InitiateLayerUpload":
				method, path = "POST", "/v2/app/blobs/uploads/"
			case "ecr:PutImage":
				method, path, body = "PUT", "/v2/app/manifests/v1", m
			case "ecr:ListImages":
				method, path = "GET", "/v2/app/tags/list"
			}
			res, _ := distribution(t, s, method, path, pw, strings.NewReader(body), "Content-Type", ociManifestType)
			return res.StatusCode
		}
	}
	for _, action := range []string{"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:ListImages"} {
		with := assume(t, s, c, &sts.AssumeRoleInput{RoleArn: &full, Policy: aws.String(allow(`"ecr:GetAuthorizationToken","`+action+`"`, "*"))})
		if status := open(action)(password(t, with)); status >= 400 {
			t.Errorf("%s allowed: %d", action, status)
		}
		without := assume(t, s, c, &sts.AssumeRoleInput{RoleArn: &full, Policy: aws.String(
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"},{"Effect":"Deny","Action":"` + action + `","Resource":"*"}]}`)})
		if status := open(action)(password(t, without)); status != http.StatusForbidden {
			t.Errorf("%s denied: %d, want 403", action, status)
		}
	}
}

// Upload rights are three actions, each for its own requests.
func TestRegistryUploadNeedsEachOfItsActions(t *testing.T) {
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true})
	c := root(t, s)
	createRepository(t, c, "app")
	full := role(t, s, "full", allow(`"ecr:*"`, "*"))
	session := func(actions string) string {
		return password(t, assume(t, s, c, &sts.AssumeRoleInput{RoleArn: &full, Policy: aws.String(allow(`"ecr:GetAuthorizationToken",`+actions, "*"))}))
	}
	initiate, part, all := session(`"ecr:InitiateLayerUpload"`), session(`"ecr:InitiateLayerUpload","ecr:UploadLayerPart"`), session(`"ecr:InitiateLayerUpload","ecr:UploadLayerPart","ecr:CompleteLayerUpload"`)
	res, _ := distribution(t, s, "POST", "/v2/app/blobs/uploads/", initiate, nil)
	where := res.Header.Get("Location")
	if res, _ := distribution(t, s, "PATCH", where, initiate, strings.NewReader("x")); res.StatusCode != http.StatusForbidden {
		t.Errorf("part without UploadLayerPart: %d", res.StatusCode)
	}
	if res, _ := distribution(t, s, "PATCH", where, part, strings.NewReader("x")); res.StatusCode != http.StatusCreated {
		t.Errorf("part: %d", res.StatusCode)
	}
	if res, _ := distribution(t, s, "PUT", where+"?digest="+digestOf("x"), part, nil); res.StatusCode != http.StatusForbidden {
		t.Errorf("finish without CompleteLayerUpload: %d", res.StatusCode)
	}
	if res, _ := distribution(t, s, "PUT", where+"?digest="+digestOf("x"), all, nil); res.StatusCode != http.StatusCreated {
		t.Errorf("finish: %d", res.StatusCode)
	}
}

// The switch that stands for the check "a password beyond its session".
func TestPasswordAndItsSession(t *testing.T) {
	for _, outlives := range []bool{false, true} {
		t.Run(fmt.Sprintf("outlives=%v", outlives), func(t *testing.T) {
			clock := awsemulator.FrozenClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
			s := start(t, awsemulator.Options{Clock: clock, RootMayAssumeRoles: true, PasswordOutlivesSession: outlives})
			c := root(t, s)
			createRepository(t, c, "app")
			pushImage(t, s, c, "app", "v1")
			arn := role(t, s, "pull", allow(`"ecr:*"`, "*"))
			pw := password(t, assume(t, s, c, &sts.AssumeRoleInput{RoleArn: &arn, DurationSeconds: aws.Int32(900)}))
			get := func() int {
				res, _ := distribution(t, s, "GET", "/v2/app/manifests/v1", pw, nil)
				return res.StatusCode
			}
			if got := get(); got != http.StatusOK {
				t.Fatalf("within the session: %d", got)
			}
			clock.Advance(15 * time.Minute)
			want := http.StatusForbidden
			if outlives {
				want = http.StatusOK
			}
			if got := get(); got != want {
				t.Errorf("after the session: %d, want %d", got, want)
			}
			// The rights are those of the role as it is, not as it was: taking them away stops the password at once.
			if _, err := c.iam.DeleteRolePolicy(context.Background(), &iam.DeleteRolePolicyInput{RoleName: aws.String("pull"), PolicyName: aws.String("rights")}); err != nil {
				t.Fatal(err)
			}
			if got := get(); got != http.StatusForbidden {
				t.Errorf("after the role lost its policy: %d", got)
			}
		})
	}
}

// A session's deadline in a session policy: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-currenttime
func TestPasswordStopsAtTheDeadlineOfItsSessionPolicy(t *testing.T) {
	clock := awsemulator.FrozenClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	s := start(t, awsemulator.Options{Clock: clock, RootMayAssumeRoles: true, PasswordOutlivesSession: true})
	c := root(t, s)
	createRepository(t, c, "app")
	pushImage(t, s, c, "app", "v1")
	arn := role(t, s, "pull", allow(`"ecr:*"`, "*"))
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"2026-03-01T12:05:00Z"}}}]}`
	pw := password(t, assume(t, s, c, &sts.AssumeRoleInput{RoleArn: &arn, Policy: &policy}))
	for _, tc := range []struct {
		after time.Duration
		want  int
	}{{4 * time.Minute, http.StatusOK}, {time.Minute, http.StatusForbidden}} {
		clock.Advance(tc.after)
		if res, _ := distribution(t, s, "GET", "/v2/app/manifests/v1", pw, nil); res.StatusCode != tc.want {
			t.Errorf("at %v: %d, want %d", clock.Now(), res.StatusCode, tc.want)
		}
	}
}
