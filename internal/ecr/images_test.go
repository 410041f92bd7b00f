package ecr_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"

	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/internal/lru"
	"imagecache.dev/test/awsemulator"
)

const repository = "gitpod-runner-r1/projects/p1/image-build"

// account is an emulated account with one repository.
type account struct {
	*awsemulator.Server
	clients *aws.Clients
	images  *ecr.Images
}

func start(t *testing.T, options awsemulator.Options) *account {
	t.Helper()
	server, err := awsemulator.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() }) // the test is over
	for variable, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL(), "AWS_REGION": server.Region(), "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
		"AWS_ACCESS_KEY_ID": server.AccessKeyID(), "AWS_SECRET_ACCESS_KEY": server.SecretAccessKey(),
	} {
		t.Setenv(variable, value)
	}
	provider, err := aws.NewProvider(t.Context(), aws.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a := &account{Server: server, clients: provider.Clients(aws.Target{Region: server.Region()})}
	a.images = ecr.NewImages(a.clients, testClock{}, lru.NewBudget(32<<20))
	if _, err := ecr.NewRepositories(a.clients).Create(t.Context(), repository, "", nil); err != nil {
		t.Fatal(err)
	}
	return a
}

// upload uploads an image's blobs and returns its manifest and media type.
func (a *account) upload(t *testing.T, image v1.Image) (manifest []byte, mediaType string) {
	t.Helper()
	reference, err := name.NewRepository(a.RegistryHost()+"/"+repository, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	out, err := a.clients.ECR.GetAuthorizationToken(t.Context(), &awsecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	auth := remote.WithAuth(authn.FromConfig(authn.AuthConfig{Auth: *out.AuthorizationData[0].AuthorizationToken}))
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	config, err := remoteConfig(image)
	if err != nil {
		t.Fatal(err)
	}
	for _, layer := range append(layers, config) {
		if err := remote.WriteLayer(reference, layer, auth); err != nil {
			t.Fatal(err)
		}
	}
	if manifest, err = image.RawManifest(); err != nil {
		t.Fatal(err)
	}
	kind, err := image.MediaType()
	if err != nil {
		t.Fatal(err)
	}
	return manifest, string(kind)
}

func (a *account) publish(t *testing.T, tag string) (v1.Image, []byte) {
	t.Helper()
	image, err := random.Image(500, 1)
	if err != nil {
		t.Fatal(err)
	}
	manifest, mediaType := a.upload(t, image)
	if err := a.images.Put(t.Context(), repository, tag, manifest, mediaType); err != nil {
		t.Fatal(err)
	}
	return image, manifest
}

func TestFindReturnsTheImageOrNothing(t *testing.T) {
	a := start(t, awsemulator.Options{})
	image, manifest := a.publish(t, "here")
	found, err := a.images.Find(t.Context(), repository, "here")
	if err != nil || found == nil {
		t.Fatalf("Find = %v, %v; want the image", found, err)
	}
	config, err := image.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if string(found.Manifest) != string(manifest) || string(found.Config) != string(config) || found.ConfigErr != nil {
		t.Errorf("manifest, configuration or its error %v differ from what was published", found.ConfigErr)
	}
	if found.PushedAt.IsZero() || found.SizeBytes == 0 || found.Archived {
		t.Errorf("pushed at %s, %d bytes, archived %v; want facts of an active image", found.PushedAt, found.SizeBytes, found.Archived)
	}
	if absent, err := a.images.Find(t.Context(), repository, "absent"); absent != nil || err != nil {
		t.Errorf("Find of an absent tag = %v, %v; want nothing and no error", absent, err)
	}
	if _, err := a.images.Find(t.Context(), "gitpod-runner-r1/projects/none/image-build", "x"); aws.ClassOf(err) != aws.ClassNotFound {
		t.Errorf("Find in no repository = %v, want class NotFound", err)
	}
}

func TestFindAsksEachTimeWhetherTheImageIsThere(t *testing.T) {
	a := start(t, awsemulator.Options{})
	a.publish(t, "here")
	for range 2 {
		if found, err := a.images.Find(t.Context(), repository, "here"); found == nil || err != nil {
			t.Fatalf("Find = %v, %v", found, err)
		}
	}
	if n := a.Calls().Count("ecr:DescribeImages"); n != 1 {
		t.Errorf("%d DescribeImages for two lookups of one digest, want 1", n)
	}
	found, err := a.images.Find(t.Context(), repository, "here")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.images.Delete(t.Context(), repository, found.Digest); err != nil {
		t.Fatal(err)
	}
	if err := a.images.Delete(t.Context(), repository, found.Digest); err != nil {
		t.Errorf("deleting what is gone: %v", err)
	}
	if again, err := a.images.Find(t.Context(), repository, "here"); again != nil || err != nil {
		t.Errorf("Find of a deleted image = %v, %v; want nothing", again, err)
	}
}

func TestRememberedFactsAreNotReadAgain(t *testing.T) {
	a := start(t, awsemulator.Options{})
	image, manifest := a.publish(t, "here")
	config, err := image.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	a.images.Remember(repository, ecr.Image{Digest: digest.String(), Manifest: manifest, Config: config, PushedAt: time.Now()})
	a.Calls().Reset()
	if found, err := a.images.Find(t.Context(), repository, "here"); found == nil || err != nil {
		t.Fatalf("Find = %v, %v", found, err)
	}
	if n := a.Calls().Total(); n != 1 {
		t.Errorf("%d calls for a remembered image, want 1: %v", n, a.Calls().Counts())
	}
}

func TestLookupsThatComeTogetherAreOneCall(t *testing.T) {
	a := start(t, awsemulator.Options{})
	a.publish(t, "tag-0")
	a.Calls().Reset()
	var group sync.WaitGroup
	errs := make(chan error, 1000)
	for n := range 1000 {
		group.Go(func() {
			tag := fmt.Sprintf("tag-%d", n%50)
			found, err := a.images.Find(context.Background(), repository, tag)
			if err == nil && (found != nil) != (tag == "tag-0") {
				err = fmt.Errorf("tag %s: found %v", tag, found)
			}
			if err != nil {
				errs <- err
			}
		})
	}
	group.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	if n := a.Calls().Total(); n > 30 {
		t.Errorf("%d calls for 1,000 lookups at once, want 30 at most: %v", n, a.Calls().Counts())
	}
}

func TestOneCallerLeavingDoesNotEndTheOthersLookup(t *testing.T) {
	a := start(t, awsemulator.Options{})
	a.publish(t, "here")
	a.Faults().Add(awsemulator.Fault{Operation: "ecr:BatchGetImage", Latency: 300 * time.Millisecond})
	impatient, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var group sync.WaitGroup
	group.Go(func() {
		if _, err := a.images.Find(impatient, repository, "here"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the impatient caller gets %v, want its own deadline", err)
		}
	})
	group.Go(func() {
		if found, err := a.images.Find(context.Background(), repository, "here"); found == nil || err != nil {
			t.Errorf("the patient caller gets %v, %v; want the image", found, err)
		}
	})
	group.Wait()
}

func TestPutSaysWhatItsCallerCanActOn(t *testing.T) {
	a := start(t, awsemulator.Options{})
	_, manifest := a.publish(t, "here")
	mediaType := "application/vnd.docker.distribution.manifest.v2+json"
	if err := a.images.Put(t.Context(), repository, "here", manifest, mediaType); !errors.Is(err, ecr.ErrTagTaken) {
		t.Errorf("the same image again: %v, want ErrTagTaken", err)
	}
	other, err := random.Image(500, 1)
	if err != nil {
		t.Fatal(err)
	}
	otherManifest, _ := a.upload(t, other)
	if err := a.images.Put(t.Context(), repository, "here", otherManifest, mediaType); !errors.Is(err, ecr.ErrTagTaken) {
		t.Errorf("another image under the tag: %v, want ErrTagTaken", err)
	}
	absent, err := random.Image(500, 1)
	if err != nil {
		t.Fatal(err)
	}
	absentManifest, err := absent.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	var missing *ecr.LayersMissingError
	if err := a.images.Put(t.Context(), repository, "new", absentManifest, mediaType); !errors.As(err, &missing) {
		t.Errorf("an image without its layers: %v, want *LayersMissingError", err)
	} else if len(missing.Digests) == 0 {
		t.Error("no digest of a missing layer is named")
	}
	var rejected *ecr.ManifestRejectedError
	if err := a.images.Put(t.Context(), repository, "new", []byte(`{"schemaVersion":7}`), mediaType); !errors.As(err, &rejected) {
		t.Errorf("no manifest at all: %v, want *ManifestRejectedError", err)
	}
}

func TestMissingBlobsGoesByHundreds(t *testing.T) {
	a := start(t, awsemulator.Options{})
	image, _ := a.publish(t, "here")
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	present, err := layers[0].Digest()
	if err != nil {
		t.Fatal(err)
	}
	digests := []string{present.String()}
	for n := range 150 {
		digests = append(digests, fmt.Sprintf("sha256:%064x", n))
	}
	a.Calls().Reset()
	missing, err := a.images.MissingBlobs(t.Context(), repository, digests)
	if err != nil {
		t.Fatal(err)
	}
	if len(missing) != 150 || strings.Join(missing, " ") != strings.Join(digests[1:], " ") {
		t.Errorf("%d missing, want the 150 that are, in their order", len(missing))
	}
	if n := a.Calls().Count("ecr:BatchCheckLayerAvailability"); n != 2 {
		t.Errorf("%d calls for 151 digests, want 2", n)
	}
}

func TestUnreadableConfigurationIsToldAndNotRemembered(t *testing.T) {
	a := start(t, awsemulator.Options{})
	a.publish(t, "here")
	a.Faults().Add(awsemulator.Fault{Operation: "ecr:GetDownloadUrlForLayer", Code: "ServerException", Status: http.StatusInternalServerError, Next: 3})
	found, err := a.images.Find(t.Context(), repository, "here")
	if err != nil || found == nil || found.ConfigErr == nil {
		t.Fatalf("Find = %v, %v; want the image with the error of its configuration", found, err)
	}
	found, err = a.images.Find(t.Context(), repository, "here")
	if err != nil || found == nil || found.ConfigErr != nil || len(found.Config) == 0 {
		t.Errorf("once it is readable, Find = %v, %v; want it whole", found, err)
	}
}

func TestListGoesByPages(t *testing.T) {
	a := start(t, awsemulator.Options{})
	for n := range 3 {
		a.publish(t, fmt.Sprintf("tag-%d", n))
	}
	images, err := a.images.List(t.Context(), repository)
	if err != nil || len(images) != 3 {
		t.Fatalf("List = %d images, %v; want 3", len(images), err)
	}
	for _, image := range images {
		if len(image.Tags) != 1 || image.SizeBytes == 0 {
			t.Errorf("image %s has tags %v and %d bytes", image.Digest, image.Tags, image.SizeBytes)
		}
	}
}

func TestInventoryCostsPagesAndNotRepositories(t *testing.T) {
	a := start(t, awsemulator.Options{})
	repositories := ecr.NewRepositories(a.clients)
	tags := map[string]string{"imagecache.dev/owner": "o"}
	for n := range 1000 {
		if _, err := repositories.Create(t.Context(), fmt.Sprintf("gitpod-runner-r1/projects/n%d/image-build", n), "", tags); err != nil {
			t.Fatal(err)
		}
	}
	a.Calls().Reset()
	inventory := ecr.NewInventory(a.clients, "gitpod-runner-", "imagecache.dev/owner", testClock{}, lru.NewBudget(1<<20))
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			if err := inventory.Fresh(context.Background(), time.Minute); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := a.Calls().Total(); n > 20 {
		t.Errorf("%d calls to read 1,001 repositories with their tags, want 20 at most: %v", n, a.Calls().Counts())
	}
	shown := inventory.Get("gitpod-runner-r1/projects/n999/image-build")
	if shown == nil || shown.MutableTags != "" || shown.Tags["imagecache.dev/owner"] != "o" {
		t.Errorf("the inventory shows %+v", shown)
	}
	if untagged := inventory.Get(repository); untagged == nil || len(untagged.Tags) != 0 {
		t.Errorf("of the repository without the owner's tag it shows %+v", untagged)
	}
	inventory.Forget(repository)
	if inventory.Get(repository) != nil {
		t.Error("what was forgotten is still shown")
	}
}

// testClock is the machine's clock.
type testClock struct{}

func (testClock) Now() time.Time                  { return time.Now() }
func (testClock) Since(t time.Time) time.Duration { return time.Since(t) }

func TestLifecyclePoliciesAreComparedAsJSON(t *testing.T) {
	for name, test := range map[string]struct {
		other string
		want  bool
	}{
		"the same":            {ecr.LifecyclePolicy(30), true},
		"other spaces":        {strings.ReplaceAll(ecr.LifecyclePolicy(30), ",", ", "), true},
		"another description": {strings.Replace(ecr.LifecyclePolicy(30), "imagecache:", "note:", 1), true},
		"another age":         {ecr.LifecyclePolicy(31), false},
		"none":                {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ecr.SameLifecyclePolicy(ecr.LifecyclePolicy(30), test.other); got != test.want {
				t.Errorf("SameLifecyclePolicy = %v, want %v", got, test.want)
			}
		})
	}
}

func TestRepositoryIsDescribedAsItWasMade(t *testing.T) {
	a := start(t, awsemulator.Options{})
	repositories := ecr.NewRepositories(a.clients)
	const other = "gitpod-runner-r1/projects/p2/image-build"
	made, err := repositories.Create(t.Context(), other, "", map[string]string{"a": "b"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := repositories.Create(t.Context(), other, "", nil); !errors.Is(err, ecr.ErrRepositoryExists) {
		t.Errorf("a second Create: %v, want ErrRepositoryExists", err)
	}
	found, err := repositories.Describe(t.Context(), other)
	if err != nil || found == nil || found.ARN != made.ARN || found.MutableTags != "" || found.Tags["a"] != "b" {
		t.Errorf("Describe = %+v, %v; want what was made", found, err)
	}
	if err := repositories.Delete(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if err := repositories.Delete(t.Context(), other); err != nil {
		t.Errorf("deleting what is gone: %v", err)
	}
	if found, err := repositories.Describe(t.Context(), other); found != nil || err != nil {
		t.Errorf("Describe of what is gone = %v, %v; want nothing", found, err)
	}
}

// remoteConfig is an image's configuration as a layer that can be uploaded.
func remoteConfig(image v1.Image) (v1.Layer, error) {
	content, err := image.RawConfigFile()
	if err != nil {
		return nil, err
	}
	return static.NewLayer(content, "application/vnd.docker.container.image.v1+json"), nil
}
