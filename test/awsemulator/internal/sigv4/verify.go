// Package sigv4 verifies AWS Signature Version 4 in the Authorization header.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

const algorithm = "AWS4-HMAC-SHA256"

// Skew is how far a request's time may be from the server's: five minutes, or what a service is known to take, which its error names.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
func Skew(service string) time.Duration {
	switch service {
	case "ecr", "sts":
		return 15 * time.Minute
	}
	return 5 * time.Minute
}

// The ways in which a signature can be wrong.
var (
	ErrMissing    = errors.New("missing authentication token")
	ErrIncomplete = errors.New("the authorization header is incomplete")
	ErrMismatch   = errors.New("the request signature we calculated does not match the signature you provided; check your AWS secret access key and signing method")
	ErrSkew       = errors.New("the request's time is not the server's")
	ErrUnsigned   = errors.New("a header is not signed")
	// ErrNotEmulated is a way to sign that AWS takes and the emulator does not; the error names it.
	ErrNotEmulated = errors.New("not emulated")
)

// refusal is one of the errors above in AWS' words.
type refusal struct {
	kind error
	text string
}

func (r *refusal) Error() string { return r.text }

func (r *refusal) Unwrap() error { return r.kind }

// Authorization is a parsed Authorization header.
type Authorization struct {
	AccessKeyID string
	Date        string // yyyymmdd of the scope
	Region      string
	Service     string

	signed    []string
	signature string
}

// Parse reads the header; it verifies nothing.
func Parse(r *http.Request) (*Authorization, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		if r.URL.Query().Has("X-Amz-Signature") {
			return nil, &refusal{ErrNotEmulated, "a signature in the query string"}
		}
		return nil, ErrMissing
	}
	rest, ok := strings.CutPrefix(header, algorithm+" ")
	if !ok && strings.HasPrefix(header, "AWS4-") {
		name, _, _ := strings.Cut(header, " ")
		return nil, &refusal{ErrNotEmulated, "the signature algorithm " + name}
	}
	if !ok {
		return nil, fmt.Errorf("%w: it does not begin with %s", ErrIncomplete, algorithm)
	}
	a := &Authorization{}
	for part := range strings.SplitSeq(rest, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch key {
		case "Credential":
			scope := strings.Split(value, "/")
			if len(scope) != 5 || scope[4] != "aws4_request" {
				return nil, fmt.Errorf("%w: credential scope", ErrIncomplete)
			}
			a.AccessKeyID, a.Date, a.Region, a.Service = scope[0], scope[1], scope[2], scope[3]
		case "SignedHeaders":
			a.signed = strings.Split(value, ";")
		case "Signature":
			a.signature = value
		}
	}
	if a.AccessKeyID == "" || len(a.signed) == 0 || a.signature == "" {
		return nil, ErrIncomplete
	}
	return a, nil
}

// Verify checks the signature with the key's secret and the request's time against now.
func (a *Authorization) Verify(r *http.Request, body []byte, secret string, now time.Time) error {
	stamp := r.Header.Get("X-Amz-Date")
	at, err := time.Parse("20060102T150405Z", stamp)
	if err != nil || !strings.HasPrefix(stamp, a.Date) {
		return fmt.Errorf("%w: X-Amz-Date", ErrIncomplete)
	}
	if err := checkTime(at, now.UTC(), Skew(a.Service)); err != nil {
		return err
	}
	if err := a.checkSigned(r); err != nil {
		return err
	}
	if said := r.Header.Get("X-Amz-Content-Sha256"); strings.HasPrefix(said, "STREAMING-") {
		return &refusal{ErrNotEmulated, "a body that is signed in chunks"}
	}
	bodyHash := sha256.Sum256(body)
	payload := hex.EncodeToString(bodyHash[:])
	if said := r.Header.Get("X-Amz-Content-Sha256"); said != "" && said != "UNSIGNED-PAYLOAD" && said != payload {
		return ErrMismatch
	}
	if r.Header.Get("X-Amz-Content-Sha256") == "UNSIGNED-PAYLOAD" {
		return fmt.Errorf("%w: the body must be signed", ErrIncomplete)
	}
	canonical := sha256.Sum256([]byte(a.canonical(r, payload)))
	scope := a.Date + "/" + a.Region + "/" + a.Service + "/aws4_request"
	toSign := algorithm + "\n" + stamp + "\n" + scope + "\n" + hex.EncodeToString(canonical[:])
	want := sign(signingKey(secret, a.Date, a.Region, a.Service), toSign)
	have, err := hex.DecodeString(a.signature)
	if err != nil || !hmac.Equal(want, have) {
		return ErrMismatch
	}
	return nil
}

func checkTime(at, now time.Time, skew time.Duration) error {
	const layout = "20060102T150405Z"
	first, last := now.Add(-skew), now.Add(skew)
	switch {
	case at.Before(first):
		return &refusal{ErrSkew, fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - %d min.)",
			at.Format(layout), first.Format(layout), now.Format(layout), int(skew.Minutes()))}
	case at.After(last):
		return &refusal{ErrSkew, fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + %d min.)",
			at.Format(layout), last.Format(layout), now.Format(layout), int(skew.Minutes()))}
	}
	return nil
}

// checkSigned wants the host and every X-Amz- header to be signed: whoever adds one on the way changes what is asked for.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html#create-canonical-request
func (a *Authorization) checkSigned(r *http.Request) error {
	if !slices.Contains(a.signed, "host") {
		return &refusal{ErrUnsigned, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		if strings.HasPrefix(name, "X-Amz-") && !slices.Contains(a.signed, strings.ToLower(name)) {
			return &refusal{ErrUnsigned, fmt.Sprintf("'%s' must be a 'SignedHeader' in the AWS Authorization.", name)}
		}
	}
	return nil
}

func (a *Authorization) canonical(r *http.Request, payload string) string {
	var b strings.Builder
	b.WriteString(r.Method + "\n")
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	b.WriteString(path + "\n")
	b.WriteString(canonicalQuery(r.URL.Query()) + "\n")
	for _, name := range a.signed {
		var value string
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = r.Header.Get(name)
			if value == "" {
				value = fmt.Sprint(r.ContentLength)
			}
		default:
			value = strings.Join(r.Header.Values(name), ",")
		}
		b.WriteString(name + ":" + strings.Join(strings.Fields(value), " ") + "\n")
	}
	b.WriteString("\n" + strings.Join(a.signed, ";") + "\n" + payload)
	return b.String()
}

func canonicalQuery(q url.Values) string {
	var pairs []string
	for k, values := range q {
		for _, v := range values {
			pairs = append(pairs, escape(k)+"="+escape(v))
		}
	}
	sort.Strings(pairs)
	return strings.Join(pairs, "&")
}

func escape(s string) string {
	return strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
}

func sign(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// keys caches derived signing keys: they cost four of the five HMACs of a verification.
var keys sync.Map

func signingKey(secret, date, region, service string) []byte {
	id := [4]string{secret, date, region, service}
	if k, ok := keys.Load(id); ok {
		return k.([]byte)
	}
	k := sign([]byte("AWS4"+secret), date)
	k = sign(k, region)
	k = sign(k, service)
	k = sign(k, "aws4_request")
	keys.Store(id, k)
	return k
}
