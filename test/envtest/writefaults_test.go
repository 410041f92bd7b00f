package envtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/awsemulator"
)

// awsWrites are all calls by which the controllers of runners and projects change something in AWS, and the one that
// makes a password.
var awsWrites = []string{
	"ecr:CreateRepository", "ecr:PutLifecyclePolicy", "ecr:SetRepositoryPolicy", "ecr:PutImageTagMutability", "ecr:TagResource",
	"ecr:UntagResource", "ecr:BatchDeleteImage", "ecr:DeleteRepository", "ecr:GetAuthorizationToken",
	"iam:CreateRole", "iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy", "iam:TagRole", "iam:UntagRole",
	"iam:PutRolePermissionsBoundary", "iam:DeleteRolePermissionsBoundary", "iam:DeleteRolePolicy", "iam:DeleteRole",
}

// kubeWrites are all calls by which they change something in the cluster, as patterns of method, path and body.
var kubeWrites = map[string]string{
	remainingStatus:                   `^PATCH .*/runnerimagecaches/[^/]+/status\? .*ProjectsRemain`,
	"a runner's status":               `^PATCH .*/runnerimagecaches/[^/]+/status`,
	"a runner's finalizer":            `^PATCH .*/runnerimagecaches/[^/]+\? .*"finalizers":\[`,
	"a runner's finalizer's removal":  `^PATCH .*/runnerimagecaches/[^/]+\? .*"finalizers":null`,
	"a project's status":              `^PATCH .*/projectimagecaches/[^/]+/status`,
	"a project's finalizer":           `^PATCH .*/projectimagecaches/[^/]+\? .*"finalizers":\[`,
	"a project's finalizer's removal": `^PATCH .*/projectimagecaches/[^/]+\? .*"finalizers":null`,
	"a pull Secret":                   `^(POST|PUT|PATCH) .*/secrets`,
	"a pull Secret's removal":         `^DELETE .*/secrets`,
}

// remainingStatus is the status of a runner that is deleted before its projects.
const remainingStatus = "a deleted runner's status"

// perAttempt is how often one call is tried before its error reaches a reconciler.
const perAttempt = 3

// Every write fails in turn: for a whole pass before it acts, and for another after it acted, so that only the answer is
// lost. In the end everything is as it would have been without, and after the objects' deletion nothing is left.
func TestEveryWriteMayFailAndAllEndsConverged(t *testing.T) {
	lives := newFaultyLives(t)
	for _, operation := range awsWrites {
		lives.start(t, operation, nil,
			awsemulator.Fault{Operation: operation, Code: "ServerException", Status: 500, Next: perAttempt},
			awsemulator.Fault{Operation: operation, Code: "ServerException", Status: 500, Next: perAttempt, AfterEffect: true})
	}
	for what, pattern := range kubeWrites {
		lives.start(t, what, &kubeFault{pattern: regexp.MustCompile(pattern)})
	}
	// The connection breaks after each write acted, once for every one of them.
	var breaks []awsemulator.Fault
	for _, operation := range awsWrites {
		breaks = append(breaks, awsemulator.Fault{Operation: operation, DropConnection: true, AfterEffect: true, Next: perAttempt})
	}
	lives.start(t, "all connections", nil, breaks...)
	lives.group.Wait()
}

// faultyLives run some at a time: they wait for retries most of the time.
type faultyLives struct {
	slots chan struct{}
	group sync.WaitGroup
}

func newFaultyLives(t *testing.T) *faultyLives {
	lives := &faultyLives{slots: make(chan struct{}, 6)}
	t.Cleanup(lives.group.Wait)
	return lives
}

// start makes an account of its own, in which things fail, and a manager, and lets a project live there.
func (l *faultyLives) start(t *testing.T, name string, inCluster *kubeFault, faults ...awsemulator.Fault) {
	t.Helper()
	l.slots <- struct{}{}
	world := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	life := &faultyLife{account: world.aws, namespace: world.namespace, inCluster: inCluster, faults: faults, runnerFirst: name == remainingStatus}
	life.prepare(t)
	life.addFaults(false)
	world.config = rest.CopyConfig(restConfig)
	if inCluster != nil {
		world.config.Wrap(inCluster.wrap)
	}
	world.startManager()
	l.group.Go(func() {
		defer func() { <-l.slots }()
		defer world.stop()
		t.Run(name, life.run)
	})
}

// faultyLife is a runner and a project from creation to deletion, with a change of everything in between.
type faultyLife struct {
	account   *cloud
	namespace string
	inCluster *kubeFault
	faults    []awsemulator.Fault
	boundary  string
	// runnerFirst deletes the runner before its project.
	runnerFirst bool
}

// byHand are the calls that the test makes too. They fail once it has made them.
var byHand = []string{"ecr:PutImageTagMutability", "iam:UpdateAssumeRolePolicy", "iam:TagRole"}

func (l *faultyLife) addFaults(afterHands bool) {
	for _, fault := range l.faults {
		if slices.Contains(byHand, fault.Operation) == afterHands {
			l.account.Faults().Add(fault)
		}
	}
}

const (
	lifeRunner  = "r1"
	lifeProject = "p1"
	// foreign is a repository that looks like the controller's and is another's.
	foreign = "gitpod-runner-r1/projects/foreign/image-build"
)

func (l *faultyLife) prepare(t *testing.T) {
	t.Helper()
	l.account.stack(t, "runner-stack", "1", map[string]string{"team": "core", "former": "1"})
	_, err := l.account.ecr.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{
		RepositoryName: ptrTo(foreign), Tags: []ecrtypes.Tag{{Key: ptrTo("imagecache.dev/owner"), Value: ptrTo("another/" + l.namespace + "/p1")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	policy, err := l.account.iam.CreatePolicy(t.Context(), &iam.CreatePolicyInput{PolicyName: ptrTo("boundary"), PolicyDocument: ptrTo(allowAll)})
	if err != nil {
		t.Fatal(err)
	}
	l.boundary = *policy.Policy.Arn
}

func (l *faultyLife) run(t *testing.T) {
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(25 * time.Second)
	g.SetDefaultEventuallyPollingInterval(tick)
	runner := create(t, runnerObject(l.namespace, lifeRunner, func(s *v1alpha1.RunnerImageCacheSpec) { s.StackName = "runner-stack" }))
	project := create(t, projectObject(l.namespace, lifeProject, lifeRunner, func(s *v1alpha1.ProjectImageCacheSpec) {
		s.Tags = []v1alpha1.Tag{{Key: "first", Value: ptrTo("1")}}
	}))
	create(t, requestObject(l.namespace, "e1", lifeProject))
	l.made(g, runner, project)
	l.account.putImage(t, project, "old")
	l.account.updateStack(t, "runner-stack", "1", map[string]string{"team": "core"})
	l.change(g, runner, project)
	l.changed(g, runner, project)
	if l.runnerFirst {
		g.Expect(kube.Delete(t.Context(), runner)).To(Succeed())
		g.Eventually(func(g Gomega) { g.Expect(reason(g, runner, v1alpha1.ConditionReady)).To(Equal("False/ProjectsRemain")) }).Should(Succeed())
	}
	g.Expect(kube.Delete(t.Context(), project)).To(Succeed())
	g.Expect(client.IgnoreNotFound(kube.Delete(t.Context(), runner))).To(Succeed())
	l.gone(g, runner, project)
	l.failed(g)
}

func (l *faultyLife) made(g *WithT, runner *v1alpha1.RunnerImageCache, project *v1alpha1.ProjectImageCache) {
	name := repositoryOf(lifeRunner, lifeProject)
	g.Eventually(func(g Gomega) {
		g.Expect(reason(g, runner, v1alpha1.ConditionReady)).To(Equal("True/Succeeded"))
		g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded"))
		g.Expect(reason(g, project, v1alpha1.ConditionPullCredentialsReady)).To(Equal("True/Succeeded"))
	}).Should(Succeed())
	g.Expect(project.Status.Repository.Name).To(Equal(name))
	g.Expect(project.Status.Repository.Origin).To(Equal(v1alpha1.RepositoryCreated), "what the controller made it may remove")
	_, tags := l.account.repository(context.Background(), name)
	g.Expect(tags).To(Equal(map[string]string{
		"team": "core", "former": "1", "first": "1", "imagecache-project": lifeProject, "imagecache.dev/origin": "Created",
		"imagecache.dev/owner": ownerOf(project),
	}))
	g.Expect(l.account.lifecycleDays(context.Background(), name)).To(Equal(30))
	g.Expect(pullSecrets(l.namespace)).To(HaveLen(1))
}

// change makes everything other than it is wanted, by the objects' specs and by hand.
func (l *faultyLife) change(g *WithT, runner *v1alpha1.RunnerImageCache, project *v1alpha1.ProjectImageCache) {
	ctx, name, role := context.Background(), project.Status.Repository.Name, "imagecache-r1-us-east-1-pull"
	_, mutability := l.account.ecr.PutImageTagMutability(ctx, &ecr.PutImageTagMutabilityInput{RepositoryName: &name, ImageTagMutability: ecrtypes.ImageTagMutabilityMutable})
	_, trust := l.account.iam.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{
		RoleName: &role, PolicyDocument: ptrTo(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:TagSession"}]}`),
	})
	_, tags := l.account.iam.TagRole(ctx, &iam.TagRoleInput{RoleName: &role, Tags: []iamtypes.Tag{{Key: ptrTo("team"), Value: ptrTo("mine")}, {Key: ptrTo("stray"), Value: ptrTo("1")}}})
	g.Expect(fmt.Sprint(mutability, trust, tags)).To(Equal("<nil> <nil> <nil>"), "what is changed by hand")
	l.addFaults(true)
	time.Sleep(1100 * time.Millisecond) // times in the API have whole seconds
	l.patch(g, project, fmt.Sprintf(`{"spec":{"retentionDays":9,"tags":[{"key":"second","value":"2"}],"readers":["arn:aws:iam::123456789012:role/scanner"],"invalidatePushedBefore":%q}}`,
		time.Now().UTC().Format(time.RFC3339)))
	l.patch(g, runner, fmt.Sprintf(`{"spec":{"roles":{"permissionsBoundaryARN":%q}}}`, l.boundary))
	g.Eventually(func() string { return l.account.roleAsText(role) }).Should(ContainSubstring("policy/boundary"))
	l.patch(g, runner, `{"spec":{"roles":{"permissionsBoundaryARN":null}}}`)
}

func (l *faultyLife) patch(g *WithT, object client.Object, patch string) {
	g.Expect(kube.Patch(context.Background(), object, client.RawPatch("application/merge-patch+json", []byte(patch)))).To(Succeed())
}

func (l *faultyLife) changed(g *WithT, runner *v1alpha1.RunnerImageCache, project *v1alpha1.ProjectImageCache) {
	ctx, name := context.Background(), project.Status.Repository.Name
	g.Eventually(func(g Gomega) {
		for _, object := range []client.Object{runner, project} {
			g.Expect(reason(g, object, v1alpha1.ConditionReady)).To(Equal("True/Succeeded"))
			for _, condition := range conditionsOf(object) {
				g.Expect(condition.ObservedGeneration).To(BeNumerically("<=", object.GetGeneration()))
			}
		}
		g.Expect(project.Status.ObservedGeneration).To(Equal(project.Generation))
		g.Expect(runner.Status.ObservedGeneration).To(Equal(runner.Generation))
		found, tags := l.account.repository(ctx, name)
		g.Expect(found).NotTo(BeNil())
		g.Expect(string(found.Repositories[0].ImageTagMutability)).To(Equal("IMMUTABLE"))
		g.Expect(slices.Sorted(maps.Keys(tags))).To(Equal([]string{"imagecache-project", "imagecache.dev/origin", "imagecache.dev/owner", "second", "team"}))
		g.Expect(l.account.lifecycleDays(ctx, name)).To(Equal(9))
		policy, err := l.account.ecr.GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: &name})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(*policy.PolicyText).To(ContainSubstring("role/scanner"))
		images, err := l.account.ecr.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: &name})
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(images.ImageDetails).To(BeEmpty())
		for _, purpose := range []string{"pull", "push"} {
			role := l.account.roleAsText("imagecache-r1-us-east-1-" + purpose)
			g.Expect(role).To(ContainSubstring("imagecache-controller"), "the trust policy")
			g.Expect(role).To(ContainSubstring("ecr:GetAuthorizationToken"), "the inline policy")
			g.Expect(role).To(ContainSubstring("team:core"))
			g.Expect(role).NotTo(ContainSubstring("former"), "a tag that the stack has no more")
			g.Expect(strings.Contains(role, "stray")).To(Equal(purpose == "pull"), "another's tag stays")
			g.Expect(role).NotTo(ContainSubstring("policy/boundary"))
		}
	}).Should(Succeed())
}

// gone waits until the objects are removed, and holds that nothing of theirs is left, and all that is another's.
func (l *faultyLife) gone(g *WithT, objects ...client.Object) {
	for _, object := range objects {
		g.Eventually(func() bool { return apierrors.IsNotFound(kube.Get(context.Background(), keyOf(object), object)) }).Should(BeTrue(), func() string {
			said := ""
			for _, stays := range objects {
				said += fmt.Sprintf("%T, generation %d: %s\n", stays, stays.GetGeneration(), describe(stays))
			}
			return said
		})
	}
	left, err := l.account.ecr.DescribeRepositories(context.Background(), &ecr.DescribeRepositoriesInput{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(left.Repositories).To(HaveLen(1))
	g.Expect(*left.Repositories[0].RepositoryName).To(Equal(foreign))
	roles, err := l.account.iam.ListRoles(context.Background(), &iam.ListRolesInput{})
	g.Expect(err).NotTo(HaveOccurred())
	for _, role := range roles.Roles {
		g.Expect(*role.RoleName).NotTo(HavePrefix("imagecache-r1-"))
	}
	g.Expect(pullSecrets(l.namespace)).To(BeEmpty())
}

// failed holds that the faults were met: a life that never made the call shows nothing.
func (l *faultyLife) failed(g *WithT) {
	for _, left := range l.account.Faults().All() {
		// A call that is tried again after it acted may be answered otherwise, which uses up no fault.
		g.Expect(left.AfterEffect && left.Next < perAttempt).To(BeTrue(), "no call met the fault of %s", left.Operation)
	}
	if l.inCluster != nil {
		g.Expect(l.inCluster.met.Load()).To(BeNumerically(">=", 2), "writes that failed")
	}
}

// kubeFault lets the first write that matches fail before it acts, and the second after it acted; or all before.
type kubeFault struct {
	pattern *regexp.Regexp
	always  bool
	met     atomic.Int32
}

func (f *kubeFault) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		if request.Method == http.MethodGet {
			return next.RoundTrip(request)
		}
		body, err := bodyOf(request)
		if err != nil {
			return nil, err
		}
		if !f.pattern.MatchString(fmt.Sprintf("%s %s?%s %s", request.Method, request.URL.Path, request.URL.RawQuery, body)) {
			return next.RoundTrip(request)
		}
		switch met := f.met.Add(1); {
		case f.always, met == 1:
		case met == 2:
			answer, err := next.RoundTrip(request)
			if err != nil {
				return nil, err
			}
			_ = answer.Body.Close() // nobody reads it
		default:
			return next.RoundTrip(request)
		}
		const failure = `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"the test makes this fail","reason":"InternalError","code":500}`
		return &http.Response{
			StatusCode: http.StatusInternalServerError, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: request,
			Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(failure)),
		}, nil
	})
}

// bodyOf reads a request's body and puts it back.
func bodyOf(request *http.Request) ([]byte, error) {
	if request.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	request.Body = io.NopCloser(bytes.NewReader(body))
	return body, nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }
