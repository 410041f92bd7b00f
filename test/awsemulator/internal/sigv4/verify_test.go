package sigv4

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// The example of AWS' own documentation, a request for IAM's ListUsers.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func exampleRequest(t *testing.T) *http.Request {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", strings.NewReader(""))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	r.Header.Set("X-Amz-Date", "20150830T123600Z")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "+
		"SignedHeaders=content-type;host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7")
	return r
}

func TestVerifyTheExampleOfTheDocumentation(t *testing.T) {
	const secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
	at := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	for _, tc := range []struct {
		name   string
		change func(*http.Request)
		secret string
		now    time.Time
		want   error
	}{
		{"as it is", func(*http.Request) {}, secret, at, nil},
		{"five minutes later", func(*http.Request) {}, secret, at.Add(Skew("iam")), nil},
		{"a second later still", func(*http.Request) {}, secret, at.Add(Skew("iam") + time.Second), ErrSkew},
		{"from the future", func(*http.Request) {}, secret, at.Add(-Skew("iam") - time.Second), ErrSkew},
		{"another secret", func(*http.Request) {}, secret + "x", at, ErrMismatch},
		{"another action", func(r *http.Request) { r.URL.RawQuery = "Action=DeleteUser&Version=2010-05-08" }, secret, at, ErrMismatch},
		{"another host", func(r *http.Request) { r.Host = "sts.amazonaws.com" }, secret, at, ErrMismatch},
		{"another path", func(r *http.Request) { r.URL.Path = "/x" }, secret, at, ErrMismatch},
		{"another signed header", func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, secret, at, ErrMismatch},
		{"a header of AWS that is not signed", func(r *http.Request) { r.Header.Set("X-Amz-Target", "x") }, secret, at, ErrUnsigned},
		{"another header that is not signed", func(r *http.Request) { r.Header.Set("Amz-Sdk-Request", "attempt=1") }, secret, at, nil},
		{"the host is not signed", func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), ";host", "", 1))
		}, secret, at, ErrUnsigned},
		{"another method", func(r *http.Request) { r.Method = http.MethodPost }, secret, at, ErrMismatch},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := exampleRequest(t)
			tc.change(r)
			a, err := Parse(r)
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Verify(r, nil, tc.secret, tc.now); !errors.Is(err, tc.want) {
				t.Errorf("%v, want %v", err, tc.want)
			}
		})
	}
	r := exampleRequest(t)
	a, err := Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Verify(r, []byte("another body"), secret, at); !errors.Is(err, ErrMismatch) {
		t.Errorf("another body: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=A/20150830/r/s/aws4_request, SignedHeaders=host, Signature=00")
	f.Add("Basic x")
	f.Fuzz(func(t *testing.T, header string) {
		r, err := http.NewRequest(http.MethodPost, "http://localhost/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", header)
		r.Header.Set("X-Amz-Date", "20150830T123600Z")
		a, err := Parse(r)
		if err != nil {
			return
		}
		if a.Verify(r, nil, "secret", time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)) == nil {
			t.Errorf("header %q is a good signature of a secret that its author does not know", header)
		}
	})
}

// The sentences are AWS', as its users report them.
func TestMessagesOfARefusedTime(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		service string
		at      time.Time
		want    string
	}{
		{"cloudformation", now.Add(-6 * time.Minute), "Signature expired: 20260301T115400Z is now earlier than 20260301T115500Z (20260301T120000Z - 5 min.)"},
		{"ecr", now.Add(-16 * time.Minute), "Signature expired: 20260301T114400Z is now earlier than 20260301T114500Z (20260301T120000Z - 15 min.)"},
		{"ecr", now.Add(-15 * time.Minute), ""},
		{"sts", now.Add(16 * time.Minute), "Signature not yet current: 20260301T121600Z is still later than 20260301T121500Z (20260301T120000Z + 15 min.)"},
	} {
		got := ""
		if err := checkTime(tc.at, now, Skew(tc.service)); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", tc.service, got, tc.want)
		}
	}
}
