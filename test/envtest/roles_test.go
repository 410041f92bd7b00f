package envtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers"
	"imagecache.dev/test/awsemulator"
)

// roleAsText is all that can drift of a role.
func (c *cloud) roleAsText(name string) string {
	ctx := context.Background()
	out, err := c.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	if err != nil {
		return err.Error()
	}
	tags := map[string]string{}
	for _, tag := range out.Role.Tags {
		tags[*tag.Key] = *tag.Value
	}
	policy := "none"
	if inline, err := c.iam.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &name, PolicyName: ptrTo("imagecache")}); err == nil {
		if policy, err = url.PathUnescape(*inline.PolicyDocument); err != nil {
			return err.Error()
		}
	}
	trust, err := url.PathUnescape(*out.Role.AssumeRolePolicyDocument)
	if err != nil {
		return err.Error()
	}
	boundary := "no boundary"
	if out.Role.PermissionsBoundary != nil {
		boundary = *out.Role.PermissionsBoundary.PermissionsBoundaryArn
	}
	return fmt.Sprint(trust, policy, tags, boundary)
}

func TestRolesThatDriftArePutRight(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.aws.stack(t, "runner-stack", "1", map[string]string{"team": "core"})
	h.settings.Intervals = controllers.Intervals{Roles: 500 * time.Millisecond, Stack: 500 * time.Millisecond, StackCalls: 10000}
	h.startManager()
	runner := create(t, runnerObject(h.namespace, "r1", func(s *v1alpha1.RunnerImageCacheSpec) { s.StackName = "runner-stack" }))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, runner, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	name := "imagecache-r1-us-east-1-pull"
	asItShouldBe := h.aws.roleAsText(name)
	h.Expect(asItShouldBe).To(ContainSubstring("team:core"))

	for told, drift := range map[string]func(ctx context.Context) error{
		"the trust policy was changed": func(ctx context.Context) error {
			_, err := h.aws.iam.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: &name, PolicyDocument: ptrTo(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}`)})
			return err
		},
		"the inline policy was changed": func(ctx context.Context) error {
			_, err := h.aws.iam.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &name, PolicyName: ptrTo("imagecache"), PolicyDocument: ptrTo(allowAll)})
			return err
		},
		"the inline policy was removed": func(ctx context.Context) error {
			_, err := h.aws.iam.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &name, PolicyName: ptrTo("imagecache")})
			return err
		},
		"tags were missing or had other values: team": func(ctx context.Context) error {
			_, err := h.aws.iam.TagRole(ctx, &iam.TagRoleInput{RoleName: &name, Tags: []iamtypes.Tag{{Key: ptrTo("team"), Value: ptrTo("mine")}}})
			return err
		},
		"tags existed that are no longer wanted: stray": func(ctx context.Context) error {
			_, err := h.aws.iam.TagRole(ctx, &iam.TagRoleInput{RoleName: &name, Tags: []iamtypes.Tag{{Key: ptrTo("stray"), Value: ptrTo("yes")}}})
			return err
		},
	} {
		h.Expect(drift(t.Context())).To(Succeed(), told)
		h.Expect(h.aws.roleAsText(name)).NotTo(Equal(asItShouldBe), told)
		h.Eventually(func() string { return h.aws.roleAsText(name) }, soon, tick).Should(Equal(asItShouldBe), told)
		// Events of one kind within some minutes are one, with the first one's note.
		if !strings.Contains(told, "inline policy") {
			h.Eventually(func() []string { return notes(h.namespace, "DriftCorrected") }, soon, tick).Should(ContainElement(HaveSuffix(name + ": " + told)))
		}
	}
	h.Eventually(func() []string { return notes(h.namespace, "DriftCorrected") }, soon, tick).Should(ContainElement(ContainSubstring("the inline policy was")))

	h.aws.updateStack(t, "runner-stack", "1", map[string]string{"team": "edge"})
	h.Eventually(func() string { return h.aws.roleAsText(name) }, soon, tick).Should(ContainSubstring("team:edge"))
}

func TestRoleOfSomebodyElseIsLeftAlone(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.aws.makeRole(t, "imagecache-r1-us-east-1-pull", allowAll)
	before := h.aws.roleAsText("imagecache-r1-us-east-1-pull")
	h.startManager()
	runner := create(t, runnerObject(h.namespace, "r1"))
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, runner, v1alpha1.ConditionRolesReady)).To(Equal("False/RoleNotOwned"))
		g.Expect(reason(g, runner, v1alpha1.ConditionStalled)).To(Equal("True/RoleNotOwned"))
	}, soon, tick).Should(Succeed())
	h.Expect(h.aws.roleAsText("imagecache-r1-us-east-1-pull")).To(Equal(before))
	h.Expect(kube.Delete(t.Context(), runner)).To(Succeed())
	h.Eventually(func() error { return kube.Get(context.Background(), keyOf(runner), runner) }, soon, tick).ShouldNot(Succeed())
	h.Expect(h.aws.roleAsText("imagecache-r1-us-east-1-pull")).To(Equal(before))
}

func TestProvidedRolesAreTriedAndNeverWritten(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	pull := h.aws.makeRole(t, "imagecache-mine-pull", allowAll)
	push := h.aws.makeRole(t, "imagecache-mine-push", allowAll)
	h.aws.Calls().Reset()
	h.startManager()
	runner := create(t, runnerObject(h.namespace, "r1", func(s *v1alpha1.RunnerImageCacheSpec) {
		s.Roles = v1alpha1.RunnerRoles{Type: v1alpha1.RolesProvided, PullRoleARN: pull, PushRoleARN: push}
	}))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, runner, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	h.Expect(runner.Status.PullRoleARN).To(Equal(pull))
	h.Expect(h.aws.Calls().Counts()).To(Equal(map[string]int{"sts:GetCallerIdentity": 1, "sts:AssumeRole": 2}))

	// One that trusts somebody else is told, with the reason that AWS gives.
	other := create(t, runnerObject(h.namespace, "r2", func(s *v1alpha1.RunnerImageCacheSpec) {
		s.Roles = v1alpha1.RunnerRoles{Type: v1alpha1.RolesProvided, PullRoleARN: pull, PushRoleARN: "arn:aws:iam::123456789012:role/imagecache-none-push"}
	}))
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, other, v1alpha1.ConditionRolesReady)).To(Equal("False/RoleNotAssumable"))
		g.Expect(describe(other)).To(ContainSubstring("imagecache-none-push"))
	}, soon, tick).Should(Succeed())
}

// A runner that names a role which its namespace may not use does not reach anything with it: not by itself, not by its
// projects, not by their deletion, not by requests.
func TestRoleThatIsNotAllowedIsNeverUsed(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, allowAll))
	mine, theirs := h.aws.makeRole(t, "mine", allowAll), h.aws.makeRole(t, "theirs", allowAll)
	h.settings.AssumeRoles = []string{h.namespace + "=" + mine, "another=" + theirs}
	h.settings.Intervals = controllers.Intervals{Drift: 200 * time.Millisecond}
	h.startManager()
	runner := create(t, runnerObject(h.namespace, "r1", func(s *v1alpha1.RunnerImageCacheSpec) { s.AssumeRoleARN = mine }))
	var projects []*v1alpha1.ProjectImageCache
	for n := range 10 {
		projects = append(projects, create(t, projectObject(h.namespace, fmt.Sprintf("p%d", n), "r1")))
		create(t, requestObject(h.namespace, fmt.Sprintf("e%d", n), projects[n].Name))
	}
	for _, project := range projects {
		h.Eventually(func(g Gomega) {
			g.Expect(reason(g, project, v1alpha1.ConditionPullCredentialsReady)).To(Equal("True/Succeeded"))
		}, soon, tick).Should(Succeed())
	}
	alone := create(t, runnerObject(h.namespace, "r2", func(s *v1alpha1.RunnerImageCacheSpec) { s.AssumeRoleARN = mine }))
	h.Eventually(func(g Gomega) { g.Expect(reason(g, alone, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	patch := client.RawPatch("application/merge-patch+json", []byte(fmt.Sprintf(`{"spec":{"assumeRoleARN":%q}}`, theirs)))
	h.Expect(kube.Patch(t.Context(), alone, patch)).To(Succeed())
	h.Expect(kube.Delete(t.Context(), alone)).To(Succeed())
	h.Expect(kube.Patch(t.Context(), runner, patch)).To(Succeed())
	// Requests whose project was ready before: some at once, which may see the runner as it was, and one afterwards.
	for n := range 5 {
		create(t, requestObject(h.namespace, fmt.Sprintf("at-once-%d", n), projects[n+1].Name))
	}
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, runner, v1alpha1.ConditionStalled)).To(Equal("True/AssumeRoleNotAllowed"))
		for _, project := range projects {
			g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("False/WaitingForRunner"))
		}
	}, soon, tick).Should(Succeed())
	later := create(t, requestObject(h.namespace, "later", projects[1].Name))
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, later, v1alpha1.ConditionLookedUp)).To(Equal("False/WaitingForRunner"))
	}, soon, tick).Should(Succeed())
	h.Expect(kube.Delete(t.Context(), projects[0])).To(Succeed())
	h.Consistently(func() error {
		return errors.Join(kube.Get(context.Background(), keyOf(projects[0]), projects[0]), kube.Get(context.Background(), keyOf(alone), alone))
	}, time.Second, tick).Should(Succeed())
	h.Expect(reason(h, alone, v1alpha1.ConditionReady)).To(Equal("False/AssumeRoleNotAllowed"))
	for _, call := range h.aws.Calls().All() {
		h.Expect(call.Principal).NotTo(ContainSubstring("theirs"), call.Operation)
		h.Expect(call.Operation == "sts:AssumeRole" && call.Resource == theirs).To(BeFalse(), "the role was assumed")
	}
	// What it may use again, it reaches again.
	patch = client.RawPatch("application/merge-patch+json", []byte(fmt.Sprintf(`{"spec":{"assumeRoleARN":%q}}`, mine)))
	h.Expect(kube.Patch(t.Context(), runner, patch)).To(Succeed())
	h.Expect(kube.Patch(t.Context(), alone, patch)).To(Succeed())
	h.Eventually(func() error { return kube.Get(context.Background(), keyOf(projects[0]), projects[0]) }, soon, tick).ShouldNot(Succeed())
	h.Eventually(func() error { return kube.Get(context.Background(), keyOf(alone), alone) }, soon, tick).ShouldNot(Succeed())
	h.Expect(roleNames(t, h.aws)).NotTo(ContainElement(HavePrefix("imagecache-r2")))
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, projects[1], v1alpha1.ConditionReady)).To(Equal("True/Succeeded"))
		g.Expect(reason(g, later, v1alpha1.ConditionLookedUp)).To(Equal("True/Miss"))
	}, soon, tick).Should(Succeed())
}

// A manager that is started with the credentials of another account than before asks nothing there but whose they are: it
// does not take what the objects say for what it reaches.
func TestManagerInAnotherAccountAsksNothingThere(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, leastPrivilege(t)))
	h.startManager()
	runners := []*v1alpha1.RunnerImageCache{
		create(t, runnerObject(h.namespace, "r0", func(s *v1alpha1.RunnerImageCacheSpec) { s.AccountID = h.aws.AccountID() })),
		create(t, runnerObject(h.namespace, "r1")),
	}
	var projects []*v1alpha1.ProjectImageCache
	for n := range 20 {
		projects = append(projects, create(t, projectObject(h.namespace, fmt.Sprintf("p%d", n), fmt.Sprintf("r%d", n%2))))
	}
	for _, project := range projects {
		h.Eventually(func(g Gomega) { g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	}
	create(t, requestObject(h.namespace, "before", projects[1].Name))
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, projects[1], v1alpha1.ConditionPullCredentialsReady)).To(Equal("True/Succeeded"))
	}, soon, tick).Should(Succeed())
	h.stop()

	other := startCloud(t, awsemulator.Options{AccountID: "999999999999"}, leastPrivilege(t))
	for n, project := range projects {
		create(t, requestObject(h.namespace, fmt.Sprintf("e%d", n), project.Name))
	}
	h.settings.Intervals = controllers.Intervals{Drift: 200 * time.Millisecond}
	h.startManager()
	h.Eventually(func(g Gomega) {
		for _, runner := range runners {
			g.Expect(reason(g, runner, v1alpha1.ConditionStalled)).To(Equal("True/AccountMismatch"))
		}
		for _, project := range projects {
			g.Expect(reason(g, project, v1alpha1.ConditionReady)).To(Equal("False/WaitingForRunner"))
		}
	}, soon, tick).Should(Succeed())
	h.Consistently(func() map[string]int { return other.Calls().Counts() }, time.Second, tick).Should(Equal(map[string]int{"sts:GetCallerIdentity": 1}))

	// Told to, the runner begins anew there.
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"accountID":"999999999999"}}`))
	h.Expect(kube.Patch(t.Context(), runners[1], patch)).To(Succeed())
	h.Eventually(func(g Gomega) {
		g.Expect(reason(g, projects[1], v1alpha1.ConditionReady)).To(Equal("True/Succeeded"))
		g.Expect(projects[1].Status.Repository.ARN).To(ContainSubstring(":999999999999:"))
		g.Expect(projects[1].Status.PullCredentials).NotTo(BeNil())
		secret := &corev1.Secret{}
		g.Expect(kube.Get(context.Background(), client.ObjectKey{Namespace: h.namespace, Name: projects[1].Status.PullCredentials.SecretName}, secret)).To(Succeed())
		host, _, _ := strings.Cut(projects[1].Status.Repository.URI, "/")
		g.Expect(string(secret.Data[corev1.DockerConfigJsonKey])).To(ContainSubstring(host))
		g.Expect(reason(g, projects[0], v1alpha1.ConditionReady)).To(Equal("False/WaitingForRunner"))
	}, soon, tick).Should(Succeed())
}
