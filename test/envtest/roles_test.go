package envtest

import (
	"context"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	. "github.com/onsi/gomega"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/awsemulator"
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
		policy = *inline.PolicyDocument
	}
	trust, err := url.PathUnescape(*out.Role.AssumeRolePolicyDocument)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(trust, policy, tags, out.Role.PermissionsBoundary)
}

func TestRolesThatDriftArePutRight(t *testing.T) {
	g, namespace := NewWithT(t), newNamespace(t)
	account := startCloud(t, awsemulator.Options{}, leastPrivilege(t))
	account.stack(t, "runner-stack", "1", map[string]string{"team": "core"})
	startManager(t, namespace, managerSettings{rolesInterval: 500 * time.Millisecond, stackInterval: 500 * time.Millisecond})
	runner := create(t, runnerObject(namespace, "r1", func(s *v1alpha1.RunnerImageCacheSpec) { s.StackName = "runner-stack" }))
	g.Eventually(func(g Gomega) { g.Expect(reason(g, runner, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	name := "imagecache-r1-us-east-1-pull"
	asItShouldBe := account.roleAsText(name)
	g.Expect(asItShouldBe).To(ContainSubstring("team:core"))

	for what, drift := range map[string]func(ctx context.Context) error{
		"trust": func(ctx context.Context) error {
			_, err := account.iam.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: &name, PolicyDocument: ptrTo(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]}`)})
			return err
		},
		"policy": func(ctx context.Context) error {
			_, err := account.iam.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &name, PolicyName: ptrTo("imagecache"), PolicyDocument: ptrTo(allowAll)})
			return err
		},
		"policy removed": func(ctx context.Context) error {
			_, err := account.iam.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &name, PolicyName: ptrTo("imagecache")})
			return err
		},
		"a tag": func(ctx context.Context) error {
			_, err := account.iam.TagRole(ctx, &iam.TagRoleInput{RoleName: &name, Tags: []iamtypes.Tag{{Key: ptrTo("team"), Value: ptrTo("mine")}}})
			return err
		},
		"another tag": func(ctx context.Context) error {
			_, err := account.iam.TagRole(ctx, &iam.TagRoleInput{RoleName: &name, Tags: []iamtypes.Tag{{Key: ptrTo("stray"), Value: ptrTo("yes")}}})
			return err
		},
	} {
		g.Expect(drift(t.Context())).To(Succeed(), what)
		g.Expect(account.roleAsText(name)).NotTo(Equal(asItShouldBe), what)
		g.Eventually(func() string { return account.roleAsText(name) }, soon, tick).Should(Equal(asItShouldBe), what)
	}
	g.Eventually(func() []string { return notes(namespace, "DriftCorrected") }, soon, tick).ShouldNot(BeEmpty())

	account.updateStack(t, "runner-stack", "1", map[string]string{"team": "edge"})
	g.Eventually(func() string { return account.roleAsText(name) }, soon, tick).Should(ContainSubstring("team:edge"))
}

func TestRoleOfSomebodyElseIsLeftAlone(t *testing.T) {
	g, namespace := NewWithT(t), newNamespace(t)
	account := startCloud(t, awsemulator.Options{}, leastPrivilege(t))
	account.makeRole(t, "imagecache-r1-us-east-1-pull", allowAll)
	before := account.roleAsText("imagecache-r1-us-east-1-pull")
	startManager(t, namespace, managerSettings{})
	runner := create(t, runnerObject(namespace, "r1"))
	g.Eventually(func(g Gomega) {
		g.Expect(reason(g, runner, v1alpha1.ConditionRolesReady)).To(Equal("False/RoleNotOwned"))
		g.Expect(reason(g, runner, v1alpha1.ConditionStalled)).To(Equal("True/RoleNotOwned"))
	}, soon, tick).Should(Succeed())
	g.Expect(account.roleAsText("imagecache-r1-us-east-1-pull")).To(Equal(before))
	g.Expect(kube.Delete(t.Context(), runner)).To(Succeed())
	g.Eventually(func() error { return kube.Get(context.Background(), keyOf(runner), runner) }, soon, tick).ShouldNot(Succeed())
	g.Expect(account.roleAsText("imagecache-r1-us-east-1-pull")).To(Equal(before))
}

func TestProvidedRolesAreTriedAndNeverWritten(t *testing.T) {
	g, namespace := NewWithT(t), newNamespace(t)
	account := startCloud(t, awsemulator.Options{}, leastPrivilege(t))
	pull := account.makeRole(t, "imagecache-mine-pull", allowAll)
	push := account.makeRole(t, "imagecache-mine-push", allowAll)
	account.Calls().Reset()
	startManager(t, namespace, managerSettings{})
	runner := create(t, runnerObject(namespace, "r1", func(s *v1alpha1.RunnerImageCacheSpec) {
		s.Roles = v1alpha1.RunnerRoles{Type: v1alpha1.RolesProvided, PullRoleARN: pull, PushRoleARN: push}
	}))
	g.Eventually(func(g Gomega) { g.Expect(reason(g, runner, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
	g.Expect(runner.Status.PullRoleARN).To(Equal(pull))
	g.Expect(account.Calls().Counts()).To(Equal(map[string]int{"sts:GetCallerIdentity": 1, "sts:AssumeRole": 2}))

	// One that trusts somebody else is told, with the reason that AWS gives.
	other := create(t, runnerObject(namespace, "r2", func(s *v1alpha1.RunnerImageCacheSpec) {
		s.Roles = v1alpha1.RunnerRoles{Type: v1alpha1.RolesProvided, PullRoleARN: pull, PushRoleARN: "arn:aws:iam::123456789012:role/imagecache-none-push"}
	}))
	g.Eventually(func(g Gomega) {
		g.Expect(reason(g, other, v1alpha1.ConditionRolesReady)).To(Equal("False/RoleNotAssumable"))
		g.Expect(describe(other)).To(ContainSubstring("imagecache-none-push"))
	}, soon, tick).Should(Succeed())
}
