package envtest

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	registrytypes "github.com/google/go-containerregistry/pkg/v1/types"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers"
	"imagecache.dev/internal/imagelabel"
	"imagecache.dev/test/awsemulator"
)

// timedHarness is a world whose controllers' clock stands still until the test moves it.
func timedHarness(t *testing.T) (*harness, *clocktesting.FakePassiveClock) {
	t.Helper()
	clock := clocktesting.NewFakePassiveClock(time.Now())
	return newHarness(t, func(_ *awsemulator.Options, s *controllers.Settings) { s.Clock = clock }), clock
}

// pass moves the clocks of controllers and AWS together.
func (h *harness) pass(clock *clocktesting.FakePassiveClock, time time.Duration) {
	clock.SetTime(clock.Now().Add(time))
	h.aws.Clock().Advance(time)
}

// root is ECR as the account's root user, who is the controller in these worlds.
func (h *harness) root() *ecr.Client {
	return ecr.NewFromConfig(awssdk.Config{
		Region: h.aws.Region(), BaseEndpoint: awssdk.String(h.aws.URL()),
		Credentials: credentials.NewStaticCredentialsProvider(h.aws.AccessKeyID(), h.aws.SecretAccessKey(), ""),
	})
}

func (h *harness) rootAuth() remote.Option {
	h.t.Helper()
	out, err := h.root().GetAuthorizationToken(h.ctx, &ecr.GetAuthorizationTokenInput{})
	h.Expect(err).NotTo(HaveOccurred())
	decoded, err := base64.StdEncoding.DecodeString(*out.AuthorizationData[0].AuthorizationToken)
	h.Expect(err).NotTo(HaveOccurred())
	user, password, _ := strings.Cut(string(decoded), ":")
	return remote.WithAuth(authn.FromConfig(authn.AuthConfig{Username: user, Password: password}))
}

// tags are the digests of a repository's images by tag.
func (h *harness) tags(repository string) map[string]string {
	h.t.Helper()
	out, err := h.root().DescribeImages(h.ctx, &ecr.DescribeImagesInput{RepositoryName: &repository})
	h.Expect(err).NotTo(HaveOccurred())
	tags := map[string]string{}
	for _, image := range out.ImageDetails {
		for _, tag := range image.ImageTags {
			tags[tag] = *image.ImageDigest
		}
	}
	return tags
}

// repositoryName is the repository of the request's answer, without its host.
func (e *environment) repositoryName() string { return e.repository().RepositoryStr() }

// builder asks for a hash and waits until it is to build it.
func (h *harness) builder(project, id, hash string, edit ...func(*v1.ConfigFile)) *environment {
	h.t.Helper()
	e := h.ask(project, id, hash)
	e.role(v1alpha1.RoleBuilder)
	e.build(edit...)
	return e
}

// change edits JSON.
func change(t *testing.T, content []byte, edit func(map[string]any)) string {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal(content, &object); err != nil {
		t.Fatal(err)
	}
	edit(object)
	changed, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(changed)
}

func TestEveryRejectionHasItsReason(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	h.project("strict", "demo", func(s *v1alpha1.ProjectImageCacheSpec) { s.KeyCoverage = v1alpha1.KeyCoverageRequireComplete })
	layer := func(edit func(map[string]any)) func(map[string]any) {
		return func(m map[string]any) { edit(m["layers"].([]any)[0].(map[string]any)) }
	}
	for name, test := range map[string]struct {
		project  string
		image    func(*v1.ConfigFile)
		manifest func(map[string]any)
		report   map[string]any
		want     string
	}{
		"another digest":         {manifest: func(m map[string]any) { m["config"].(map[string]any)["digest"] = "sha256:" + hashOf("x") }, want: v1alpha1.ReasonConfigDigestMismatch},
		"an index":               {manifest: func(m map[string]any) { m["manifests"] = []any{} }, want: v1alpha1.ReasonIndexNotSupported},
		"no manifest":            {manifest: func(m map[string]any) { m["schemaVersion"] = 1 }, want: v1alpha1.ReasonManifestInvalid},
		"another media type":     {manifest: layer(func(l map[string]any) { l["mediaType"] = "text/plain" }), want: v1alpha1.ReasonMediaTypeNotSupported},
		"a layer from elsewhere": {manifest: layer(func(l map[string]any) { l["urls"] = []string{"https://registry.example/x"} }), want: v1alpha1.ReasonForeignLayer},
		"over a bound":           {manifest: layer(func(l map[string]any) { l["size"] = int64(52001) << 20 }), want: v1alpha1.ReasonTooLarge},
		"another platform":       {image: func(c *v1.ConfigFile) { c.Architecture = "arm64" }, want: v1alpha1.ReasonWrongPlatform},
		"another version":        {image: func(c *v1.ConfigFile) { c.Config.Labels[imagelabel.Version] = "999" }, want: v1alpha1.ReasonLabelMismatch},
		"another hash":           {image: func(c *v1.ConfigFile) { c.Config.Labels[imagelabel.Hash] = hashOf("y") }, want: v1alpha1.ReasonLabelMismatch},
		"no build time":          {image: func(c *v1.ConfigFile) { delete(c.Config.Labels, imagelabel.BuildSeconds) }, want: v1alpha1.ReasonLabelMismatch},
		"an incomplete key":      {project: "strict", report: map[string]any{"keyCoverage": "Incomplete"}, want: v1alpha1.ReasonKeyIncomplete},
		"values of the runner":   {report: map[string]any{"keyCoverage": "EnvironmentValues"}, want: v1alpha1.ReasonSecretsInBuild},
	} {
		t.Run(name, func(t *testing.T) {
			h := h.in(t)
			project := test.project
			if project == "" {
				project = "shop"
			}
			edits := []func(*v1.ConfigFile){}
			if test.image != nil {
				edits = append(edits, test.image)
			}
			id := strings.ReplaceAll(name, " ", "-")
			e := h.builder(project, id, hashOf(name), edits...)
			manifest, err := e.image.RawManifest()
			h.Expect(err).NotTo(HaveOccurred())
			config, err := e.image.RawConfigFile()
			h.Expect(err).NotTo(HaveOccurred())
			text := string(manifest)
			if test.manifest != nil {
				text = change(t, manifest, test.manifest)
			}
			report := map[string]any{"outcome": "Succeeded", "manifest": text, "config": string(config), "durationSeconds": 1, "keyCoverage": "Complete"}
			for key, value := range test.report {
				report[key] = value
			}
			e.patch(map[string]any{"build": report})
			e.reason(e.request, v1alpha1.ConditionPublished, test.want)
			e.finished()
			condition := meta.FindStatusCondition(e.request.Status.Conditions, v1alpha1.ConditionPublished)
			h.Expect(condition.Status).To(Equal(metav1.ConditionFalse))
			h.Expect(condition.Message).NotTo(BeEmpty())
			h.Expect(e.request.Status.PushCredentials).To(BeNil(), "a report that is rejected brings no upload rights")
			h.ready(e.request)
			// The hash is free again.
			next := h.ask(project, id+"-next", hashOf(name))
			next.role(v1alpha1.RoleBuilder)
		})
	}
	h.Expect(h.aws.Calls().Count("ecr:PutImage")).To(BeZero())
}

// in is the same world in the hands of a subtest.
func (h *harness) in(t *testing.T) *harness {
	t.Helper()
	inner := *h
	inner.WithT, inner.t, inner.ctx = NewWithT(t), t, t.Context()
	inner.SetDefaultEventuallyTimeout(patience)
	inner.SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	return &inner
}

func TestManifestThatECRRefusesIsRejectedForGood(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	h.aws.Faults().Add(awsemulator.Fault{Operation: "ecr:PutImage", Code: "InvalidParameterException", Message: "Invalid parameter at 'imageManifest'"})
	e := h.builder("shop", "e-1", hashOf("a"))
	e.report()
	e.upload()
	e.reason(e.request, v1alpha1.ConditionPublished, v1alpha1.ReasonManifestRejected)
	e.finished()
	h.Expect(h.aws.Calls().Count("ecr:PutImage")).To(Equal(1))
	h.Expect(h.secrets(v1alpha1.CredentialsPush)).To(BeEmpty())
}

func TestUploadThatTakesTooLongEndsTheRequest(t *testing.T) {
	h, clock := timedHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	e := h.builder("shop", "e-1", hashOf("a"))
	e.report()
	e.granted()
	clock.SetTime(clock.Now().Add(16 * time.Minute))
	e.renew()
	e.patch(map[string]any{"uploadAttempt": 1})
	e.reason(e.request, v1alpha1.ConditionPublished, v1alpha1.ReasonUploadTimedOut)
	e.finished()
	h.condition(e.request, v1alpha1.ConditionPushCredentialsRemoved, metav1.ConditionTrue)
	h.Expect(h.secrets(v1alpha1.CredentialsPush)).To(BeEmpty())
}

func TestReportAfterTheLeaseRanOutIsNotPublished(t *testing.T) {
	h, clock := timedHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	late := h.builder("shop", "late", hashOf("a"))
	waiter := h.ask("shop", "waiter", hashOf("a"))
	waiter.role(v1alpha1.RoleWaiter)
	clock.SetTime(clock.Now().Add(time.Minute))
	late.report()
	late.reason(late.request, v1alpha1.ConditionPublished, v1alpha1.ReasonNotBuilder)
	waiter.publish()
	h.Expect(h.aws.Calls().Count("ecr:PutImage")).To(Equal(1))
	h.Expect(h.secrets(v1alpha1.CredentialsPush)).To(BeEmpty())
}

func TestWaiterThatDidNotWaitIsNotPublished(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	builder := h.builder("shop", "builder", hashOf("a"))
	waiter := h.ask("shop", "waiter", hashOf("a"))
	waiter.role(v1alpha1.RoleWaiter)
	waiter.build()
	waiter.report()
	waiter.reason(waiter.request, v1alpha1.ConditionPublished, v1alpha1.ReasonNotBuilder)
	builder.report()
	builder.upload()
	builder.reason(builder.request, v1alpha1.ConditionPublished, v1alpha1.ReasonPublished)
	h.Expect(h.aws.Calls().Count("ecr:PutImage")).To(Equal(1))
}

func TestLayersThatVanishBeforeThePublicationAreAskedForAgain(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	e := h.builder("shop", "e-1", hashOf("a"))
	e.report()
	e.granted()
	checks := h.aws.Calls().Count("ecr:BatchCheckLayerAvailability")
	h.aws.Faults().Add(awsemulator.Fault{Operation: "ecr:PutImage", Latency: 500 * time.Millisecond, Next: 1})
	asked := len(e.request.Status.MissingLayers)
	e.upload()
	h.Eventually(func() int { return h.aws.Calls().Count("ecr:BatchCheckLayerAvailability") }).Should(BeNumerically(">", checks+asked), "the controller saw all layers")
	h.Expect(h.aws.VanishLayers(e.repositoryName())).To(Equal(asked))
	h.Eventually(func() int32 { _ = h.refresh(e.request); return ptr.Deref(e.request.Status.ObservedUploadAttempt, 0) }).Should(BeEquivalentTo(1))
	h.Expect(e.request.Status.MissingLayers).To(HaveLen(asked))
	e.upload()
	e.reason(e.request, v1alpha1.ConditionPublished, v1alpha1.ReasonPublished)
	h.Expect(h.aws.Calls().Count("sts:AssumeRole")).To(BeNumerically("<=", 4), "the rights of the first grant still serve")
}

func TestUploadsResume(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	e := h.builder("shop", "e-1", hashOf("a"))
	e.report()
	e.granted()
	missing := e.request.Status.MissingLayers
	h.Expect(missing).To(HaveLen(3), "configuration and two layers")
	digest, err := v1.NewHash(missing[1])
	h.Expect(err).NotTo(HaveOccurred())
	layer, err := e.image.LayerByDigest(digest)
	h.Expect(err).NotTo(HaveOccurred())
	h.Expect(remote.WriteLayer(e.repository(), layer, e.credentials(e.request.Status.PushCredentials.SecretName))).To(Succeed())
	e.patch(map[string]any{"uploadAttempt": 1})
	h.Eventually(func() []string { _ = h.refresh(e.request); return e.request.Status.MissingLayers }).Should(Equal([]string{missing[0], missing[2]}))
	e.upload()
	e.reason(e.request, v1alpha1.ConditionPublished, v1alpha1.ReasonPublished)

	// What is there already is not asked for: the next image of the same layers uploads its configuration alone.
	layers, err := e.image.Layers()
	h.Expect(err).NotTo(HaveOccurred())
	next := h.ask("shop", "e-2", hashOf("b"))
	next.role(v1alpha1.RoleBuilder)
	next.buildOf(layers)
	next.report()
	next.granted()
	h.Expect(next.request.Status.MissingLayers).To(HaveLen(1))
}

// TestReportInDockersFormatIsPublishedAsOCI is for runners of before: their manifests are in Docker's format.
func TestReportInDockersFormatIsPublishedAsOCI(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	e := h.builder("shop", "e-1", hashOf("a"))
	report := e.reportPatch()
	build := report["build"].(map[string]any)
	build["manifest"] = strings.NewReplacer(
		string(registrytypes.OCIManifestSchema1), string(registrytypes.DockerManifestSchema2),
		string(registrytypes.OCIConfigJSON), string(registrytypes.DockerConfigJSON),
		string(registrytypes.OCILayer), string(registrytypes.DockerLayer),
	).Replace(build["manifest"].(string))
	e.patch(report)
	e.upload()
	e.reason(e.request, v1alpha1.ConditionPublished, v1alpha1.ReasonPublished)
	hit := h.ask("shop", "e-2", hashOf("a"))
	hit.answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
	pulled, err := hit.pull().Manifest()
	h.Expect(err).NotTo(HaveOccurred())
	want, err := e.image.Manifest()
	h.Expect(err).NotTo(HaveOccurred())
	h.Expect(pulled.Annotations).To(HaveKey(imagelabel.Provenance))
	pulled.Annotations = want.Annotations
	h.Expect(pulled).To(Equal(want))
}

// TestImageOfAVersionWithoutSignaturesIsReplaced is for images that were published before.
func TestImageOfAVersionWithoutSignaturesIsReplaced(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	e := h.builder("shop", "e-1", hashOf("a"))
	old := mutate.ConfigMediaType(mutate.MediaType(e.image, registrytypes.DockerManifestSchema2), registrytypes.DockerConfigJSON)
	e.putByAnother(old)
	e.patch(map[string]any{"build": map[string]any{"outcome": "Failed", "message": "no", "durationSeconds": 1}})
	miss := h.ask("shop", "e-2", hashOf("a"))
	miss.answered(v1alpha1.CacheMiss, v1alpha1.ReasonNotVerified)
	h.Expect(miss.request.Status.Explanation).To(Equal("the image under this hash is not used: the image has no signature"))
	miss.publish()
	h.ask("shop", "e-3", hashOf("a")).answered(v1alpha1.CacheHit, v1alpha1.ReasonImageFound)
}

// putByAnother puts an image under the request's hash as another cluster's controller does.
func (e *environment) putByAnother(image v1.Image) string {
	e.t.Helper()
	reference := e.repository().Tag(e.request.Status.ConfigHash)
	e.Expect(remote.Write(reference, image, e.rootAuth())).To(Succeed())
	digest, err := image.Digest()
	e.Expect(err).NotTo(HaveOccurred())
	return digest.String()
}

func TestTagThatAnotherTookIsAdopted(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	loser := h.builder("shop", "loser", hashOf("a"))
	loser.report()
	loser.granted()
	winner := *loser
	winner.build(func(c *v1.ConfigFile) {
		c.Config.Labels[imagelabel.UID], c.Config.Labels[imagelabel.Environment] = "another", "winner"
	})
	project := &v1alpha1.ProjectImageCache{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
	h.Expect(h.refresh(project)).To(Succeed())
	digest := winner.putByAnother(h.signed(winner.image, project.Status.Repository.ARN))
	loser.upload()
	loser.reason(loser.request, v1alpha1.ConditionPublished, v1alpha1.ReasonAdopted)
	h.Expect(h.aws.Calls().Errors("ecr:PutImage")).To(Equal(1), "ImageTagAlreadyExistsException")
	h.Expect(loser.request.Status.Image.Digest).To(Equal(digest))
	h.Expect(loser.pull().Digest()).To(HaveField("Hex", strings.TrimPrefix(digest, "sha256:")))
	h.Expect(h.secrets(v1alpha1.CredentialsPush)).To(BeEmpty())
}

func TestImageThatIsThereAlreadyIsOurs(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	e := h.builder("shop", "e-1", hashOf("a"))
	e.report()
	e.granted()
	h.aws.Faults().Add(awsemulator.Fault{Operation: "ecr:PutImage", DropConnection: true, AfterEffect: true, Next: 1})
	e.upload()
	e.reason(e.request, v1alpha1.ConditionPublished, v1alpha1.ReasonPublished)
	refused := map[string]int{}
	for _, call := range h.aws.Calls().All() {
		if call.Operation == "ecr:PutImage" {
			refused[call.ErrorCode]++
		}
	}
	h.Expect(refused).To(HaveKeyWithValue("ImageAlreadyExistsException", 1))
}

func TestForeignImageUnderAHashIsReplaced(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	e := h.builder("shop", "e-1", hashOf("a"))
	e.report()
	e.granted()
	foreign := *e
	foreign.build(func(c *v1.ConfigFile) { c.Config.Labels = nil })
	foreign.putByAnother(foreign.image)
	e.upload()
	e.reason(e.request, v1alpha1.ConditionPublished, v1alpha1.ReasonPublished)
	h.Expect(h.tags(e.repositoryName())).To(Equal(map[string]string{hashOf("a"): e.isPublished()}))
}

// TestDamagedImageIsReplaced loses the configuration of a published image, as no repository should.
func TestDamagedImageIsReplaced(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	first := h.ask("shop", "e-1", hashOf("a"))
	first.publish()
	config, err := first.image.ConfigName()
	h.Expect(err).NotTo(HaveOccurred())
	h.stop()
	h.Expect(h.aws.LoseLayer(first.repositoryName(), config.String())).To(BeTrue())
	h.startManager()
	second := h.ask("shop", "e-2", hashOf("a"))
	second.answered(v1alpha1.CacheMiss, v1alpha1.ReasonNotVerified)
	second.publish()
}

// TestPublicationIsOneCall counts what the publication of an uploaded image costs.
func TestPublicationIsOneCall(t *testing.T) {
	h := newHarness(t)
	h.runner("demo")
	h.project("shop", "demo")
	e := h.builder("shop", "e-1", hashOf("a"))
	e.report()
	e.upload()
	e.reason(e.request, v1alpha1.ConditionPublished, v1alpha1.ReasonPublished)
	e.finished()
	var writes []string
	for _, call := range h.aws.Calls().All() {
		switch call.Operation {
		case "ecr:PutImage", "ecr:BatchDeleteImage", "ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload":
			if call.Protocol == "json" { // the runner's uploads go through the registry
				writes = append(writes, call.Operation)
			}
		}
	}
	h.Expect(writes).To(Equal([]string{"ecr:PutImage"}))
	e.isPublished()
}

// buildOf makes an image of its own out of layers that are there.
func (e *environment) buildOf(layers []v1.Layer) {
	e.t.Helper()
	e.build()
	config, err := e.image.ConfigFile()
	e.Expect(err).NotTo(HaveOccurred())
	config = config.DeepCopy()
	config.RootFS.DiffIDs, config.History = nil, nil
	image, err := mutate.AppendLayers(empty.Image, layers...)
	e.Expect(err).NotTo(HaveOccurred())
	made, err := image.ConfigFile()
	e.Expect(err).NotTo(HaveOccurred())
	config.RootFS, config.History = made.RootFS, made.History
	e.image, err = mutate.ConfigFile(image, config)
	e.Expect(err).NotTo(HaveOccurred())
}
