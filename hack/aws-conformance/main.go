// Command aws-conformance checks what this project believes about AWS, on whatever account the SDK's ordinary settings
// reach: AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL and so on. It makes two repositories and three roles of its own, under
// a name that nothing else has, and removes them in the end.
//
//	aws-conformance [--slow] [--day] [--only TEXT] [--json]
//
// The exit code is 0 if every belief holds, 1 if one doesn't or couldn't be checked, 2 if it was called wrongly.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const usage = `usage: aws-conformance [flags]

Checks what this project believes about AWS, on the account that the SDK's ordinary settings reach (AWS_PROFILE,
AWS_REGION, AWS_ENDPOINT_URL ...). The caller has to be a role or a user that may make repositories and roles: AWS lets
no root user assume a role. It costs a few cents at most. What it makes is named ` + namePrefix + `-... and removed in
the end; what could not be removed is named.

`

// settings are what the flags say, and what a test replaces.
type settings struct {
	slow bool
	day  bool
	only string
	json bool
	list bool
	// deadline is how long the grants of the checks last that wait for one.
	deadline time.Duration

	out, log io.Writer
	now      func() time.Time
	wait     func(context.Context, time.Duration) error
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := settings{out: os.Stdout, log: os.Stderr, now: time.Now, wait: wait}
	os.Exit(s.main(ctx, os.Args[1:]))
}

func (s *settings) main(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("aws-conformance", flag.ContinueOnError)
	flags.SetOutput(s.log)
	flags.Usage = func() {
		fmt.Fprint(s.log, usage)
		flags.PrintDefaults()
	}
	flags.BoolVar(&s.slow, "slow", false, "also run the checks that wait for a session to end, 16 minutes")
	flags.BoolVar(&s.day, "day", false, "also run the check that waits for a lifecycle policy, for 25 hours at most; needs credentials that last as long")
	flags.StringVar(&s.only, "only", "", "run the checks whose name has this in it")
	flags.BoolVar(&s.json, "json", false, "write one JSON object a check")
	flags.BoolVar(&s.list, "list", false, "list the checks and what each believes, and make no call")
	flags.DurationVar(&s.deadline, "deadline", 20*time.Second, "how long a grant lasts whose end a check waits for")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(s.log, "aws-conformance: unexpected argument %q; see --help\n", flags.Arg(0))
		return 2
	}
	if s.list {
		for _, c := range checks {
			fmt.Fprintf(s.out, "%s\n    %s\n", c.name, c.belief)
		}
		return 0
	}
	chosen := s.choose()
	if len(chosen) == 0 {
		fmt.Fprintf(s.log, "aws-conformance: no check has %q in its name; see --list\n", s.only)
		return 2
	}
	differ, err := s.run(ctx, chosen)
	if err != nil {
		fmt.Fprintln(s.log, "aws-conformance:", err)
		return 1
	}
	if differ > 0 {
		return 1
	}
	return 0
}

func (s *settings) choose() []check {
	var chosen []check
	for _, c := range checks {
		if strings.Contains(c.name, s.only) && (s.slow || !c.slow) && (s.day || !c.day) {
			chosen = append(chosen, c)
		}
	}
	return chosen
}

// run makes a world, runs the checks in it, and removes it. It returns how many beliefs don't hold.
func (s *settings) run(ctx context.Context, chosen []check) (differ int, err error) {
	w, err := newWorld(ctx, s, chosen)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, w.remove(context.WithoutCancel(ctx))) }()
	if err := w.make(ctx); err != nil {
		return 0, err
	}
	for _, c := range chosen {
		began := s.now()
		seen, checkErr := c.run(ctx, w)
		if ctx.Err() != nil {
			return differ, context.Cause(ctx)
		}
		result := outcome{Name: c.name, Belief: c.belief, Holds: checkErr == nil, Seen: seen, Seconds: s.now().Sub(began).Seconds()}
		if checkErr != nil {
			differ++
			result.Seen = checkErr.Error()
		}
		if err := s.tell(result); err != nil {
			return differ, err
		}
	}
	if !s.json {
		fmt.Fprintf(s.out, "%d of %d beliefs hold in account %s, %s\n", len(chosen)-differ, len(chosen), w.identity.AccountID, w.clients.Region)
	}
	return differ, nil
}

// outcome is what one check found.
type outcome struct {
	Name    string  `json:"name"`
	Belief  string  `json:"belief"`
	Holds   bool    `json:"holds"`
	Seen    string  `json:"seen"`
	Seconds float64 `json:"seconds"`
}

func (s *settings) tell(o outcome) error {
	if s.json {
		return json.NewEncoder(s.out).Encode(o)
	}
	verdict := "holds "
	if !o.Holds {
		verdict = "DIFFERS"
	}
	_, err := fmt.Fprintf(s.out, "%-7s %-52s %s\n", verdict, o.Name, o.Seen)
	return err
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
