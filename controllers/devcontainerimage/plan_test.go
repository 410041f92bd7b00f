package devcontainerimage

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	ocidigest "github.com/opencontainers/go-digest"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/imagelabel"
	"imagecache.dev/internal/provenance"
	"imagecache.dev/internal/publication"
	"imagecache.dev/test/fixture"
	"imagecache.dev/test/signedimage"
	"imagecache.dev/test/testimage"
)

func TestBypassNamesWhyTheCacheDoesNotApply(t *testing.T) {
	project := &v1alpha1.ProjectReference{Name: "shop"}
	runner := func(edit func(*v1alpha1.RunnerImageCacheSpec)) *v1alpha1.RunnerImageCache {
		r := &v1alpha1.RunnerImageCache{Spec: v1alpha1.RunnerImageCacheSpec{RunnerID: "demo", Provider: v1alpha1.ProviderAWSEC2, Cache: v1alpha1.CacheEnabled}}
		edit(&r.Spec)
		return r
	}
	compose := v1alpha1.DevcontainerImageSpec{ProjectRef: project, ConfigurationType: v1alpha1.ConfigurationCompose}
	service := compose
	service.Service, service.ConfigHash = "web", "h"
	answering := func(policy v1alpha1.ComposePolicy) *v1alpha1.ProjectImageCache {
		return &v1alpha1.ProjectImageCache{Spec: v1alpha1.ProjectImageCacheSpec{Compose: policy}}
	}
	off := runner(func(s *v1alpha1.RunnerImageCacheSpec) { s.Cache = v1alpha1.CacheDisabled })
	for name, test := range map[string]struct {
		spec    v1alpha1.DevcontainerImageSpec
		project *v1alpha1.ProjectImageCache
		runner  *v1alpha1.RunnerImageCache
		want    string
	}{
		"no project":                      {v1alpha1.DevcontainerImageSpec{}, nil, nil, v1alpha1.ReasonNonProjectEnvironment},
		"compose without a service":       {compose, nil, nil, v1alpha1.ReasonComposeNotSupported},
		"the same where services are":     {compose, answering(v1alpha1.ComposePolicyCached), off, v1alpha1.ReasonComposeNotSupported},
		"a service, by default":           {service, answering(v1alpha1.ComposePolicyBypassed), off, v1alpha1.ReasonComposeNotSupported},
		"a service, before the default":   {service, answering(""), nil, v1alpha1.ReasonComposeNotSupported},
		"a service, no project known yet": {service, nil, nil, ""},
		"a service that is cached":        {service, answering(v1alpha1.ComposePolicyCached), nil, ""},
		"the same, and switched off":      {service, answering(v1alpha1.ComposePolicyCached), off, v1alpha1.ReasonCacheDisabled},
		"runner not known yet":            {v1alpha1.DevcontainerImageSpec{ProjectRef: project}, nil, nil, ""},
		"another provider": {v1alpha1.DevcontainerImageSpec{ProjectRef: project}, nil,
			runner(func(s *v1alpha1.RunnerImageCacheSpec) { s.Provider = v1alpha1.ProviderGCP }), v1alpha1.ReasonUnsupportedRunner},
		"switched off": {v1alpha1.DevcontainerImageSpec{ProjectRef: project}, nil, off, v1alpha1.ReasonCacheDisabled},
		"applies":      {v1alpha1.DevcontainerImageSpec{ProjectRef: project}, nil, runner(func(*v1alpha1.RunnerImageCacheSpec) {}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			reason, explanation, bypassed := bypass(&test.spec, test.project, test.runner)
			if reason != test.want || bypassed != (test.want != "") || bypassed != (explanation != "") {
				t.Errorf("bypass = %q, %q, %v; want reason %q", reason, explanation, bypassed, test.want)
			}
			if reason == v1alpha1.ReasonComposeNotSupported && !strings.Contains(explanation, "spec.compose: Cached of project shop") {
				t.Errorf("%q does not name the setting and the project", explanation)
			}
		})
	}
}

func TestAnswerForJudgesWhatIsUnderTheHash(t *testing.T) {
	const repository = "arn:aws:ecr:eu-central-1:123456789012:repository/shop"
	want := publication.Expectation{RepositoryARN: repository, Hash: "h1", HashVersion: 1, UID: "u9", Platform: "linux/amd64"}
	key, revoked := newKey(t), newKey(t)
	policy := publication.Policy{Retention: 30 * 24 * time.Hour}
	var signedAt time.Time
	// image is signed before its manifest or push time change, and after its configuration does.
	image := func(edit func(*publication.Cached, *v1.ConfigFile), sign ...func(*provenance.Record) provenance.Signer) *publication.Cached {
		cached := &publication.Cached{PushedAt: fixture.Noon.Add(-3 * time.Hour)}
		made := testimage.Random(t, 100, 2, func(config *v1.ConfigFile) {
			config.Config.Labels = map[string]string{imagelabel.Hash: "h1", imagelabel.Version: "1", imagelabel.UID: "u1", imagelabel.Environment: "e-17", imagelabel.BuildSeconds: "225"}
			edit(&publication.Cached{}, config)
		})
		claims, err := signedimage.Claims(made, repository)
		if err != nil {
			t.Fatal(err)
		}
		signer, record := provenance.Signer(key), &provenance.Record{Claims: claims, Build: provenance.Build{FinishedAt: signedAt}}
		for _, s := range sign {
			signer = s(record)
		}
		if signer != nil {
			if made, err = signedimage.SignRecord(t.Context(), made, signer, record); err != nil {
				t.Fatal(err)
			}
		}
		if cached.Manifest, err = made.RawManifest(); err != nil {
			t.Fatal(err)
		}
		if cached.Config, err = made.RawConfigFile(); err != nil {
			t.Fatal(err)
		}
		cached.Digest = ocidigest.FromBytes(cached.Manifest).String()
		edit(cached, &v1.ConfigFile{Config: v1.Config{Labels: map[string]string{}}})
		return cached
	}
	unchanged := func(*publication.Cached, *v1.ConfigFile) {}
	signed := func(ago time.Duration) *publication.Cached {
		signedAt = fixture.Noon.Add(-ago)
		defer func() { signedAt = time.Time{} }()
		return image(unchanged)
	}
	claiming := func(change func(*provenance.Record)) *publication.Cached {
		return image(unchanged, func(r *provenance.Record) provenance.Signer { change(r); return key })
	}
	for name, test := range map[string]struct {
		found   *publication.Cached
		policy  v1alpha1.CachePolicy
		before  time.Time
		result  v1alpha1.CacheResult
		reason  string
		because string
	}{
		"nothing": {nil, "", time.Time{}, v1alpha1.CacheMiss, v1alpha1.ReasonImageNotFound, "no image with this configuration is cached"},
		"usable": {image(unchanged), "", time.Time{},
			v1alpha1.CacheHit, v1alpha1.ReasonImageFound, "found the image of 3 h ago (environment e-17)"},
		"refresh": {image(unchanged), "Refresh", time.Time{},
			v1alpha1.CacheMiss, v1alpha1.ReasonRefresh, "the request asks for a new image instead of the image of 3 h ago"},
		"an hour and a second left": {image(func(c *publication.Cached, _ *v1.ConfigFile) {
			c.PushedAt = fixture.Noon.Add(-30*24*time.Hour + time.Hour + time.Second)
		}), "", time.Time{}, v1alpha1.CacheHit, v1alpha1.ReasonImageFound, "found the image of 29 days ago (environment e-17)"},
		"an hour left": {image(func(c *publication.Cached, _ *v1.ConfigFile) {
			c.PushedAt = fixture.Noon.Add(-30*24*time.Hour + time.Hour)
		}), "", time.Time{}, v1alpha1.CacheMiss, v1alpha1.ReasonExpired, "the image of 29 days ago has reached its retention of 30 days"},
		"invalidated": {image(unchanged), "", fixture.Noon.Add(-time.Hour),
			v1alpha1.CacheMiss, v1alpha1.ReasonInvalidated, "the image of 3 h ago is older than invalidatePushedBefore, 2026-03-14T11:00:00Z"},
		"with layers of an invalidated one": {claiming(func(r *provenance.Record) { r.LayersSince = fixture.Noon.Add(-5 * time.Hour) }), "", fixture.Noon.Add(-4 * time.Hour),
			v1alpha1.CacheMiss, v1alpha1.ReasonInvalidated, "the image of 3 h ago took layers over from one that is older than invalidatePushedBefore, 2026-03-14T08:00:00Z"},
		"with layers that are young enough": {claiming(func(r *provenance.Record) { r.LayersSince = fixture.Noon.Add(-5 * time.Hour) }), "", fixture.Noon.Add(-5 * time.Hour),
			v1alpha1.CacheHit, v1alpha1.ReasonImageFound, "found the image of 3 h ago (environment e-17)"},
		"signed just before its push": {signed(3*time.Hour + publication.PutWithin), "", fixture.Noon.Add(-3 * time.Hour),
			v1alpha1.CacheHit, v1alpha1.ReasonImageFound, "found the image of 3 h ago (environment e-17)"},
		"invalidated, and pushed again": {signed(5 * time.Hour), "", fixture.Noon.Add(-4 * time.Hour),
			v1alpha1.CacheMiss, v1alpha1.ReasonInvalidated, "the image of 5 h ago is older than invalidatePushedBefore, 2026-03-14T08:00:00Z"},
		"expired, and pushed again": {signed(30 * 24 * time.Hour), "", time.Time{},
			v1alpha1.CacheMiss, v1alpha1.ReasonExpired, "the image of 30 days ago has reached its retention of 30 days"},
		"signed by a clock that is ahead": {signed(-48 * time.Hour), "", time.Time{},
			v1alpha1.CacheHit, v1alpha1.ReasonImageFound, "found the image of 3 h ago (environment e-17)"},
		"other platform": {image(func(_ *publication.Cached, config *v1.ConfigFile) {
			config.Architecture = "arm64"
		}), "", time.Time{},
			v1alpha1.CacheMiss, v1alpha1.ReasonPlatformMismatch, "the image under this hash is not for linux/amd64"},
		"label of another hash": {image(func(_ *publication.Cached, config *v1.ConfigFile) {
			config.Config.Labels[imagelabel.Hash] = "h2"
		}), "", time.Time{},
			v1alpha1.CacheMiss, v1alpha1.ReasonNotVerified, "the image under this hash was not published by this cache, or is damaged"},
		"no configuration": {image(func(c *publication.Cached, _ *v1.ConfigFile) { c.Config = []byte{} }), "", time.Time{},
			v1alpha1.CacheMiss, v1alpha1.ReasonNotVerified, "the image under this hash was not published by this cache, or is damaged"},
		"unsigned": {image(unchanged, func(*provenance.Record) provenance.Signer { return nil }), "", time.Time{},
			v1alpha1.CacheMiss, v1alpha1.ReasonNotVerified, "the image under this hash is not used: the image has no signature"},
		"signed by a revoked key": {image(unchanged, func(*provenance.Record) provenance.Signer { return revoked }), "", time.Time{},
			v1alpha1.CacheMiss, v1alpha1.ReasonNotVerified, "the image under this hash is not used: the image's signature is not from a key that is known"},
		"signed for another hash": {claiming(func(c *provenance.Record) { c.Hash = "h2" }), "", time.Time{},
			v1alpha1.CacheMiss, v1alpha1.ReasonNotVerified, `the image under this hash is not used: the signature is for another image: its hash is "h2", not "h1"`},
		"signed for another repository": {claiming(func(c *provenance.Record) { c.RepositoryARN = "other" }), "", time.Time{},
			v1alpha1.CacheMiss, v1alpha1.ReasonNotVerified, `the image under this hash is not used: the signature is for another image: its repository is "other", not "` + repository + `"`},
		"signed for another request": {claiming(func(c *provenance.Record) { c.RequestUID = "u2" }), "", time.Time{},
			v1alpha1.CacheMiss, v1alpha1.ReasonNotVerified, `the image under this hash is not used: the signature is for another image: its request is "u2", not "u1"`},
		"archived, which ECR returns without contents": {&publication.Cached{Digest: "sha256:1", PushedAt: fixture.Noon, Archived: true}, "", time.Time{},
			v1alpha1.CacheMiss, v1alpha1.ReasonArchived, "ECR has archived the image, so it can't be pulled"},
	} {
		t.Run(name, func(t *testing.T) {
			policy := policy
			policy.InvalidatePushedBefore = test.before
			got := answerFor(&v1alpha1.DevcontainerImageSpec{CachePolicy: test.policy}, want, policy, provenance.NewVerifier(key.Key()), test.found, fixture.Noon)
			if got.result != test.result || got.reason != test.reason || got.explanation != test.because {
				t.Errorf("answerFor = %s, %s, %q; want %s, %s, %q", got.result, got.reason, got.explanation, test.result, test.reason, test.because)
			}
			if replaces := test.found != nil && test.result == v1alpha1.CacheMiss; replaces != (got.replaces != "") || replaces && got.replaces != test.found.Digest {
				t.Errorf("replaces = %q", got.replaces)
			}
		})
	}
}

func newKey(t *testing.T) *provenance.PrivateKey {
	t.Helper()
	key, err := provenance.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func request(name string, age time.Duration, edit func(*v1alpha1.DevcontainerImage)) v1alpha1.DevcontainerImage {
	image := v1alpha1.DevcontainerImage{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name), CreationTimestamp: metav1.NewTime(fixture.Noon.Add(-age))},
		Spec: v1alpha1.DevcontainerImageSpec{
			ProjectRef:    &v1alpha1.ProjectReference{Name: "shop"},
			EnvironmentID: "e-1",
			Trigger:       v1alpha1.TriggerEnvironmentCreated,
		},
	}
	if edit != nil {
		edit(&image)
	}
	return image
}

func TestMayPublishIsForTheFirstBuildOfAnEnvironment(t *testing.T) {
	first, second := request("a", time.Minute, nil), request("b", 0, nil)
	both := []v1alpha1.DevcontainerImage{first, second}
	if why, may := mayPublish(&first, both); !may {
		t.Errorf("the first request may not publish: %s", why)
	}
	if _, may := mayPublish(&second, both); may {
		t.Error("the second request of an environment may publish")
	}
	rebuild := request("c", 0, func(i *v1alpha1.DevcontainerImage) { i.Spec.Trigger = v1alpha1.TriggerRebuild })
	if _, may := mayPublish(&rebuild, nil); may {
		t.Error("a rebuild may publish")
	}
	prebuild := request("p", time.Minute, func(i *v1alpha1.DevcontainerImage) { i.Spec.Trigger = v1alpha1.TriggerPrebuild })
	if why, may := mayPublish(&prebuild, both); !may {
		t.Errorf("a prebuild may not publish: %s", why)
	}
	if _, may := mayPublish(&first, []v1alpha1.DevcontainerImage{prebuild}); !may {
		t.Error("a prebuild keeps the creation from publishing")
	}
	if _, may := mayPublish(&first, []v1alpha1.DevcontainerImage{rebuild}); !may {
		t.Error("a rebuild keeps the creation from publishing")
	}
	twin := request("A", time.Minute, func(i *v1alpha1.DevcontainerImage) { i.CreationTimestamp = first.CreationTimestamp })
	first.Status.Role = v1alpha1.RoleBuilder
	if _, may := mayPublish(&twin, []v1alpha1.DevcontainerImage{first, twin}); may {
		t.Error("a request of the same second publishes beside one that builds already")
	}
	another := request("e", time.Hour, func(i *v1alpha1.DevcontainerImage) { i.Spec.EnvironmentID = "another" })
	if _, may := mayPublish(&first, []v1alpha1.DevcontainerImage{another}); !may {
		t.Error("a request of another environment, of the same share of the index, keeps this one from publishing")
	}
	elsewhere := request("d", time.Hour, func(i *v1alpha1.DevcontainerImage) { i.Spec.ProjectRef.Name = "other" })
	if _, may := mayPublish(&first, []v1alpha1.DevcontainerImage{elsewhere}); !may {
		t.Error("a request of another project keeps this one from publishing")
	}
}

func TestMayPublishIsForTheFirstBuildOfEachService(t *testing.T) {
	of := func(name, service string, age time.Duration, edit ...func(*v1alpha1.DevcontainerImage)) v1alpha1.DevcontainerImage {
		return request(name, age, func(i *v1alpha1.DevcontainerImage) {
			i.Spec.Service = service
			for _, e := range edit {
				e(i)
			}
		})
	}
	builds := func(i *v1alpha1.DevcontainerImage) { i.Status.Role = v1alpha1.RoleBuilder }
	hits := func(i *v1alpha1.DevcontainerImage) { i.Status.CacheResult = v1alpha1.CacheHit }
	for name, test := range map[string]struct {
		asks, other v1alpha1.DevcontainerImage
		want        string
	}{
		"another service":                    {of("b", "web", 0), of("a", "api", time.Minute), ""},
		"another service that builds":        {of("b", "web", time.Minute), of("a", "api", 0, builds), ""},
		"the same service":                   {of("b", "web", 0), of("a", "web", time.Minute), "environment e-1 was already created with request a, and only the first request for service web may publish"},
		"the same service, of one second":    {of("b", "web", 0), of("a", "web", 0), "environment e-1 was already created with request a, and only the first request for service web may publish"},
		"the same service that builds":       {of("b", "web", time.Minute), of("c", "web", 0, builds), "environment e-1 was already created with request c, and only the first request for service web may publish"},
		"the same service, later":            {of("a", "web", time.Minute), of("b", "web", 0), ""},
		"a hit of the same second":           {of("a", "web", 0), of("b", "web", 0, hits), "environment e-1 was already created with request b, and only the first request for service web may publish"},
		"a later hit":                        {of("a", "web", time.Minute), of("b", "web", 0, hits), ""},
		"the same service in capitals":       {of("b", "web", 0), of("a", "Web", time.Minute), ""},
		"a service after a whole image":      {of("b", "web", 0), of("a", "", time.Minute), "environment e-1 was already created with request a, and only the first request for service web may publish"},
		"a whole image after a service":      {of("b", "", 0), of("a", "web", time.Minute), "environment e-1 was already created with request a, and only the first request may publish"},
		"the same service, another creation": {of("b", "web", 0), of("a", "web", time.Minute, func(i *v1alpha1.DevcontainerImage) { i.Spec.EnvironmentID = "e-2" }), ""},
	} {
		t.Run(name, func(t *testing.T) {
			why, may := mayPublish(&test.asks, []v1alpha1.DevcontainerImage{test.asks, test.other})
			if why != test.want || may != (test.want == "") {
				t.Errorf("mayPublish = %q, %t; want %q", why, may, test.want)
			}
		})
	}
}

func TestRefusalKeepsBuildsLocalThatTheProjectDoesNotWant(t *testing.T) {
	project := func(coverage v1alpha1.KeyCoverage) *v1alpha1.ProjectImageCache {
		return &v1alpha1.ProjectImageCache{Spec: v1alpha1.ProjectImageCacheSpec{KeyCoverage: coverage}}
	}
	for _, test := range []struct {
		project v1alpha1.KeyCoverage
		report  v1alpha1.BuildKeyCoverage
		want    string
	}{
		{v1alpha1.KeyCoverageWarn, v1alpha1.CoverageIncomplete, ""},
		{v1alpha1.KeyCoverageWarn, v1alpha1.CoverageEnvironmentValues, v1alpha1.ReasonSecretsInBuild},
		{v1alpha1.KeyCoverageRequireComplete, v1alpha1.CoverageComplete, ""},
		{v1alpha1.KeyCoverageRequireComplete, v1alpha1.CoverageIncomplete, v1alpha1.ReasonKeyIncomplete},
		{v1alpha1.KeyCoverageRequireComplete, "", v1alpha1.ReasonKeyIncomplete},
	} {
		reason, message, refused := refusal(project(test.project), &v1alpha1.BuildReport{KeyCoverage: test.report})
		if reason != test.want || refused != (test.want != "") || refused != (message != "") {
			t.Errorf("refusal(%s, %s) = %q, %q, %v; want %q", test.project, test.report, reason, message, refused, test.want)
		}
	}
}

func TestSavedSecondsAreNetOfThePull(t *testing.T) {
	image := &v1alpha1.CachedImage{BuildSeconds: ptr.To[int64](225)}
	pull := func(outcome v1alpha1.PullOutcome, seconds int64) *v1alpha1.PullReport {
		return &v1alpha1.PullReport{Outcome: outcome, DurationSeconds: &seconds}
	}
	for name, test := range map[string]struct {
		image *v1alpha1.CachedImage
		pull  *v1alpha1.PullReport
		want  *int64
	}{
		"not known":             {nil, nil, nil},
		"before the report":     {image, nil, ptr.To[int64](225)},
		"after the report":      {image, pull(v1alpha1.PullSucceeded, 12), ptr.To[int64](213)},
		"longer than the build": {image, pull(v1alpha1.PullSucceeded, 500), ptr.To[int64](0)},
		"failed":                {image, pull(v1alpha1.PullFailed, 3), ptr.To[int64](0)},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, savedSeconds(test.image, test.pull)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestExpectedBuildSecondsAreThoseOfTheMostSimilarImage(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	request := func(age time.Duration, dockerfile string, took, takes int64) v1alpha1.DevcontainerImage {
		image := v1alpha1.DevcontainerImage{}
		image.CreationTimestamp = metav1.NewTime(now.Add(-age))
		image.Spec.Inputs = []v1alpha1.KeyInput{{Name: "devcontainer.json", Digest: "sha256:1"}, {Name: "Dockerfile", Digest: dockerfile}}
		if took > 0 {
			image.Spec.Build = &v1alpha1.BuildReport{Outcome: v1alpha1.BuildSucceeded, DurationSeconds: &took}
			image.Status.Image = &v1alpha1.CachedImage{BuildSeconds: &takes}
		}
		return image
	}
	asked := request(0, "sha256:a", 0, 0)
	tests := map[string]struct {
		others []v1alpha1.DevcontainerImage
		want   *int64
	}{
		"none":                       {nil, nil},
		"one that published nothing": {[]v1alpha1.DevcontainerImage{asked}, nil},
		"the latest":                 {[]v1alpha1.DevcontainerImage{request(2*time.Hour, "sha256:b", 9, 9), request(time.Hour, "sha256:c", 7, 7)}, ptr.To(int64(7))},
		"the most similar":           {[]v1alpha1.DevcontainerImage{request(2*time.Hour, "sha256:a", 9, 9), request(time.Hour, "sha256:c", 7, 7)}, ptr.To(int64(9))},
		"the time of a whole build":  {[]v1alpha1.DevcontainerImage{request(time.Hour, "sha256:b", 8, 225)}, ptr.To(int64(225))},
		"a status that lacks its image": {[]v1alpha1.DevcontainerImage{func() v1alpha1.DevcontainerImage {
			r := request(time.Hour, "sha256:b", 8, 0)
			r.Status.Image = nil
			return r
		}()}, ptr.To(int64(8))},
	}
	for what, test := range tests {
		t.Run(what, func(t *testing.T) {
			if diff := cmp.Diff(test.want, expectedBuildSeconds(imageOrigin(&asked, nil), test.others)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
