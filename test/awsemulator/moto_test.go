package awsemulator_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"imagecache.dev/test/awsemulator"
)

// moto starts moto's server and says its URL. It skips the test where there is none.
func moto(t *testing.T) string {
	t.Helper()
	program, err := exec.LookPath("moto_server")
	if err != nil {
		t.Skip("moto_server is not on this machine: nothing to compare the emulator with")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	cmd := exec.Command(program, "-H", "127.0.0.1", "-p", port)
	cmd.Env = append(os.Environ(), "PYTHONWARNINGS=ignore")
	if err := cmd.Start(); err != nil {
		t.Skipf("moto_server does not start: %v", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // killed at the end, or it said on stderr what is wrong
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	url := "http://127.0.0.1:" + port
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		select {
		case <-ended:
			t.Skip("moto_server ends at once")
		default:
		}
		res, err := http.Get(url + "/moto-api/data.json")
		if err == nil {
			_ = res.Body.Close()
			return url
		}
	}
	t.Skip("moto_server does not answer within 30 s")
	return ""
}

func connectURL(t *testing.T, url, key, secret string) clients {
	t.Helper()
	c, err := config.LoadDefaultConfig(context.Background(), config.WithRegion("us-east-1"), config.WithBaseEndpoint(url),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(key, secret, "")),
		config.WithAPIOptions(plainBodies), config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
		config.WithSharedConfigFiles(nil), config.WithSharedCredentialsFiles(nil))
	if err != nil {
		t.Fatal(err)
	}
	return clients{config: c, ecr: ecr.NewFromConfig(c), iam: iam.NewFromConfig(c), sts: sts.NewFromConfig(c),
		cfn: cloudformation.NewFromConfig(c), tags: resourcegroupstaggingapi.NewFromConfig(c)}
}

// What both say to the same calls, and where they differ. A difference is listed, not judged: the tests that name AWS'
// documentation judge. What fails here is a call that both should answer and the emulator refuses.
func TestCompareWithMoto(t *testing.T) {
	theirs := connectURL(t, moto(t), "testing", "testing")
	s := start(t, awsemulator.Options{})
	ours := root(t, s)
	ctx := context.Background()
	trust := accountTrust(s)
	repo := aws.String("team/app")
	good := lifecycle(rule(1, `"tagStatus":"any",`+in30, expire))
	manifest := manifestOf("config", "layer", "")
	id := []types.ImageIdentifier{{ImageTag: aws.String("v1")}}
	type step struct {
		name  string
		works bool // by AWS' documentation
		call  func(c clients) (string, error)
	}
	steps := []step{
		{"CreateRepository", true, func(c clients) (string, error) {
			out, err := c.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: repo, ImageTagMutability: types.ImageTagMutabilityImmutable, Tags: ecrTags("a", "b")})
			if err != nil {
				return "", err
			}
			return fmt.Sprint(*out.Repository.RepositoryArn, out.Repository.ImageTagMutability, out.Repository.EncryptionConfiguration.EncryptionType), nil
		}},
		{"CreateRepository again", false, func(c clients) (string, error) {
			_, err := c.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: repo})
			return "", err
		}},
		{"CreateRepository, bad name", false, func(c clients) (string, error) {
			_, err := c.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: aws.String("BAD")})
			return "", err
		}},
		{"DescribeRepositories", true, func(c clients) (string, error) {
			out, err := c.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{"team/app"}})
			if err != nil {
				return "", err
			}
			return fmt.Sprint(len(out.Repositories)), nil
		}},
		{"DescribeRepositories, unknown", false, func(c clients) (string, error) {
			_, err := c.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{"none"}})
			return "", err
		}},
		{"GetLifecyclePolicy, none", false, func(c clients) (string, error) {
			_, err := c.ecr.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RepositoryName: repo})
			return "", err
		}},
		{"PutLifecyclePolicy", true, func(c clients) (string, error) {
			_, err := c.ecr.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: repo, LifecyclePolicyText: &good})
			return "", err
		}},
		{"GetRepositoryPolicy, none", false, func(c clients) (string, error) {
			_, err := c.ecr.GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: repo})
			return "", err
		}},
		{"ListTagsForResource", true, func(c clients) (string, error) {
			out, err := c.ecr.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: aws.String("arn:aws:ecr:us-east-1:123456789012:repository/team/app")})
			if err != nil {
				return "", err
			}
			return fmt.Sprint(len(out.Tags)), nil
		}},
		{"PutImage without layers", false, func(c clients) (string, error) {
			_, err := c.ecr.PutImage(ctx, &ecr.PutImageInput{RepositoryName: repo, ImageManifest: &manifest, ImageTag: aws.String("v1")})
			return "", err
		}},
		{"InitiateLayerUpload", true, func(c clients) (string, error) {
			_, err := c.ecr.InitiateLayerUpload(ctx, &ecr.InitiateLayerUploadInput{RepositoryName: repo})
			return "", err
		}},
		{"BatchGetImage, unknown", true, func(c clients) (string, error) {
			out, err := c.ecr.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: repo, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("none")}}})
			if err != nil {
				return "", err
			}
			return string(out.Failures[0].FailureCode), nil
		}},
		{"DescribeImages, unknown", false, func(c clients) (string, error) {
			_, err := c.ecr.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("none"), ImageIds: id})
			return "", err
		}},
		{"GetAuthorizationToken", true, func(c clients) (string, error) {
			out, err := c.ecr.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
			if err != nil {
				return "", err
			}
			return fmt.Sprint(len(out.AuthorizationData)), nil
		}},
		{"CreateRole", true, func(c clients) (string, error) {
			out, err := c.iam.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("r"), AssumeRolePolicyDocument: &trust})
			if err != nil {
				return "", err
			}
			return *out.Role.Arn, nil
		}},
		{"CreateRole again", false, func(c clients) (string, error) {
			_, err := c.iam.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("r"), AssumeRolePolicyDocument: &trust})
			return "", err
		}},
		{"CreateRole, broken trust", false, func(c clients) (string, error) {
			_, err := c.iam.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("s"), AssumeRolePolicyDocument: aws.String("{}")})
			return "", err
		}},
		{"PutRolePolicy", true, func(c clients) (string, error) {
			_, err := c.iam.PutRolePolicy(ctx, putPolicy("r", "p", allow(`"ecr:*"`, "*")))
			return "", err
		}},
		{"PutRolePolicy, broken", false, func(c clients) (string, error) {
			_, err := c.iam.PutRolePolicy(ctx, putPolicy("r", "p", "{"))
			return "", err
		}},
		{"GetRolePolicy, none", false, func(c clients) (string, error) {
			_, err := c.iam.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: aws.String("r"), PolicyName: aws.String("none")})
			return "", err
		}},
		{"DeleteRole with a policy", false, func(c clients) (string, error) {
			_, err := c.iam.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: aws.String("r")})
			return "", err
		}},
		{"GetRole, none", false, func(c clients) (string, error) {
			_, err := c.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String("none")})
			return "", err
		}},
		{"AssumeRole, unknown", false, func(c clients) (string, error) {
			_, err := c.sts.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::123456789012:role/none"), RoleSessionName: aws.String("test")})
			return "", err
		}},
		{"AssumeRole, short", false, func(c clients) (string, error) {
			_, err := c.sts.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: aws.String("arn:aws:iam::123456789012:role/r"), RoleSessionName: aws.String("test"), DurationSeconds: aws.Int32(60)})
			return "", err
		}},
		{"DescribeStacks, none", false, func(c clients) (string, error) {
			_, err := c.cfn.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String("none")})
			return "", err
		}},
		{"CreateStack, no resources", false, func(c clients) (string, error) {
			_, err := c.cfn.CreateStack(ctx, &cloudformation.CreateStackInput{StackName: aws.String("bad"), TemplateBody: aws.String("{}")})
			return "", err
		}},
		{"GetResources", true, func(c clients) (string, error) {
			out, err := c.tags.GetResources(ctx, &resourcegroupstaggingapi.GetResourcesInput{ResourceTypeFilters: []string{"ecr:repository"}})
			if err != nil {
				return "", err
			}
			return fmt.Sprint(len(out.ResourceTagMappingList)), nil
		}},
	}
	var differ []string
	for _, st := range steps {
		a, errA := st.call(ours)
		b, errB := st.call(theirs)
		if (errA == nil) != st.works {
			t.Errorf("%s: the emulator says %v, want success %v", st.name, errA, st.works)
		}
		if code(errA) != code(errB) || a != b {
			differ = append(differ, fmt.Sprintf("%s: emulator %s %s, moto %s %s", st.name, code(errA), a, code(errB), b))
		}
	}
	sort.Strings(differ)
	t.Logf("%d of %d calls are answered differently:\n  %s", len(differ), len(steps), strings.Join(differ, "\n  "))
}
