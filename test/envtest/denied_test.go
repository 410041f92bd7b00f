package envtest

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers"
	"imagecache.dev/test/awsemulator"
)

// denial is one action that a runner's controller role lacks.
type denial struct {
	action    string
	condition string // where the lack is told
	atFirst   bool   // from the beginning, and else once everything is made
	runner    *v1alpha1.RunnerImageCache
	project   *v1alpha1.ProjectImageCache
}

// subject is the object that tells.
func (d *denial) subject() client.Object {
	if strings.HasPrefix(d.action, "iam:") {
		return d.runner
	}
	return d.project
}

func (d *denial) role() string {
	return strings.ToLower(strings.ReplaceAll(d.action, ":", "-"))
}

// Each permission is missing in turn, for one of the five calls that put a repository right and for the two that come
// first of all: the other calls are made, the condition names the action, and all is well within a minute of the
// permission's arrival. So is a change of the stack's tags, at the interval of production.
//
// Each action is missing from a role of its own, by which one runner reaches the account, so that all wait together.
func TestMissingPermissionNamesItsActionAndHealsWhenItArrives(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, allowAll))
	h.aws.stack(t, "runner-stack", "1", map[string]string{"team": "core"})
	denials := []*denial{
		{action: "ecr:PutImageTagMutability", condition: v1alpha1.ConditionRepositoryReady},
		{action: "ecr:PutLifecyclePolicy", condition: v1alpha1.ConditionLifecyclePolicyReady},
		{action: "ecr:SetRepositoryPolicy", condition: v1alpha1.ConditionRepositoryPolicyReady},
		{action: "ecr:TagResource", condition: v1alpha1.ConditionTagsReady},
		{action: "ecr:UntagResource", condition: v1alpha1.ConditionTagsReady},
		{action: "ecr:CreateRepository", condition: v1alpha1.ConditionRepositoryReady, atFirst: true},
		{action: "iam:PutRolePolicy", condition: v1alpha1.ConditionRolesReady, atFirst: true},
	}
	var arns, allowed []string
	for _, d := range denials {
		policy := leastPrivilege(t)
		if d.atFirst {
			policy = without(t, d.action)
		}
		arns = append(arns, h.aws.makeRole(t, d.role(), policy))
		allowed = append(allowed, h.namespace+"="+arns[len(arns)-1])
	}
	// The roles share the calls to CloudFormation of one account: each reads its stack on its own.
	h.settings.AssumeRoles, h.settings.Intervals.Stack = allowed, 30*time.Second
	h.startManager()
	for n, d := range denials {
		d.runner = create(t, runnerObject(h.namespace, d.role(), func(s *v1alpha1.RunnerImageCacheSpec) { s.AssumeRoleARN, s.StackName = arns[n], "runner-stack" }))
		d.project = create(t, projectObject(h.namespace, d.role(), d.role(), func(s *v1alpha1.ProjectImageCacheSpec) {
			s.Tags = []v1alpha1.Tag{{Key: "first", Value: ptrTo("1")}}
		}))
	}
	for _, d := range denials {
		if !d.atFirst {
			h.Eventually(func(g Gomega) { g.Expect(reason(g, d.project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded")) }, soon, tick).Should(Succeed())
			h.aws.permit(t, d.role(), without(t, d.action))
			h.aws.disarrange(h.WithT, d.project)
		}
	}
	for _, d := range denials {
		h.Eventually(func(g Gomega) {
			g.Expect(reason(g, d.subject(), d.condition)).To(Equal("False/AccessDenied"), d.action)
			g.Expect(reason(g, d.subject(), v1alpha1.ConditionReady)).To(Equal("False/AccessDenied"), d.action)
			g.Expect(describe(d.subject())).To(ContainSubstring(d.action))
		}, soon, tick).Should(Succeed())
		if !d.atFirst {
			for call, done := range h.aws.callsDone(d.project) {
				h.Expect(done).To(Equal(call != d.action), "without %s: %s is done", d.action, call)
			}
		}
	}

	for _, d := range denials {
		h.aws.permit(t, d.role(), leastPrivilege(t))
	}
	h.aws.updateStack(t, "runner-stack", "1", map[string]string{"team": "edge"})
	arrived := time.Now()
	for _, d := range denials {
		h.Eventually(func(g Gomega) {
			g.Expect(reason(g, d.runner, v1alpha1.ConditionReady)).To(Equal("True/Succeeded"), d.action)
			g.Expect(reason(g, d.project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded"), d.action)
			_, tags := h.aws.repository(context.Background(), repositoryOf(d.runner.Spec.RunnerID, d.role()))
			g.Expect(tags).To(HaveKeyWithValue("team", "edge"))
		}, time.Minute-time.Since(arrived), tick).Should(Succeed())
		if !d.atFirst {
			for call, done := range h.aws.callsDone(d.project) {
				h.Expect(done).To(BeTrue(), "at the end %s is done", call)
			}
		}
	}
	t.Logf("all healed %s after the permissions arrived", time.Since(arrived).Round(time.Second))
}

// disarrange makes five calls necessary for a project: the switch of mutability by hand, the rest by its spec.
func (c *cloud) disarrange(g *WithT, project *v1alpha1.ProjectImageCache) {
	_, err := c.ecr.PutImageTagMutability(context.Background(), &ecr.PutImageTagMutabilityInput{
		RepositoryName: &project.Status.Repository.Name, ImageTagMutability: ecrtypes.ImageTagMutabilityMutable,
	})
	g.Expect(err).NotTo(HaveOccurred())
	patch := `{"spec":{"retentionDays":9,"readers":["arn:aws:iam::123456789012:role/scanner"],"tags":[{"key":"second","value":"2"}]}}`
	g.Expect(kube.Patch(context.Background(), project, client.RawPatch("application/merge-patch+json", []byte(patch)))).To(Succeed())
}

// callsDone says of each of the five calls whether what it does is done.
func (c *cloud) callsDone(project *v1alpha1.ProjectImageCache) map[string]bool {
	ctx, name := context.Background(), project.Status.Repository.Name
	found, tags := c.repository(ctx, name)
	if found == nil {
		return map[string]bool{"the repository is gone": false}
	}
	policy, err := c.ecr.GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: &name})
	_, first := tags["first"]
	_, second := tags["second"]
	return map[string]bool{
		"ecr:PutImageTagMutability": found.Repositories[0].ImageTagMutability == ecrtypes.ImageTagMutabilityImmutable,
		"ecr:PutLifecyclePolicy":    c.lifecycleDays(ctx, name) == 9,
		"ecr:SetRepositoryPolicy":   err == nil && strings.Contains(*policy.PolicyText, "role/scanner"),
		"ecr:TagResource":           second,
		"ecr:UntagResource":         !first,
	}
}

// without is the controller's policy less one action.
func without(t *testing.T, action string) string {
	t.Helper()
	policy := leastPrivilege(t)
	pattern := regexp.MustCompile(`"` + action + `",\s*|,\s*"` + action + `"`)
	if less := pattern.ReplaceAllString(policy, ""); less != policy {
		return less
	}
	t.Fatalf("config/aws/controller-policy.json has no action %s", action)
	return ""
}

// Policies that can't be read are told of, and the project stays ready: they are not known to be wrong.
func TestPoliciesThatCannotBeReadAreTold(t *testing.T) {
	h := newWorld(t, startCloud(t, awsemulator.Options{}, without(t, "ecr:GetLifecyclePolicy")))
	h.settings.Intervals = controllers.Intervals{Sweep: time.Second}
	h.startManager()
	create(t, runnerObject(h.namespace, "r1"))
	project := create(t, projectObject(h.namespace, "p1", "r1"))
	h.Eventually(func() []string { return notes(h.namespace, "DriftNotSeen") }, soon, tick).Should(ContainElement(ContainSubstring("ecr:GetLifecyclePolicy")))
	h.Expect(reason(h, project, v1alpha1.ConditionReady)).To(Equal("True/Succeeded"))
	h.Expect(h.aws.Calls().Count("ecr:PutLifecyclePolicy")).To(Equal(1))
}
