package runnerimagecache

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/signingkeys"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/provenance"
	"imagecache.dev/test/fixture"
)

func TestRunnerStatusShowsTheSigningKeys(t *testing.T) {
	key, err := provenance.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	runner := fixture.Runner()
	identity := &aws.Identity{AccountID: "123456789012", PrincipalARN: "arn:aws:iam::123456789012:role/controller", Partition: "aws"}
	notRead := outcome.Waitingf(v1alpha1.ReasonSigningKeysNotReady, 0, "can't be read")
	outdated := outcome.Terminalf(v1alpha1.ReasonStackOutdated, "too old")
	for name, test := range map[string]struct {
		facts  runnerFacts
		keys   int
		part   string // of SigningKeysReady
		ready  string
		reason string // of Stalled
	}{
		"in use":                         {runnerFacts{keys: signingkeys.NewSet(key)}, 1, v1alpha1.ReasonSucceeded, v1alpha1.ReasonSucceeded, ""},
		"in use, a later read failed":    {runnerFacts{keys: signingkeys.NewSet(key), keysErr: notRead}, 1, v1alpha1.ReasonSigningKeysNotReady, v1alpha1.ReasonSigningKeysNotReady, ""},
		"not read":                       {runnerFacts{keysErr: notRead}, 0, v1alpha1.ReasonSigningKeysNotReady, v1alpha1.ReasonSigningKeysNotReady, ""},
		"not read, and the stack is old": {runnerFacts{keysErr: notRead, stackErr: outdated}, 0, v1alpha1.ReasonSigningKeysNotReady, v1alpha1.ReasonStackOutdated, v1alpha1.ReasonStackOutdated},
	} {
		t.Run(name, func(t *testing.T) {
			test.facts.now, test.facts.identity = fixture.Noon, identity
			status := runnerStatus(runner, &test.facts)
			if len(status.SigningKeys) != test.keys || test.keys > 0 && status.SigningKeys[0].ID != key.Key().ID {
				t.Errorf("keys %+v", status.SigningKeys)
			}
			for kind, want := range map[string]string{
				v1alpha1.ConditionSigningKeysReady: test.part, v1alpha1.ConditionReady: test.ready, v1alpha1.ConditionStalled: test.reason,
			} {
				got := ""
				if found := meta.FindStatusCondition(status.Conditions, kind); found != nil {
					got = found.Reason
				}
				if got != want {
					t.Errorf("%s has the reason %q, want %q", kind, got, want)
				}
			}
		})
	}
}
