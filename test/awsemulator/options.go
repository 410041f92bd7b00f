package awsemulator

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"regexp"
	"time"

	"imagecache.dev/test/awsemulator/calls"
	"imagecache.dev/test/awsemulator/clock"
	"imagecache.dev/test/awsemulator/faults"
)

type (
	// Clock is the emulator's time.
	Clock = clock.Clock
	// Call is one answered request.
	Call = calls.Call
	// CallLog is what clients asked for.
	CallLog = calls.Log
	// Fault is one way in which calls go wrong.
	Fault = faults.Fault
	// Faults is all that goes wrong.
	Faults = faults.Faults
	// Rate is a token bucket for calls.
	Rate = faults.Rate
)

// ClockAhead returns a clock that runs with the machine's and is by d ahead of it, or behind where d is negative.
func ClockAhead(d time.Duration) *Clock { return clock.Ahead(d) }

// FrozenClock returns a clock that stands at t and moves by Advance alone.
func FrozenClock(t time.Time) *Clock { return clock.Frozen(t) }

// What the root user's keys are where Options names none. They open nothing but an emulator.
const (
	DefaultRegion          = "us-east-1"
	DefaultAccountID       = "123456789012"
	DefaultAccessKeyID     = "AKIAEMULATOR00000000"
	DefaultSecretAccessKey = "emulator-root-secret-key-for-tests-only"
)

// Options are where the emulator listens, whose account it is, and its switches. A switch stands for something that AWS
// does not document, or that takes AWS time; docs/emulator.md says for each what the belief is.
type Options struct {
	Listen           string      // default 127.0.0.1:0
	AllowNonLoopback bool        // listen on other addresses than loopback: anybody who reaches the port can use the control surface
	AdvertiseHost    string      // host:port of repository URIs and URLs; default: the address listened on
	TLS              *tls.Config // nil: plain HTTP

	Region, AccountID            string // default us-east-1, 123456789012
	AccessKeyID, SecretAccessKey string // of the root user

	Clock *Clock // nil: the machine's
	// OneClock makes signatures and the header Date follow Clock, as they follow AWS' clock. Without it they follow the
	// machine's, so that clients need not notice that a test moves Clock.
	OneClock bool
	Log      io.Writer // one line a call; nil: none

	// RootMayAssumeRoles lets root keys assume roles. AWS refuses that; the demo starts from root keys all the same.
	RootMayAssumeRoles bool
	// PasswordOutlivesSession lets a registry password work for its 12 hours though its session has run out.
	PasswordOutlivesSession bool
	// PolicyDelay is how long changes of policies, tags and trust take to act.
	PolicyDelay time.Duration
	// IAMDelay is how long a new role can be neither assumed nor named as a principal.
	IAMDelay time.Duration
	// ConsistencyDelay is how long reads of ECR do not see what is new.
	ConsistencyDelay time.Duration
	// LifecycleEvery is how often lifecycle policies run, by the emulator's clock; default 24 h.
	LifecycleEvery time.Duration
	// StackDelay is how long CloudFormation works on a stack.
	StackDelay time.Duration
	// PackedPolicyLimit is the size in bytes, compressed, that session policies and tags may have together; default 800.
	PackedPolicyLimit int
	// AWSProxyEndpoint makes GetAuthorizationToken answer the account's host name in AWS, as docker-credential-ecr-login insists; without
	// it, the address where the emulator's registry can be reached.
	AWSProxyEndpoint bool
	// AWSRates throttles as AWS publishes it; tests of throttling set Faults().Limit instead.
	AWSRates bool
}

var accountPattern = regexp.MustCompile(`^[0-9]{12}$`)

var regionPattern = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`)

func (o Options) withDefaults() (Options, error) {
	for _, d := range []struct {
		field *string
		value string
	}{
		{&o.Listen, "127.0.0.1:0"}, {&o.Region, DefaultRegion}, {&o.AccountID, DefaultAccountID},
	} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if o.AccessKeyID == "" && o.SecretAccessKey == "" {
		o.AccessKeyID, o.SecretAccessKey = DefaultAccessKeyID, DefaultSecretAccessKey
	}
	if o.Clock == nil {
		o.Clock = &Clock{}
	}
	switch {
	case !accountPattern.MatchString(o.AccountID):
		return o, fmt.Errorf("account ID %q does not have 12 digits", o.AccountID)
	case !regionPattern.MatchString(o.Region):
		return o, fmt.Errorf("region %q is not the name of an AWS region", o.Region)
	case o.AccessKeyID == "" || o.SecretAccessKey == "":
		return o, fmt.Errorf("give both access key ID and secret access key, or neither")
	}
	return o, o.checkListen()
}

func (o Options) checkListen() error {
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return fmt.Errorf("listen address %q: %w", o.Listen, err)
	}
	if o.AllowNonLoopback || host == "localhost" {
		return nil
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("listen address %q is not loopback, and that is not allowed by the options", o.Listen)
	}
	return nil
}
