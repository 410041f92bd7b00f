package projectimagecache

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/awstag"
	"imagecache.dev/controllers/drift"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/internal/sessionpolicy"
	"imagecache.dev/test/fixture"
)

// testOwner is the owner of testProject, and earlierOwner is what earlier versions set for it.
const testOwner, earlierOwner = "cluster-1/ns/p1/uid-1", "cluster-1/ns/p1"

// testCreated is when testSeen was created.
var testCreated = fixture.Noon.Add(1500 * time.Millisecond)

// testProject is a project whose repository was made by the controller, as testSeen shows it.
func testProject(change ...func(*v1alpha1.ProjectImageCache)) *v1alpha1.ProjectImageCache {
	project := &v1alpha1.ProjectImageCache{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "p1", UID: "uid-1"},
		Spec:       v1alpha1.ProjectImageCacheSpec{RunnerRef: v1alpha1.RunnerReference{Name: "r1"}, ProjectID: "p1", AdoptionPolicy: v1alpha1.AdoptNever},
	}
	desired := desiredFor(project, fixture.Runner(), "cluster-1")
	project.Status = v1alpha1.ProjectImageCacheStatus{
		Repository: &v1alpha1.RepositoryStatus{
			Name: desired.name, ARN: desired.arn, Origin: v1alpha1.RepositoryCreated, CreatedAt: &metav1.Time{Time: testCreated.Truncate(time.Second)},
		},
		AppliedTags: []string{"imagecache-project", awstag.Origin, awstag.Owner, "team"},
		AppliedHash: desired.hash(),
		Conditions: []metav1.Condition{
			{Type: v1alpha1.ConditionLifecyclePolicyReady, Status: metav1.ConditionTrue},
			{Type: v1alpha1.ConditionRepositoryPolicyReady, Status: metav1.ConditionTrue},
		},
	}
	for _, c := range change {
		c(project)
	}
	return project
}

func neverMade(p *v1alpha1.ProjectImageCache) { p.Status = v1alpha1.ProjectImageCacheStatus{} }

func adopting(policy v1alpha1.AdoptionPolicy) func(*v1alpha1.ProjectImageCache) {
	return func(p *v1alpha1.ProjectImageCache) { neverMade(p); p.Spec.AdoptionPolicy = policy }
}

func testSeen(change ...func(*ecr.Repository)) seenRepository {
	desired := desiredFor(testProject(), fixture.Runner(), "cluster-1")
	tags, _ := desired.tags(v1alpha1.RepositoryCreated, 0)
	repository := &ecr.Repository{Name: desired.name, ARN: desired.arn, CreatedAt: testCreated, Tags: tags}
	for _, c := range change {
		c(repository)
	}
	return seenRepository{Repository: repository}
}

func tagged(key, value string) func(*ecr.Repository) {
	return func(r *ecr.Repository) { r.Tags = maps.Clone(r.Tags); r.Tags[key] = value }
}

func untagged(keys ...string) func(*ecr.Repository) {
	return func(r *ecr.Repository) {
		r.Tags = maps.Clone(r.Tags)
		for _, key := range keys {
			delete(r.Tags, key)
		}
	}
}

func TestPlanRepository(t *testing.T) {
	lifecycle, edited, none := ecr.LifecyclePolicy(30), `{"Version":"2012-10-17","Statement":[]}`, ""
	archiving := strings.Replace(lifecycle, `"type":"expire"`, `"type":"transition","targetStorageClass":"archive"`, 1)
	allTags := testSeen().Tags
	adoptedTags := maps.Clone(allTags)
	adoptedTags[awstag.Origin] = string(v1alpha1.RepositoryAdopted)
	for name, test := range map[string]struct {
		project *v1alpha1.ProjectImageCache
		seen    seenRepository
		want    repositoryPlan
	}{
		"as it should be": {testProject(), testSeen(), repositoryPlan{origin: v1alpha1.RepositoryCreated, tags: allTags}},
		"never made": {testProject(neverMade), seenRepository{}, repositoryPlan{
			origin: v1alpha1.RepositoryCreated, create: true, putLifecycle: true, putPolicy: true, tags: allTags,
		}},
		"gone": {testProject(), seenRepository{}, repositoryPlan{
			origin: v1alpha1.RepositoryCreated, create: true, putLifecycle: true, putPolicy: true, tags: allTags,
			found: []drift.Finding{{Action: drift.ActionCreateRepository, Text: "the repository did not exist any more"}},
		}},
		"made in a pass that was cut short": {testProject(neverMade), testSeen(), repositoryPlan{
			origin: v1alpha1.RepositoryCreated, putLifecycle: true, putPolicy: true, tags: allTags,
		}},
		"mutable": {testProject(), testSeen(func(r *ecr.Repository) { r.MutableTags = "image tags" }), repositoryPlan{
			origin: v1alpha1.RepositoryCreated, immutable: true, tags: allTags,
			found: []drift.Finding{{Action: drift.ActionSetImmutable, Text: "image tags were mutable"}},
		}},
		"immutable but for some": {testProject(), testSeen(func(r *ecr.Repository) { r.MutableTags = "image tags like latest*" }), repositoryPlan{
			origin: v1alpha1.RepositoryCreated, immutable: true, tags: allTags,
			found: []drift.Finding{{Action: drift.ActionSetImmutable, Text: "image tags like latest* were mutable"}},
		}},
		"images archived": {testProject(), seenRepository{Repository: testSeen().Repository, lifecycle: &archiving}, repositoryPlan{
			origin: v1alpha1.RepositoryCreated, putLifecycle: true, tags: allTags,
			found: []drift.Finding{{Action: drift.ActionPutLifecyclePolicy, Text: "the lifecycle policy was changed to archive images, which then can't be pulled"}},
		}},
		"a tag changed": {testProject(), testSeen(tagged("team", "mine")), repositoryPlan{
			origin: v1alpha1.RepositoryCreated, tags: allTags, tag: map[string]string{"team": "core"},
			found: []drift.Finding{{Action: drift.ActionSetTags, Text: "tags were missing or had other values: team"}},
		}},
		"a foreign tag": {testProject(), testSeen(tagged("scanner", "yes")), repositoryPlan{origin: v1alpha1.RepositoryCreated, tags: allTags}},
		"a tag that was inherited and isn't any more": {
			testProject(func(p *v1alpha1.ProjectImageCache) { p.Status.AppliedTags = append(p.Status.AppliedTags, "stage") }),
			testSeen(tagged("stage", "prod")), repositoryPlan{
				origin: v1alpha1.RepositoryCreated, tags: allTags, untag: []string{"stage"},
				found: []drift.Finding{{Action: drift.ActionRemoveTags, Text: "tags existed that are no longer wanted: stage"}},
			},
		},
		"the owner's tag removed by hand": {testProject(), testSeen(untagged(awstag.Owner, awstag.Origin)), repositoryPlan{
			origin: v1alpha1.RepositoryCreated, tags: allTags,
			tag:   map[string]string{awstag.Owner: testOwner, awstag.Origin: string(v1alpha1.RepositoryCreated)},
			found: []drift.Finding{{Action: drift.ActionSetTags, Text: "tags were missing or had other values: " + awstag.Origin + ", " + awstag.Owner}},
		}},
		"policies as they should be": {testProject(), withPolicies(lifecycle, desiredFor(testProject(), fixture.Runner(), "cluster-1").policy),
			repositoryPlan{origin: v1alpha1.RepositoryCreated, tags: allTags}},
		"policies removed and edited": {testProject(), withPolicies(none, edited), repositoryPlan{
			origin: v1alpha1.RepositoryCreated, putLifecycle: true, putPolicy: true, tags: allTags,
			found: []drift.Finding{{Action: drift.ActionPutLifecyclePolicy, Text: "the lifecycle policy was removed"}, {Action: drift.ActionSetRepositoryPolicy, Text: "the repository policy was changed"}},
		}},
		"a policy that failed before": {
			testProject(func(p *v1alpha1.ProjectImageCache) { p.Status.Conditions[0].Status = metav1.ConditionFalse }), testSeen(),
			repositoryPlan{origin: v1alpha1.RepositoryCreated, putLifecycle: true, tags: allTags},
		},
		"untagged, to be adopted": {testProject(adopting(v1alpha1.AdoptIfUntagged)), testSeen(untagged(awstag.Owner, awstag.Origin)), repositoryPlan{
			origin: v1alpha1.RepositoryAdopted, adopt: true, putLifecycle: true, putPolicy: true, tags: adoptedTags,
			tag: map[string]string{awstag.Owner: testOwner, awstag.Origin: string(v1alpha1.RepositoryAdopted)},
		}},
		"of another cluster, to be adopted": {testProject(adopting(v1alpha1.AdoptAlways)), testSeen(tagged(awstag.Owner, "cluster-2/ns/p1")), repositoryPlan{
			origin: v1alpha1.RepositoryAdopted, adopt: true, putLifecycle: true, putPolicy: true, tags: adoptedTags,
			tag: map[string]string{awstag.Owner: testOwner, awstag.Origin: string(v1alpha1.RepositoryAdopted)},
		}},
		"set up by an earlier version": {testProject(createdUnrecorded), testSeen(tagged(awstag.Owner, earlierOwner)), repositoryPlan{
			origin: v1alpha1.RepositoryCreated, tags: allTags, tag: map[string]string{awstag.Owner: testOwner},
		}},
		"set up by an earlier version, with another key": {testProject(createdUnrecorded), testSeen(tagged(awstag.Owner, earlierOwner), kms), repositoryPlan{
			origin: v1alpha1.RepositoryCreated, tags: allTags, tag: map[string]string{awstag.Owner: testOwner},
		}},
		"of an object that was restored with its status": {testProject(), testSeen(tagged(awstag.Owner, earlierOwner+"/uid-0")), repositoryPlan{
			origin: v1alpha1.RepositoryCreated, tags: allTags, tag: map[string]string{awstag.Owner: testOwner},
		}},
		"of an earlier object, to be adopted": {testProject(adopting(v1alpha1.AdoptIfUntagged)), testSeen(tagged(awstag.Owner, earlierOwner+"/uid-0")), repositoryPlan{
			origin: v1alpha1.RepositoryAdopted, adopt: true, putLifecycle: true, putPolicy: true, tags: adoptedTags,
			tag: map[string]string{awstag.Owner: testOwner, awstag.Origin: string(v1alpha1.RepositoryAdopted)},
		}},
		"created anew in a pass that was cut short": {testProject(), testSeen(later), repositoryPlan{
			origin: v1alpha1.RepositoryCreated, putLifecycle: true, putPolicy: true, tags: allTags,
		}},
		"adopted earlier, status lost": {testProject(neverMade), testSeen(tagged(awstag.Origin, string(v1alpha1.RepositoryAdopted))), repositoryPlan{
			origin: v1alpha1.RepositoryAdopted, putLifecycle: true, putPolicy: true, tags: adoptedTags,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := planRepository(test.project, desiredFor(test.project, fixture.Runner(), "cluster-1"), test.seen)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&test.want, plan, cmp.AllowUnexported(repositoryPlan{}, drift.Finding{})); diff != "" {
				t.Errorf("the plan differs (-want +got):\n%s", diff)
			}
		})
	}
}

// createdUnrecorded makes a status of an earlier version.
func createdUnrecorded(p *v1alpha1.ProjectImageCache) { p.Status.Repository.CreatedAt = nil }

// later makes a repository that was created after the one that the status records.
func later(r *ecr.Repository) { r.CreatedAt = testCreated.Add(time.Second) }

func kms(r *ecr.Repository) { r.KMSKeyARN = "arn:aws:kms:eu-central-1:123456789012:key/k" }

func withPolicies(lifecycle, policy string) seenRepository {
	seen := testSeen()
	seen.lifecycle, seen.policy = &lifecycle, &policy
	return seen
}

func held(seen seenRepository) seenRepository { seen.holderLives = true; return seen }

func TestRepositoriesOfOthersAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		project *v1alpha1.ProjectImageCache
		seen    seenRepository
		want    string
	}{
		"untagged, never adopt":        {testProject(neverMade), testSeen(untagged(awstag.Owner)), v1alpha1.ReasonRepositoryNotOwned},
		"another's, adopt if untagged": {testProject(adopting(v1alpha1.AdoptIfUntagged)), testSeen(tagged(awstag.Owner, "x")), v1alpha1.ReasonRepositoryNotOwned},
		"taken over by another":        {testProject(), testSeen(tagged(awstag.Owner, "x")), v1alpha1.ReasonRepositoryNotOwned},
		"taken over by another, Always": {
			testProject(func(p *v1alpha1.ProjectImageCache) { p.Spec.AdoptionPolicy = v1alpha1.AdoptAlways }), testSeen(tagged(awstag.Owner, "x")),
			v1alpha1.ReasonRepositoryNotOwned,
		},
		"of an object that is there, Always": {
			testProject(adopting(v1alpha1.AdoptAlways)), held(testSeen(tagged(awstag.Owner, "cluster-1/ns/p2"))), v1alpha1.ReasonRepositoryNotOwned,
		},
		"our name in the tag, no record":        {testProject(neverMade), testSeen(tagged(awstag.Owner, earlierOwner)), v1alpha1.ReasonRepositoryNotOwned},
		"our name and another UID, no record":   {testProject(neverMade), testSeen(tagged(awstag.Owner, earlierOwner+"/uid-0")), v1alpha1.ReasonRepositoryNotOwned},
		"created since under our name":          {testProject(), testSeen(tagged(awstag.Owner, earlierOwner), later), v1alpha1.ReasonRepositoryNotOwned},
		"created since without a tag":           {testProject(), testSeen(untagged(awstag.Owner), later), v1alpha1.ReasonRepositoryNotOwned},
		"our UID, another's key":                {testProject(neverMade), testSeen(kms), v1alpha1.ReasonEncryptionMismatch},
		"created since with our UID, and a key": {testProject(), testSeen(later, kms), v1alpha1.ReasonEncryptionMismatch},
		"of an earlier object, and another key": {testProject(adopting(v1alpha1.AdoptIfUntagged)), testSeen(tagged(awstag.Owner, earlierOwner), kms), v1alpha1.ReasonEncryptionMismatch},
		"to be adopted, another's key":          {testProject(adopting(v1alpha1.AdoptAlways)), testSeen(tagged(awstag.Owner, "x"), kms), v1alpha1.ReasonEncryptionMismatch},
		"untagged, adopt, and another key":      {testProject(adopting(v1alpha1.AdoptIfUntagged)), testSeen(untagged(awstag.Owner), kms), v1alpha1.ReasonEncryptionMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := planRepository(test.project, desiredFor(test.project, fixture.Runner(), "cluster-1"), test.seen)
			if reason, _ := outcome.Reason(err); plan != nil || reason != test.want || !outcome.IsTerminal(err) {
				t.Errorf("plan %v and error %v; want no plan and a terminal %s", plan, err, test.want)
			}
		})
	}
}

func TestDesiredFollowsRunnerAndProject(t *testing.T) {
	base := desiredFor(testProject(), fixture.Runner(), "cluster-1")
	if want := "gitpod-runner-r1/projects/p1/image-build"; base.name != want {
		t.Errorf("name %s, want %s", base.name, want)
	}
	days := int32(7)
	for name, changed := range map[string]desiredRepository{
		"retention": desiredFor(testProject(func(p *v1alpha1.ProjectImageCache) { p.Spec.RetentionDays = &days }), fixture.Runner(), "cluster-1"),
		"readers": desiredFor(testProject(func(p *v1alpha1.ProjectImageCache) {
			p.Spec.Readers = []string{"arn:aws:iam::123456789012:role/scanner"}
		}), fixture.Runner(), "cluster-1"),
		"scanning": desiredFor(testProject(), fixture.Runner(func(r *v1alpha1.RunnerImageCache) {
			r.Spec.Scanning = v1alpha1.ScanningAmazonInspector
		}), "cluster-1"),
		"the switch":            desiredFor(testProject(), fixture.Runner(func(r *v1alpha1.RunnerImageCache) { r.Spec.Cache = v1alpha1.CacheDisabled }), "cluster-1"),
		"the stack's tags":      desiredFor(testProject(), fixture.Runner(func(r *v1alpha1.RunnerImageCache) { r.Status.StackTags = nil }), "cluster-1"),
		"the controller's role": desiredFor(testProject(), fixture.Runner(func(r *v1alpha1.RunnerImageCache) { r.Status.ControllerARN += "2" }), "cluster-1"),
	} {
		if changed.hash() == base.hash() {
			t.Errorf("%s changes, and what is applied would not be looked at again", name)
		}
	}
}

func TestInspectorReadsWhereItIsAskedFor(t *testing.T) {
	const inspector = `role/aws-service-role/inspector2.amazonaws.com/AWSServiceRoleForAmazonInspector2"`
	scanned := fixture.Runner(func(r *v1alpha1.RunnerImageCache) { r.Spec.Scanning = v1alpha1.ScanningAmazonInspector })
	policy := desiredFor(testProject(), scanned, "cluster-1").policy
	if found := strings.Count(policy, inspector); found != 1 || !strings.Contains(policy, "arn:aws:iam::"+scanned.Status.AccountID+":"+inspector[:5]) {
		t.Errorf("Inspector is named %d times, want once, as a reader: %s", found, policy)
	}
	named := testProject(func(p *v1alpha1.ProjectImageCache) {
		p.Spec.Readers = []string{sessionpolicy.InspectorRoleARN("aws", scanned.Status.AccountID)}
	})
	if again := desiredFor(named, scanned, "cluster-1").policy; again != policy {
		t.Errorf("a reader that is named twice: %s", again)
	}
	for _, other := range []v1alpha1.Scanning{"", v1alpha1.ScanningNone} {
		runner := fixture.Runner(func(r *v1alpha1.RunnerImageCache) { r.Spec.Scanning = other })
		if policy := desiredFor(testProject(), runner, "cluster-1").policy; strings.Contains(policy, "inspector2") {
			t.Errorf("scanning %q: %s", other, policy)
		}
	}
}

func TestTags(t *testing.T) {
	taken, refused := awstag.Takeable(map[string]string{
		"team": "core", "bad\x00": "x", "worse": "a<b", awstag.Owner: "me", sessionpolicy.ProjectTag: "other", "long": string(make([]byte, 300)),
	})
	if diff := cmp.Diff(map[string]string{"team": "core"}, taken); diff != "" {
		t.Errorf("taken tags differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"bad\x00", sessionpolicy.ProjectTag, awstag.Owner, "long", "worse"}, refused); diff != "" {
		t.Errorf("refused tags differ (-want +got):\n%s", diff)
	}
	fitting, left := awstag.Fit(map[string]string{"own": "1"}, map[string]string{"a": "1", "b": "2", "c": "3"}, 3)
	if diff := cmp.Diff(map[string]string{"own": "1", "a": "1", "b": "2"}, fitting); diff != "" {
		t.Errorf("fitting tags differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"c"}, left); diff != "" {
		t.Errorf("left tags differ (-want +got):\n%s", diff)
	}
}

func TestDeletionLeavesTheRepositoriesOfOthers(t *testing.T) {
	for name, test := range map[string]struct {
		project *v1alpha1.ProjectImageCache
		seen    seenRepository
		want    bool
	}{
		"ours":                             {testProject(), testSeen(), true},
		"ours, not recorded":               {testProject(neverMade), testSeen(), true},
		"set up by an earlier version":     {testProject(createdUnrecorded), testSeen(tagged(awstag.Owner, earlierOwner)), true},
		"our name in the tag, no record":   {testProject(neverMade), testSeen(tagged(awstag.Owner, earlierOwner)), false},
		"our name, created since":          {testProject(), testSeen(tagged(awstag.Owner, earlierOwner), later), false},
		"untagged":                         {testProject(), testSeen(untagged(awstag.Owner)), false},
		"another's":                        {testProject(), testSeen(tagged(awstag.Owner, "cluster-1/ns/p11/uid-1")), false},
		"of another with our name's start": {testProject(), testSeen(tagged(awstag.Owner, "cluster-1/ns/p")), false},
	} {
		if got := desiredFor(test.project, fixture.Runner(), "cluster-1").owns(test.project, test.seen.Repository); got != test.want {
			t.Errorf("%s: owns is %t, want %t", name, got, test.want)
		}
	}
}
