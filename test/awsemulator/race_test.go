package awsemulator_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"imagecache.dev/test/awsemulator"
)

// All services at once on shared objects; the race detector is the judge, and no call may fail inside the emulator.
func TestConcurrentCalls(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true, PolicyDelay: time.Nanosecond})
	c := root(t, s)
	arn := role(t, s, "r", allow(`"ecr:*"`, "*"))
	createRepository(t, c, "shared")
	pushImage(t, s, c, "shared", "v1")
	id := []types.ImageIdentifier{{ImageTag: aws.String("v1")}}
	work := []func(i int) error{
		func(i int) error {
			name := fmt.Sprintf("own%d", i)
			_, err := c.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &name})
			return err
		},
		func(int) error {
			_, err := c.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{})
			return err
		},
		func(int) error {
			_, err := c.ecr.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: aws.String("shared"), ImageIds: id})
			return err
		},
		func(int) error {
			_, err := c.ecr.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("shared"), ImageIds: id})
			return err
		},
		func(i int) error {
			_, err := c.ecr.TagResource(ctx, &ecr.TagResourceInput{ResourceArn: aws.String("arn:aws:ecr:us-east-1:123456789012:repository/shared"), Tags: ecrTags("n", fmt.Sprint(i))})
			return err
		},
		func(i int) error {
			_, err := c.iam.PutRolePolicy(ctx, putPolicy("r", "rights", allow(fmt.Sprintf(`"ecr:*","s3:Get%d"`, i), "*")))
			return err
		},
		func(i int) error {
			_, err := c.iam.TagRole(ctx, &iam.TagRoleInput{RoleName: aws.String("r"), Tags: iamTags("n", fmt.Sprint(i))})
			return err
		},
		func(int) error {
			out, err := c.sts.AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("test")})
			if err != nil {
				return err
			}
			session := connect(t, s, *out.Credentials.AccessKeyId, *out.Credentials.SecretAccessKey, *out.Credentials.SessionToken)
			_, err = session.ecr.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
			return err
		},
		func(int) error {
			s.RunLifecycle()
			s.VanishLayers("")
			s.Calls().All()
			s.Clock().Advance(time.Second)
			return nil
		},
	}
	var wg sync.WaitGroup
	for i := range 10 {
		for n, f := range work {
			wg.Go(func() {
				if err := f(i); err != nil {
					t.Errorf("work %d: %v", n, err)
				}
			})
		}
	}
	wg.Wait()
}
