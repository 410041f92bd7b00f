package cloudformation

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awscloudformation "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/smithy-go"
	testclock "k8s.io/utils/clock/testing"

	"imagecache.dev/internal/aws"
)

// account is CloudFormation with many stacks, at a time that the test moves. Each stack's tag tells when it was read.
type account struct {
	clock  *testclock.FakePassiveClock
	stacks int
	listed bool // whether the caller may list
	calls  []time.Time
}

const page = 100

func (a *account) stack(n int) types.Stack {
	return types.Stack{
		StackName: awssdk.String(fmt.Sprintf("stack-%d", n)),
		Tags:      []types.Tag{{Key: awssdk.String("at"), Value: awssdk.String(a.clock.Now().Format(time.RFC3339Nano))}, {Key: awssdk.String("aws:x")}},
	}
}

func (a *account) describe(
	_ context.Context, in *awscloudformation.DescribeStacksInput, _ ...func(*awscloudformation.Options),
) (*awscloudformation.DescribeStacksOutput, error) {
	a.calls = append(a.calls, a.clock.Now())
	out := &awscloudformation.DescribeStacksOutput{}
	if in.StackName != nil {
		var n int
		if _, err := fmt.Sscanf(*in.StackName, "stack-%d", &n); err != nil || n >= a.stacks {
			return nil, &smithy.GenericAPIError{Code: "ValidationError", Message: "Stack with id " + *in.StackName + " does not exist"}
		}
		out.Stacks = []types.Stack{a.stack(n)}
		return out, nil
	}
	if !a.listed {
		return nil, &smithy.GenericAPIError{Code: "AccessDenied", Message: "not authorized"}
	}
	first, _ := strconv.Atoi(awssdk.ToString(in.NextToken))
	for n := first; n < min(first+page, a.stacks); n++ {
		out.Stacks = append(out.Stacks, a.stack(n))
	}
	if first+page < a.stacks {
		out.NextToken = awssdk.String(strconv.Itoa(first + page))
	}
	return out, nil
}

// most is the largest number of calls in any minute.
func (a *account) most() int {
	most, first := 0, 0
	for last, at := range a.calls {
		for at.Sub(a.calls[first]) >= time.Minute {
			first++
		}
		most = max(most, last-first+1)
	}
	return most
}

// runner is one that reads its stack from time to time, as the reconciler does.
type runner struct {
	reader *Reader
	stack  string
	every  time.Duration
	next   time.Time
	maxAge time.Duration
	read   time.Time // what the last answer is of
	asked  time.Time // since when it asks for the present state, while it does
}

type queue []*runner

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].next.Before(q[j].next) }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(*runner)) }
func (q *queue) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}

// simulate lets runners read for an hour, by so many roles. All begin at once, and all change at once after half of it. It
// returns the longest time that a runner waited after that, and the age of the oldest state that a runner had in its last
// quarter.
func simulate(t *testing.T, a *account, runners, roles int) (waited, oldest time.Duration) {
	t.Helper()
	const interval = 5 * time.Minute
	begin := a.clock.Now()
	change, end := begin.Add(30*time.Minute), begin.Add(time.Hour)
	all, readers, budget := make(queue, 0, runners), make([]*Reader, roles), NewBudget(20)
	for n := range readers {
		readers[n] = newReader(a.describe, a.clock, budget)
	}
	for n := range runners {
		all = append(all, &runner{
			reader: readers[n%roles], stack: fmt.Sprintf("stack-%d", n), every: interval - time.Duration(n%30)*time.Second, next: begin, maxAge: 30 * time.Second,
		})
	}
	heap.Init(&all)
	changed := false
	for all[0].next.Before(end) {
		if !changed && !all[0].next.Before(change) {
			changed = true
			for _, r := range all {
				r.next, r.maxAge, r.asked = change, 0, change
			}
			heap.Init(&all)
		}
		r := all[0]
		a.clock.SetTime(r.next)
		stack, err := r.reader.Read(t.Context(), r.stack, r.maxAge)
		var later *aws.LaterError
		switch {
		case errors.As(err, &later):
			r.next = r.next.Add(later.After)
		case err != nil:
			r.next = r.next.Add(2 * time.Second)
		default:
			r.read, _ = time.Parse(time.RFC3339Nano, stack.Tags["at"])
			if !r.asked.IsZero() {
				if r.read.Before(r.asked) {
					t.Fatalf("%s changed at %s and got its state of %s", r.stack, r.asked, r.read)
				}
				waited, r.asked = max(waited, r.next.Sub(change)), time.Time{}
			}
			r.next, r.maxAge = r.next.Add(r.every), interval/2
		}
		heap.Fix(&all, 0)
		if all[0].next.After(begin.Add(45 * time.Minute)) {
			oldest = max(oldest, all[0].next.Sub(r.read))
		}
	}
	return waited, oldest
}

func TestAThousandRunnersCostTwentyCallsAMinute(t *testing.T) {
	for name, test := range map[string]struct {
		stacks, runners int
		listed          bool
		most            int           // calls in any minute
		all             int           // calls in the hour
		waited          time.Duration // after a change of all
		roles           int           // by which the runners read; zero means one
	}{
		"a thousand":                    {1000, 1000, true, 20, 450, 90 * time.Second, 0},
		"a thousand among 2,000 stacks": {2000, 1000, true, 20, 900, 150 * time.Second, 0},
		"a thousand by three roles":     {1000, 1000, true, 20, 900, 5 * time.Minute, 3},
		"one":                           {2000, 1, true, 2, 15, time.Second, 0},
		"a few among 2,000 stacks":      {2000, 5, true, 20, 90, time.Minute, 0},
		"a few, and no right to list":   {20, 5, false, 20, 90, time.Minute, 0},
		"eighty, and no right to list":  {80, 80, false, 20, 620, 9 * time.Minute, 0},
	} {
		t.Run(name, func(t *testing.T) {
			a := &account{
				clock: testclock.NewFakePassiveClock(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)), stacks: test.stacks, listed: test.listed,
			}
			waited, oldest := simulate(t, a, test.runners, max(test.roles, 1))
			t.Logf("%d calls in the hour, at most %d a minute; after a change of all the last waited %s; the oldest state was of %s before",
				len(a.calls), a.most(), waited, oldest)
			if a.most() > test.most || len(a.calls) > test.all {
				t.Errorf("%d calls in a minute and %d in the hour, want at most %d and %d", a.most(), len(a.calls), test.most, test.all)
			}
			if waited > test.waited || oldest > 10*time.Minute {
				t.Errorf("a change waited %s and a state was %s old, want at most %s and 10 min", waited, oldest, test.waited)
			}
		})
	}
}

func TestAStackThatTheListDoesNotHave(t *testing.T) {
	a := &account{clock: testclock.NewFakePassiveClock(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)), stacks: 50, listed: true}
	r := newReader(a.describe, a.clock, NewBudget(20))
	for range 2 {
		for _, name := range []string{"stack-1", "stack-2", "stack-3", "none"} {
			_, err := r.Read(t.Context(), name, time.Minute)
			if (name == "none") != errors.Is(err, ErrNotFound) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if len(a.calls) > 3 {
		t.Errorf("%d calls", len(a.calls))
	}
	// Nobody asked for it when the list was read: its absence from what was kept says nothing.
	stack, err := r.Read(t.Context(), "stack-40", time.Minute)
	if err != nil || len(stack.Tags) != 1 {
		t.Errorf("%+v, %v; want the stack with its own tag alone", stack, err)
	}
	// A stack that was made since.
	a.stacks = 60
	a.clock.SetTime(a.clock.Now().Add(time.Second))
	if _, err := r.Read(t.Context(), "stack-55", 0); err != nil {
		t.Errorf("a stack that was just made: %v", err)
	}
}

// Who was sent away and asks for the present state since then does not get what would have done before.
func TestAChangeWhileACallWaitsIsSeen(t *testing.T) {
	a := &account{clock: testclock.NewFakePassiveClock(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)), stacks: 5}
	r := newReader(a.describe, a.clock, NewBudget(2))
	r.pages, r.pagesAt = maxPages, a.clock.Now() // it may not list
	later := func(pass time.Duration) { a.clock.SetTime(a.clock.Now().Add(pass)) }
	ask := func(name string, maxAge time.Duration) (at time.Time, err error) {
		stack, err := r.Read(t.Context(), name, maxAge)
		if err == nil {
			at, err = time.Parse(time.RFC3339Nano, stack.Tags["at"])
		}
		return at, err
	}
	if _, err := ask("stack-1", time.Minute); err != nil {
		t.Fatal(err)
	}
	if _, err := ask("stack-2", time.Minute); err == nil {
		t.Fatal("the second call was not sent away; the test shows nothing")
	}
	later(time.Minute)
	_, _ = ask("stack-3", time.Minute) // stack-2 is read, which waited longer
	later(2 * time.Second)
	changed := a.clock.Now()
	later(2 * time.Second)
	if at, err := ask("stack-2", 0); err == nil {
		t.Errorf("got the state of %s before the change", changed.Sub(at))
	}
	later(time.Minute)
	_, _ = ask("stack-2", 0) // stack-3 is read
	later(time.Minute)
	if at, err := ask("stack-2", 0); err != nil || at.Before(changed) {
		t.Errorf("%s, %v; want the state after the change, of %s", at, err, changed)
	}
}

// An error of the stack that waited longest is not told to whoever made the call for it.
func TestErrorsAreOfTheStackThatWasAskedFor(t *testing.T) {
	a := &account{clock: testclock.NewFakePassiveClock(time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)), stacks: 5}
	denied := func(ctx context.Context, in *awscloudformation.DescribeStacksInput, _ ...func(*awscloudformation.Options)) (
		*awscloudformation.DescribeStacksOutput, error,
	) {
		if awssdk.ToString(in.StackName) == "stack-2" {
			return nil, &smithy.GenericAPIError{Code: "AccessDenied", Message: "not authorized"}
		}
		return a.describe(ctx, in)
	}
	r := newReader(denied, a.clock, NewBudget(4))
	r.pages, r.pagesAt = maxPages, a.clock.Now() // it may not list
	sent := new(aws.LaterError)
	for _, name := range []string{"stack-0", "stack-1"} {
		if _, err := r.Read(t.Context(), name, 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Read(t.Context(), "stack-2", 0); !errors.As(err, &sent) {
		t.Fatalf("%v; want it sent away", err)
	}
	a.clock.SetTime(a.clock.Now().Add(time.Minute))
	if _, err := r.Read(t.Context(), "stack-3", 0); err != nil {
		t.Errorf("stack-3: %v", err)
	}
	a.clock.SetTime(a.clock.Now().Add(time.Minute))
	if _, err := r.Read(t.Context(), "stack-2", 0); aws.ClassOf(err) != aws.ClassAccessDenied {
		t.Errorf("stack-2: %v, want its own error", err)
	}
}

func TestReadersThatGiveUpDoNotBlock(t *testing.T) {
	r := newReader(nil, testclock.NewFakePassiveClock(time.Now()), NewBudget(20))
	r.turn <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Read(ctx, "x", 0); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
