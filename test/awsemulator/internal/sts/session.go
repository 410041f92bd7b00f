package sts

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"time"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/iam"
)

// newSession makes credentials of one kind, whose token is as long as what is packed into it.
func newSession(c *caller.Caller, kind caller.Kind, name string, seconds, packed int) *caller.Session {
	issued := c.Now.Truncate(time.Second)
	return &caller.Session{
		Kind: kind, AccessKeyID: iam.NewID("ASIA")[:20], SecretAccessKey: secret(30), Token: "IQoJ" + secret(tokenBase+packed), Name: name,
		Issued: issued, Expires: issued.Add(time.Duration(seconds) * time.Second),
	}
}

func credentials(s *caller.Session) credentialsXML {
	return credentialsXML{s.AccessKeyID, s.SecretAccessKey, s.Token, s.Expires.UTC().Format("2006-01-02T15:04:05Z")}
}

// tokenXML is how long a session's token is, and which part of the longest.
type tokenXML struct {
	Size        int `xml:"SessionTokenSize"`
	Utilization int `xml:"SessionTokenUtilization"`
}

func (s *Service) token(session *caller.Session, packed int) tokenXML {
	return tokenXML{len(session.Token), percent(tokenBase+packed, tokenBase+s.settings.PackedLimit)}
}

// packed is how much space policies and tags take, in bytes and as a percentage of what there is.
func (s *Service) packed(texts []string, tags map[string]string) (size, used int, err error) {
	size = packedSize(texts, tags)
	used = percent(size, s.settings.PackedLimit)
	if used > 100 {
		what := "policy and session tags consume"
		if len(texts) == 0 {
			what = "session tags consume"
		}
		return 0, 0, apierror.New("PackedPolicyTooLarge", "Packed size of %s %d%% of allotted space.", what, used)
	}
	return size, used, nil
}

// secret makes characters out of n random bytes.
func secret(n int) string {
	raw := make([]byte, n)
	_, _ = rand.Read(raw) // never fails
	return strings.NewReplacer("-", "a", "_", "b").Replace(base64.RawURLEncoding.EncodeToString(raw))
}
