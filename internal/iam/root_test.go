package iam

import "testing"

func TestSummaryThatDoesNotNameRootsCredentialsTellsNothing(t *testing.T) {
	for name, test := range map[string]struct {
		summary map[string]int32
		has     bool
		known   bool
	}{
		"a password":                    {map[string]int32{"AccountPasswordPresent": 1, "AccountAccessKeysPresent": 0}, true, true},
		"access keys":                   {map[string]int32{"AccountPasswordPresent": 0, "AccountAccessKeysPresent": 1}, true, true},
		"access keys, the rest unknown": {map[string]int32{"AccountAccessKeysPresent": 1}, true, true},
		"neither":                       {map[string]int32{"AccountPasswordPresent": 0, "AccountAccessKeysPresent": 0}, false, true},
		"no password, the rest unknown": {map[string]int32{"AccountPasswordPresent": 0}, false, false},
		"nothing":                       {map[string]int32{"Users": 3}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			has, err := rootHasCredentials(test.summary)
			if has != test.has || (err == nil) != test.known {
				t.Errorf("rootHasCredentials = %v, %v; want %v, known %v", has, err, test.has, test.known)
			}
		})
	}
}
