package message_test

import (
	"strings"
	"testing"

	"imagecache.dev/internal/message"
)

// query is that of an address of ECR's storage.
const query = "X-Amz-Security-Token=IQoJb3JpZ2luX2VjSECRET%2F%2F&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=3600" +
	"&X-Amz-Credential=ASIASECRET%2F20260101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Signature=0123456789SECRET"

func TestRedact(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		// What docker 29 with containerd's store printed when the storage answered 403, and when it hung up.
		"containerd, a status": {
			"unknown: failed to copy: httpReadSeeker: failed open: unexpected status from GET request to " +
				"http://127.0.0.1:40653/layer/sha256:1ebcf3165334?" + query + ": 403 Forbidden",
			"unknown: failed to copy: httpReadSeeker: failed open: unexpected status from GET request to " +
				"http://127.0.0.1:40653/layer/sha256:1ebcf3165334?REDACTED: 403 Forbidden",
		},
		"containerd, no answer": {
			`failed to copy: httpReadSeeker: failed open: failed to do request: Get "http://127.0.0.1:40929/layer/sha256:1eb?` +
				query + `": EOF`,
			`failed to copy: httpReadSeeker: failed open: failed to do request: Get "http://127.0.0.1:40929/layer/sha256:1eb?` +
				`REDACTED": EOF`,
		},
		// What podman 4 and docker 20.10 and 28 with overlay2 printed.
		"podman, retrying": {
			`time="2026-11-29T13:29:46Z" level=warning msg="Failed, retrying in 1s ... (1/3). Error: parsing image ` +
				`configuration: Get \"http://127.0.0.1:35251/layer/sha256:1eb?` + query + `\": EOF"`,
			`time="2026-11-29T13:29:46Z" level=warning msg="Failed, retrying in 1s ... (1/3). Error: parsing image ` +
				`configuration: Get \"http://127.0.0.1:35251/layer/sha256:1eb?REDACTED\": EOF"`,
		},
		"podman, a status": {
			"Error: parsing image configuration: Error fetching blob: invalid status code from registry 403 (Forbidden)",
			"Error: parsing image configuration: Error fetching blob: invalid status code from registry 403 (Forbidden)",
		},
		"docker": {
			`error pulling image configuration: download failed after attempts=1: error parsing HTTP 403 response body: ""`,
			`error pulling image configuration: download failed after attempts=1: error parsing HTTP 403 response body: ""`,
		},
		"JSON": {
			`{"error":"Get https://s3.cn-north-1.amazonaws.com.cn/l?` + strings.ReplaceAll(query, "&", `\u0026`) + `: EOF"}`,
			`{"error":"Get https://s3.cn-north-1.amazonaws.com.cn/l?REDACTED: EOF"}`,
		},
		"a line that was cut":    {"…n=abc&" + query, "…n=abc&" + redactedQuery},
		"a login":                {"clone https://me:SECRET@git.example.org/a.git failed", "clone https://REDACTED@git.example.org/a.git failed"},
		"a sentence's end":       {"see (https://example.org/a?SECRET).", "see (https://example.org/a?REDACTED)."},
		"two":                    {"https://a/?SECRET https://b/?SECRET", "https://a/?REDACTED https://b/?REDACTED"},
		"no query":               {"Get https://a.example.org/v2/: is it up?", "Get https://a.example.org/v2/: is it up?"},
		"an image of a digest":   {"pull a.dkr.ecr.eu-west-1.amazonaws.com/b@sha256:00", "pull a.dkr.ecr.eu-west-1.amazonaws.com/b@sha256:00"},
		"upper case, no slashes": {"HTTPS://A/B?SECRET", "HTTPS://A/B?REDACTED"},
	} {
		got := message.Redact(test.text)
		if got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
		if again := message.Redact(got); again != got {
			t.Errorf("%s: redacted twice: %q", name, again)
		}
		if strings.Contains(got, "SECRET") {
			t.Errorf("%s: a secret is left: %q", name, got)
		}
	}
}

const redactedQuery = "X-Amz-Security-Token=REDACTED&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Expires=3600" +
	"&X-Amz-Credential=REDACTED&X-Amz-Signature=REDACTED"

// A text is redacted before it is cut: the rest of a signature would not be recognized.
func TestLineRedactsBeforeItCuts(t *testing.T) {
	if got, want := message.Line("Get https://a/b?"+query, 30), "Get https://a/b?REDACTED"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func FuzzRedactIsStable(f *testing.F) {
	f.Add("Get https://a/b?" + query)
	f.Add("HTTP://\xff?a\\u0026")
	f.Fuzz(func(t *testing.T, text string) {
		once := message.Redact(text)
		if twice := message.Redact(once); twice != once {
			t.Errorf("%q becomes %q and then %q", text, once, twice)
		}
	})
}
