// Package cloudformation reads the tags and the cache version of a runner's stack.
package cloudformation

import (
	"context"
	"errors"
	"fmt"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awscloudformation "github.com/aws/aws-sdk-go-v2/service/cloudformation"

	"imagecache.dev/internal/aws"
)

// VersionOutput is the output of a runner's stack that holds the cache version that its template supports.
const VersionOutput = "ImageCacheVersion"

// reservedPrefix is the prefix of tags that only AWS sets:
// https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
const reservedPrefix = "aws:"

// ErrNotFound reports that the region has no stack of this name.
var ErrNotFound = errors.New("the stack does not exist")

// Stack is the observed state of a stack.
type Stack struct {
	// Tags are the stack's tags without those of AWS itself.
	Tags    map[string]string
	Outputs map[string]string
	// Version is the output ImageCacheVersion. It is empty if the template is older than the cache.
	Version string
}

// Read reads a stack in one call.
func Read(ctx context.Context, clients *aws.Clients, name string) (*Stack, error) {
	out, err := clients.CloudFormation.DescribeStacks(ctx, &awscloudformation.DescribeStacksInput{StackName: &name})
	if isMissing(err) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read stack %s: %w", name, err)
	}
	if len(out.Stacks) == 0 {
		return nil, ErrNotFound
	}
	found := out.Stacks[0]
	stack := &Stack{Tags: make(map[string]string, len(found.Tags)), Outputs: make(map[string]string, len(found.Outputs))}
	for _, tag := range found.Tags {
		if key := awssdk.ToString(tag.Key); !strings.HasPrefix(strings.ToLower(key), reservedPrefix) {
			stack.Tags[key] = awssdk.ToString(tag.Value)
		}
	}
	for _, output := range found.Outputs {
		stack.Outputs[awssdk.ToString(output.OutputKey)] = awssdk.ToString(output.OutputValue)
	}
	stack.Version = stack.Outputs[VersionOutput]
	return stack, nil
}

// isMissing reports whether CloudFormation's error means that a stack does not exist: a ValidationError with a
// sentence.
func isMissing(err error) bool {
	return err != nil && aws.Code(err) == "ValidationError" && strings.Contains(aws.Message(err), "does not exist")
}
