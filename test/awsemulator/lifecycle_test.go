package awsemulator_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"

	"imagecache.dev/test/awsemulator"
)

const day = 24 * time.Hour

func lifecycle(rules ...string) string {
	text := `{"rules":[` + strings.Join(rules, ",") + `]}`
	return text + strings.Repeat(" ", max(0, 100-len(text)))
}

func rule(priority int, selection, action string) string {
	return fmt.Sprintf(`{"rulePriority":%d,"selection":{%s},"action":{%s}}`, priority, selection, action)
}

const (
	expire  = `"type":"expire"`
	archive = `"type":"transition","targetStorageClass":"archive"`
	in30    = `"countType":"sinceImagePushed","countUnit":"days","countNumber":30`
)

// https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html
func TestPutLifecyclePolicyValidates(t *testing.T) {
	c := root(t, start(t, awsemulator.Options{}))
	createRepository(t, c, "app")
	good := lifecycle(rule(1, `"tagStatus":"any",`+in30, expire))
	for _, tc := range []struct {
		name, text string
		ok         bool
	}{
		{"the cache's own", good, true},
		{"by count", lifecycle(rule(1, `"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":1`, expire)), true},
		{"by prefix, then any", lifecycle(rule(1, `"tagStatus":"tagged","tagPrefixList":["dev"],`+in30, expire), rule(2, `"tagStatus":"any",`+in30, expire)), true},
		{"by pattern", lifecycle(rule(1, `"tagStatus":"tagged","tagPatternList":["dev-*"],`+in30, expire)), true},
		{"archive what is not pulled", lifecycle(rule(1, `"tagStatus":"any","countType":"sinceImagePulled","countUnit":"days","countNumber":90`, archive)), true},

		{"expire what is archived for 90 days", lifecycle(rule(1, `"tagStatus":"any","storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":90`, expire)), true},

		{"expire what is archived for 89 days", lifecycle(rule(1, `"tagStatus":"any","storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":89`, expire)), false},
		{"archived since, without the storage class", lifecycle(rule(1, `"tagStatus":"any","countType":"sinceImageTransitioned","countUnit":"days","countNumber":90`, expire)), false},
		{"expire archived images by their push", lifecycle(rule(1, `"tagStatus":"any","storageClass":"archive",`+in30, expire)), false},
		{"99 characters", strings.TrimSpace(good)[:99], false},
		{"30,721 characters", good + strings.Repeat(" ", 30_721-len(good)), false},
		{"no JSON", strings.Repeat("x", 200), false},
		{"unknown field", strings.Replace(good, `"rulePriority"`, `"colour":1,"rulePriority"`, 1), false},
		{"no rule", lifecycle(), false},
		{"priority 0", lifecycle(rule(0, `"tagStatus":"any",`+in30, expire)), false},
		{"the same priority twice", lifecycle(rule(1, `"tagStatus":"untagged",`+in30, expire), rule(1, `"tagStatus":"any",`+in30, expire)), false},
		{"unknown tag status", lifecycle(rule(1, `"tagStatus":"all",`+in30, expire)), false},
		{"tagged without list", lifecycle(rule(1, `"tagStatus":"tagged",`+in30, expire)), false},
		{"tagged with both lists", lifecycle(rule(1, `"tagStatus":"tagged","tagPrefixList":["a"],"tagPatternList":["b"],`+in30, expire)), false},
		{"any with a list", lifecycle(rule(1, `"tagStatus":"any","tagPrefixList":["a"],`+in30, expire)), false},
		{"any is not the last", lifecycle(rule(1, `"tagStatus":"any",`+in30, expire), rule(2, `"tagStatus":"tagged","tagPrefixList":["dev"],`+in30, expire)), false},
		{"two rules for any", lifecycle(rule(1, `"tagStatus":"any",`+in30, expire), rule(2, `"tagStatus":"any",`+in30, expire)), false},
		{"days without unit", lifecycle(rule(1, `"tagStatus":"any","countType":"sinceImagePushed","countNumber":30`, expire)), false},
		{"count with unit", lifecycle(rule(1, `"tagStatus":"any","countType":"imageCountMoreThan","countUnit":"days","countNumber":30`, expire)), false},
		{"0 days", lifecycle(rule(1, `"tagStatus":"any","countType":"sinceImagePushed","countUnit":"days","countNumber":0`, expire)), false},
		{"unknown action", lifecycle(rule(1, `"tagStatus":"any",`+in30, `"type":"delete"`)), false},
		{"expire what is not pulled", lifecycle(rule(1, `"tagStatus":"any","countType":"sinceImagePulled","countUnit":"days","countNumber":90`, expire)), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := c.ecr.PutLifecyclePolicy(context.Background(), &ecr.PutLifecyclePolicyInput{RepositoryName: aws.String("app"), LifecyclePolicyText: &tc.text})
			want := "InvalidParameterException"
			if tc.ok {
				want = ""
			}
			wantCode(t, err, want)
		})
	}
}

// https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_examples.html
func TestLifecyclePolicyExpiresByTheClock(t *testing.T) {
	type push struct {
		tag string
		age time.Duration // when the policy runs
	}
	for _, tc := range []struct {
		name   string
		policy string
		pushes []push
		want   []string // tags left
	}{
		{"older than 30 days", lifecycle(rule(1, `"tagStatus":"any",`+in30, expire)),
			[]push{{"old", 31 * day}, {"exact", 30 * day}, {"young", 30*day - time.Second}}, []string{"young"}},
		{"more than two", lifecycle(rule(1, `"tagStatus":"any","countType":"imageCountMoreThan","countNumber":2`, expire)),
			[]push{{"a", 3 * day}, {"b", 2 * day}, {"c", 1 * day}}, []string{"b", "c"}},
		{"only the prefix", lifecycle(rule(1, `"tagStatus":"tagged","tagPrefixList":["dev"],`+in30, expire)),
			[]push{{"dev-1", 40 * day}, {"prod-1", 40 * day}}, []string{"prod-1"}},
		{"only the pattern", lifecycle(rule(1, `"tagStatus":"tagged","tagPatternList":["*-rc"],`+in30, expire)),
			[]push{{"1-rc", 40 * day}, {"1-rc2", 40 * day}}, []string{"1-rc2"}},
		{"an earlier rule keeps its images from a later one", lifecycle(rule(1, `"tagStatus":"tagged","tagPrefixList":["keep"],"countType":"sinceImagePushed","countUnit":"days","countNumber":100`, expire), rule(2, `"tagStatus":"any",`+in30, expire)),
			[]push{{"keep-1", 40 * day}, {"other", 40 * day}}, []string{"keep-1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx := context.Background()
			clock := awsemulator.FrozenClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
			s := start(t, awsemulator.Options{Clock: clock, LifecycleEvery: 1000 * day})
			c := root(t, s)
			createRepository(t, c, "app")
			oldest := tc.pushes[0].age
			for i, p := range tc.pushes {
				pushImage(t, s, c, "app", p.tag)
				next := time.Duration(0)
				if i+1 < len(tc.pushes) {
					next = tc.pushes[i+1].age
				}
				clock.Advance(p.age - next)
			}
			if got := clock.Now().Sub(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)); got != oldest {
				t.Fatalf("the clock is at %v, want %v", got, oldest)
			}
			must(c.ecr.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: aws.String("app"), LifecyclePolicyText: &tc.policy}))
			s.RunLifecycle()
			var left []string
			for _, id := range must(c.ecr.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: aws.String("app")})).ImageIds {
				left = append(left, *id.ImageTag)
			}
			if diff := cmp.Diff(tc.want, left, sortStrings); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// "images are expired within 24 hours": https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html
func TestLifecycleRunsOnceADay(t *testing.T) {
	ctx := context.Background()
	clock := awsemulator.FrozenClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	s := start(t, awsemulator.Options{Clock: clock})
	c := root(t, s)
	createRepository(t, c, "app")
	text := lifecycle(rule(1, `"tagStatus":"any",`+in30, expire))
	must(c.ecr.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: aws.String("app"), LifecyclePolicyText: &text}))
	clock.Advance(12 * time.Hour)
	pushImage(t, s, c, "app", "v1")
	there := func() int {
		return len(must(c.ecr.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("app")})).ImageDetails)
	}
	for range 30 {
		clock.Advance(day)
		there()
	}
	// Pushed at noon, eligible at noon of the thirtieth day, and the policy runs at midnight.
	if there() != 1 {
		t.Error("an image that is 30 days old is gone before the policy ran")
	}
	clock.Advance(12 * time.Hour)
	if there() != 0 {
		t.Error("an image that is 30 days and 12 hours old is there though the policy ran")
	}
	out := must(c.ecr.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RepositoryName: aws.String("app")}))
	if *out.LifecyclePolicyText != text || out.LastEvaluatedAt == nil {
		t.Errorf("policy %q, evaluated %v", *out.LifecyclePolicyText, out.LastEvaluatedAt)
	}
	must(c.ecr.DeleteLifecyclePolicy(ctx, &ecr.DeleteLifecyclePolicyInput{RepositoryName: aws.String("app")}))
	_, err := c.ecr.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RepositoryName: aws.String("app")})
	wantCode(t, err, "LifecyclePolicyNotFoundException")
}

// https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html (action transition)
func TestLifecyclePolicyArchives(t *testing.T) {
	ctx := context.Background()
	clock := awsemulator.FrozenClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	s := start(t, awsemulator.Options{Clock: clock})
	c := root(t, s)
	createRepository(t, c, "app")
	pushImage(t, s, c, "app", "v1")
	text := lifecycle(rule(1, `"tagStatus":"any",`+in30, archive))
	must(c.ecr.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: aws.String("app"), LifecyclePolicyText: &text}))
	clock.Advance(31 * day)
	d := must(c.ecr.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("app"), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}}})).ImageDetails
	if len(d) != 1 || d[0].ImageStatus != types.ImageStatusArchived || d[0].LastArchivedAt == nil {
		t.Errorf("image %+v, want it archived", d)
	}
}

func TestAgedImagesExpireAndSessionsStay(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true})
	c := root(t, s)
	arn := role(t, s, "r", allow(`"ecr:*"`, "*"))
	session := assume(t, s, c, &sts.AssumeRoleInput{RoleArn: &arn})
	createRepository(t, c, "app")
	pushImage(t, s, c, "app", "v1")
	text := lifecycle(rule(1, `"tagStatus":"any",`+in30, expire))
	must(c.ecr.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: aws.String("app"), LifecyclePolicyText: &text}))
	if n := s.AgeImages("app", 31*day); n != 1 {
		t.Errorf("%d images aged, want 1", n)
	}
	d := must(session.ecr.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("app")})).ImageDetails[0]
	if age := s.Clock().Now().Sub(*d.ImagePushedAt); age < 31*day {
		t.Errorf("pushed %v ago", age)
	}
	if n := s.RunLifecycle(); n != 1 {
		t.Errorf("%d images expired, want 1", n)
	}
}
