package cloudformation

import (
	"context"
	"fmt"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awscloudformation "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"k8s.io/utils/clock"

	"imagecache.dev/internal/aws"
)

const (
	// operation names the call in errors.
	operation = "cloudformation DescribeStacks"
	// remembered is how long a name counts as one that is read again and again, and how long the number of pages of a list
	// is believed.
	remembered = 15 * time.Minute
	// listLife is how long a list may take. AWS does not tell how long the token of a page is valid.
	listLife = 5 * time.Minute
)

// describeStacks is the call of CloudFormation that Reader makes.
type describeStacks func(
	context.Context, *awscloudformation.DescribeStacksInput, ...func(*awscloudformation.Options),
) (*awscloudformation.DescribeStacksOutput, error)

// Reader reads the stacks of one account and region, by one role, for all who need them, with few calls: CloudFormation
// answers only about five DescribeStacks a second to the whole account, the customer's own deployments included. It
// reads one stack by its name, or all stacks page by page where that takes fewer calls. It is safe for concurrent use.
type Reader struct {
	call   describeStacks
	clock  clock.PassiveClock
	budget *Budget

	// turn is full while somebody uses what follows.
	turn chan struct{}
	// wanted are the names of calls that were sent away, with the first of them, and asked are all names with the time of
	// the last call.
	wanted map[string]wish
	asked  map[string]time.Time
	noted  time.Time // when names were last forgotten
	// single are the stacks that were read by name. all are those of the last list, and nil where nobody asked for them.
	single map[string]observed
	all    map[string]*Stack
	allAt  time.Time
	// pages is the number of pages of a list, as far as it is known since pagesAt.
	pages   int
	pagesAt time.Time
	list    *listing
}

// wish is what a call that was sent away asked for: an observation that was at most maxAge old at a time.
type wish struct {
	at     time.Time
	maxAge time.Duration
}

// observed is a stack, or nil where it does not exist, at a time.
type observed struct {
	stack *Stack
	at    time.Time
}

// listing is a list of which some pages are read.
type listing struct {
	began time.Time
	token *string
	pages int
	found map[string]*Stack
}

// NewReader returns a Reader that makes no more calls than the budget of its account and region allows.
func NewReader(clients *aws.Clients, clock clock.PassiveClock, budget *Budget) *Reader {
	return newReader(clients.CloudFormation.DescribeStacks, clock, budget)
}

func newReader(call describeStacks, clock clock.PassiveClock, budget *Budget) *Reader {
	return &Reader{
		call: call, clock: clock, turn: make(chan struct{}, 1), budget: budget,
		wanted: map[string]wish{}, asked: map[string]time.Time{}, single: map[string]observed{},
	}
}

// Read returns a stack as it is, or as it was at most maxAge ago. It returns ErrNotFound, or *aws.LaterError where the
// calls of this minute are spent: the stack is then read as soon as possible, for the caller that comes back. One
// caller at a time makes a call, the others wait for its answer.
func (r *Reader) Read(ctx context.Context, name string, maxAge time.Duration) (*Stack, error) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("read stack %s: %w", name, ctx.Err())
	}
	now := r.clock.Now()
	r.note(name, now)
	since := now.Add(-maxAge)
	first, again := r.wanted[name]
	switch {
	case again && maxAge < first.maxAge: // something changed since: what would have done then does not any more
		delete(r.wanted, name)
	case again && first.at.Before(since):
		since = first.at
	}
	for {
		if known, ok := r.known(name, since); ok {
			delete(r.wanted, name)
			if known == nil {
				return nil, ErrNotFound
			}
			return known, nil
		}
		if !r.budget.take(now) {
			if _, again := r.wanted[name]; !again {
				r.wanted[name] = wish{now, maxAge}
			}
			return nil, &aws.LaterError{Operation: operation, After: r.budget.wait(now)}
		}
		var err error
		if r.lists(maxAge, now) {
			err = r.readPage(ctx, now)
		} else {
			err = r.readLongestWanted(ctx, name, now)
		}
		if err != nil {
			return nil, err
		}
	}
}

// readLongestWanted reads the stack that has been waited for longest. An error of another stack than the caller's is
// told to whoever asks for that one next.
func (r *Reader) readLongestWanted(ctx context.Context, name string, now time.Time) error {
	longest := r.longestWanted(name)
	err := r.readOne(ctx, longest, now)
	if err == nil || longest == name || ctx.Err() != nil {
		return err
	}
	delete(r.wanted, longest)
	return nil
}

// longestWanted returns the name that has waited longest, or the given one if no other waits: whoever comes at the
// right moment would take the call of those who came before.
func (r *Reader) longestWanted(name string) string {
	longest, waiting := name, false
	var since time.Time
	for other, wanted := range r.wanted {
		if single, read := r.single[other]; read && !single.at.Before(wanted.at) {
			continue // it is read, and nobody has come back for it yet
		}
		if !waiting || wanted.at.Before(since) || wanted.at.Equal(since) && other < longest {
			longest, since, waiting = other, wanted.at, true
		}
	}
	return longest
}

// note remembers that a name is asked for, and forgets those that nobody asks for any more.
func (r *Reader) note(name string, now time.Time) {
	r.asked[name] = now
	if now.Sub(r.noted) < time.Minute {
		return
	}
	r.noted = now
	for other, at := range r.asked {
		if now.Sub(at) > remembered {
			delete(r.asked, other)
			delete(r.wanted, other)
			delete(r.single, other)
		}
	}
	if now.Sub(r.pagesAt) > remembered {
		r.pages = 0
	}
	if r.list != nil && now.Sub(r.list.began) > listLife {
		r.list = nil
	}
}

// known returns the latest observation of a stack, if it is not older than since.
func (r *Reader) known(name string, since time.Time) (stack *Stack, ok bool) {
	single, found := r.single[name]
	if found && !single.at.Before(since) && !single.at.Before(r.allAt) {
		return single.stack, true
	}
	if r.all == nil || r.allAt.Before(since) {
		return nil, false
	}
	stack, exists := r.all[name]
	return stack, stack != nil || !exists
}

// lists reports whether to read a page of all stacks rather than one stack by its name: where that is fewer calls for
// those who wait, or for all who ask from time to time. Whoever needs the present state alone gets it at once.
func (r *Reader) lists(maxAge time.Duration, now time.Time) bool {
	readers := len(r.wanted)
	if maxAge > 0 {
		readers = max(readers, len(r.asked))
	}
	if r.list != nil {
		if r.list.pages < readers {
			return true
		}
		r.pages, r.pagesAt, r.list = r.list.pages+1, now, nil
	}
	return readers > max(r.pages, 1)
}

func (r *Reader) readOne(ctx context.Context, name string, now time.Time) error {
	out, err := r.call(ctx, &awscloudformation.DescribeStacksInput{StackName: &name})
	switch {
	case isMissing(err):
		r.single[name] = observed{nil, now}
	case err != nil:
		return fmt.Errorf("read stack %s: %w", name, err)
	case len(out.Stacks) == 0:
		r.single[name] = observed{nil, now}
	default:
		r.single[name] = observed{stackOf(out.Stacks[0]), now}
	}
	return nil
}

// readPage reads the next page of a list. With the last one all stacks are known.
func (r *Reader) readPage(ctx context.Context, now time.Time) error {
	if r.list == nil {
		r.list = &listing{began: now, found: map[string]*Stack{}}
	}
	out, err := r.call(ctx, &awscloudformation.DescribeStacksInput{NextToken: r.list.token})
	if err != nil {
		r.list = nil
		if aws.ClassOf(err) == aws.ClassAccessDenied { // the caller may read only stacks of certain names
			r.pages, r.pagesAt = maxPages, now
			return nil
		}
		return fmt.Errorf("list stacks: %w", err)
	}
	r.list.pages++
	for _, found := range out.Stacks {
		name := awssdk.ToString(found.StackName)
		r.list.found[name] = nil
		if _, asked := r.asked[name]; asked {
			r.list.found[name] = stackOf(found)
		}
	}
	r.list.token = out.NextToken
	if out.NextToken == nil {
		r.all, r.allAt = r.list.found, r.list.began
		r.pages, r.pagesAt, r.list = r.list.pages, now, nil
	}
	return nil
}

// maxPages is more than any list has.
const maxPages = 1 << 20

func stackOf(found types.Stack) *Stack {
	stack := &Stack{Tags: make(map[string]string, len(found.Tags)), Outputs: make(map[string]string, len(found.Outputs))}
	for _, tag := range found.Tags {
		if key := awssdk.ToString(tag.Key); !isReserved(key) {
			stack.Tags[key] = awssdk.ToString(tag.Value)
		}
	}
	for _, output := range found.Outputs {
		stack.Outputs[awssdk.ToString(output.OutputKey)] = awssdk.ToString(output.OutputValue)
	}
	stack.Version = stack.Outputs[VersionOutput]
	return stack
}
