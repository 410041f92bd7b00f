// Package cloudformation reads the tags and the cache version of a runner's stack.
package cloudformation

import (
	"context"
	"errors"
	"strings"

	"k8s.io/utils/clock"

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
	reader := newReader(clients.CloudFormation.DescribeStacks, clock.RealClock{}, NewBudget(2))
	return reader.Read(ctx, name, 0)
}

func isReserved(key string) bool { return strings.HasPrefix(strings.ToLower(key), reservedPrefix) }

// isMissing reports whether CloudFormation's error means that a stack does not exist: a ValidationError with a
// sentence.
func isMissing(err error) bool {
	return err != nil && aws.Code(err) == "ValidationError" && strings.Contains(aws.Message(err), "does not exist")
}
