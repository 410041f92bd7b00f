package aws

import (
	"context"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	testclock "k8s.io/utils/clock/testing"
)

func TestSmallDifferencesFromAWSClockDoNotCount(t *testing.T) {
	local := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for ahead, want := range map[time.Duration]time.Duration{
		0: 0, -900 * time.Millisecond: 0, 9 * time.Second: 0,
		20 * time.Minute: 20 * time.Minute, -20 * time.Minute: -20 * time.Minute,
	} {
		p := &Provider{}
		p.time.learn(ahead)
		if got := p.Clock(testclock.NewFakePassiveClock(local)).Now(); !got.Equal(local.Add(want)) {
			t.Errorf("AWS is %s ahead: %s", ahead, got)
		}
	}
	p := &Provider{}
	p.time.learn(20 * time.Minute)
	p.time.learn(0)
	if got := p.Clock(testclock.NewFakePassiveClock(local)).Now(); !got.Equal(local) {
		t.Errorf("the correction stays after the clock was set right: %s", got)
	}
}

// TestCredentialsEndByAWSClock lets the SDK ask again and again for the controller's own credentials, of 15 minutes, with
// a clock that is 20 minutes behind AWS' or before it.
func TestCredentialsEndByAWSClock(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"slow": 20 * time.Minute, "fast": -20 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			p := &Provider{}
			p.time.learn(ahead)
			asked := 0
			life := 15 * time.Minute
			source := awssdk.CredentialsProviderFunc(func(context.Context) (awssdk.Credentials, error) {
				asked++
				expires := time.Now().Add(ahead).Add(life)
				life = 15 * time.Minute
				return awssdk.Credentials{AccessKeyID: "a", SecretAccessKey: "s", CanExpire: true, Expires: expires}, nil
			})
			for _, inner := range []awssdk.CredentialsProvider{source, awssdk.NewCredentialsCache(source)} {
				asked = 0
				credentials := p.cached(inner)
				for range 10 {
					got, err := credentials.Retrieve(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					// The SDK takes the five minutes away in which it replaces them.
					if left := time.Until(got.Expires); left < 9*time.Minute || left > 11*time.Minute {
						t.Fatalf("by this machine's clock they are used for %s, want 10 min", left)
					}
				}
				if asked > 2 {
					t.Errorf("asked %d times for credentials of 15 minutes", asked)
				}
			}
			// What AWS has ended is replaced, although the inner cache believes in it.
			life = -time.Minute
			got, err := p.cached(awssdk.NewCredentialsCache(source)).Retrieve(t.Context())
			if err != nil || time.Until(got.Expires) < 9*time.Minute {
				t.Errorf("ended credentials were kept: %s left, %v", time.Until(got.Expires), err)
			}
		})
	}
}
