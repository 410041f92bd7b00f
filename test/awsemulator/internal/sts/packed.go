package sts

import (
	"bytes"
	"compress/flate"
	"sort"
)

// DefaultPackedLimit is how many bytes the session policies and tags of a session may take once they are compressed.
// AWS documents that there is such a limit beside those on plain length, and answers a percentage of it, but neither the
// method nor the size. This is a model: DEFLATE, and a limit under which a session policy of the plain maximum of 2,048
// characters fits, and the tags that a session inherits from EKS Pod Identity take a quarter of the space. Users of AWS report
// that those take most of it: tests of that set a limit of 300.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html (PackedPolicySize)
const DefaultPackedLimit = 800

// tokenBase is what a session token takes without policies and tags, in bytes before base64.
const tokenBase = 240

// percent is rounded up.
func percent(part, whole int) int { return (part*100 + whole - 1) / whole }

// packedSize is how many bytes policies and tags take when they are compressed.
func packedSize(policies []string, tags map[string]string) int {
	if len(policies) == 0 && len(tags) == 0 {
		return 0
	}
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression) // the level is valid
	for _, p := range policies {
		_, _ = w.Write([]byte(p)) // a buffer takes everything
	}
	keys := make([]string, 0, len(tags))
	for k := range tags {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		_, _ = w.Write([]byte(k + "\x00" + tags[k] + "\x00"))
	}
	_ = w.Close()
	return b.Len()
}
