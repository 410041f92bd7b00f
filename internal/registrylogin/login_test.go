package registrylogin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"imagecache.dev/internal/dockerconfig"
)

const registry = "registry.example"

func config(t *testing.T, password string) []byte {
	t.Helper()
	content, err := dockerconfig.Encode(dockerconfig.Login{Registry: registry, Username: "AWS", Password: password})
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// loginOf returns a login with password "first", what its Secret has, and how often that was read.
func loginOf(t *testing.T) (login *Login, secret *atomic.Pointer[string], reads *atomic.Int32) {
	t.Helper()
	secret, reads = &atomic.Pointer[string]{}, &atomic.Int32{}
	first := "first"
	secret.Store(&first)
	login, err := New(registry, config(t, first), func(context.Context) ([]byte, error) {
		reads.Add(1)
		if *secret.Load() == "" {
			return nil, errors.New("no such Secret")
		}
		return config(t, *secret.Load()), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return login, secret, reads
}

func passwordOf(t *testing.T, login *Login) string {
	t.Helper()
	found, err := login.Authorization()
	if err != nil {
		t.Fatal(err)
	}
	return found.Password
}

func TestARefusedPasswordIsReadAgainOnce(t *testing.T) {
	second := "second"
	for name, test := range map[string]struct {
		secret  string
		refused []string
		want    []bool
		reads   int32
		ends    string
	}{
		"replaced":                    {"second", []string{"first"}, []bool{true}, 1, "second"},
		"several requests of one end": {"second", []string{"first", "first", "first"}, []bool{true, true, true}, 1, "second"},
		"not replaced, no hammering":  {"first", []string{"first", "first", "first"}, []bool{false, false, false}, 1, "first"},
		"the Secret does not exist":   {"", []string{"first", "first"}, []bool{false, false}, 1, "first"},
		"the new one is refused too":  {"second", []string{"first", "second", "second"}, []bool{true, false, false}, 2, "second"},
	} {
		t.Run(name, func(t *testing.T) {
			login, secret, reads := loginOf(t)
			clock := clocktesting.NewFakePassiveClock(time.Now())
			login.clock = clock
			secret.Store(&test.secret)
			for n, refused := range test.refused {
				if got := login.Renew(t.Context(), refused); got != test.want[n] {
					t.Errorf("call %d reports %v", n+1, got)
				}
			}
			if reads.Load() != test.reads || passwordOf(t, login) != test.ends {
				t.Errorf("read %d times, want %d; the password is %s", reads.Load(), test.reads, passwordOf(t, login))
			}
			secret.Store(&second)
			clock.SetTime(clock.Now().Add(readAgainAfter))
			login.Renew(t.Context(), passwordOf(t, login))
			if passwordOf(t, login) != "second" {
				t.Errorf("after a while the password is %s", passwordOf(t, login))
			}
		})
	}
}

// TestASecretThatCanNotBeReadKeepsNobody holds that a read that hangs ends, and that the known password is available
// meanwhile.
func TestASecretThatCanNotBeReadKeepsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		login, err := New(registry, config(t, "first"), func(ctx context.Context) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		if err != nil {
			t.Fatal(err)
		}
		began, ended := time.Now(), make(chan bool)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		go func() { ended <- login.Renew(ctx, "first") }()
		synctest.Wait()
		if passwordOf(t, login) != "first" || time.Since(began) != 0 {
			t.Errorf("the password was %s after %s", passwordOf(t, login), time.Since(began))
		}
		if <-ended || time.Since(began) != readTimeout {
			t.Errorf("the read ended after %s", time.Since(began))
		}
	})
}

// TestTheNextPasswordIsAwaited holds who ends a wait: another one who has read the Secret, the next read, or the context.
func TestTheNextPasswordIsAwaited(t *testing.T) {
	for name, test := range map[string]struct {
		after func(ctx context.Context, login *Login, secret *atomic.Pointer[string], cancel func())
		want  time.Duration
		fails bool
	}{
		"it is known already": {nil, 0, false},
		"another one reads it": {func(ctx context.Context, login *Login, secret *atomic.Pointer[string], _ func()) {
			secret.Store(ptr.To("second"))
			login.Renew(ctx, "")
		}, time.Minute + time.Second, false},
		"nobody reads it": {func(_ context.Context, _ *Login, secret *atomic.Pointer[string], _ func()) {
			secret.Store(ptr.To("second"))
		}, 75 * time.Second, false},
		"the context ends": {func(_ context.Context, _ *Login, _ *atomic.Pointer[string], cancel func()) { cancel() }, time.Minute + time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				login, secret, reads := loginOf(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.after == nil {
					secret.Store(ptr.To("second"))
				} else {
					time.AfterFunc(time.Minute+time.Second, func() { test.after(ctx, login, secret, cancel) })
				}
				began := time.Now()
				err := login.Await(ctx, "first")
				if time.Since(began) != test.want || (err != nil) != test.fails {
					t.Errorf("it ended after %s with %v", time.Since(began), err)
				}
				if reads.Load() > 6 {
					t.Errorf("the Secret was read %d times in a minute", reads.Load())
				}
			})
		})
	}
}

func TestALoginWithoutASecretStaysAsItIs(t *testing.T) {
	login, err := New(registry, config(t, "only"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if login.Renew(t.Context(), "only") || passwordOf(t, login) != "only" {
		t.Error("it was replaced")
	}
	if _, err := New("other.example", config(t, "only"), nil); err == nil {
		t.Error("want an error for a registry that the configuration does not have")
	}
}

// to connects to a server, whatever host a request is for.
func to(server *httptest.Server) http.RoundTripper {
	return &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
	}}
}

// TestARequestIsRepeatedWithTheNewPassword holds what is repeated, and how often the registry is asked.
func TestARequestIsRepeatedWithTheNewPassword(t *testing.T) {
	for name, test := range map[string]struct {
		secret string
		status int
		body   io.Reader
		want   int
		asked  int32
	}{
		"403":                            {"second", http.StatusForbidden, nil, http.StatusOK, 2},
		"401":                            {"second", http.StatusUnauthorized, nil, http.StatusOK, 2},
		"a body that can be sent again":  {"second", http.StatusForbidden, strings.NewReader("body"), http.StatusOK, 2},
		"a body that can not":            {"second", http.StatusForbidden, io.MultiReader(strings.NewReader("body")), http.StatusForbidden, 1},
		"no other password":              {"first", http.StatusForbidden, nil, http.StatusForbidden, 1},
		"the new password is refused":    {"third", http.StatusForbidden, nil, http.StatusForbidden, 2},
		"another answer":                 {"second", http.StatusNotFound, nil, http.StatusNotFound, 1},
		"an answer of the server's side": {"second", http.StatusBadGateway, nil, http.StatusBadGateway, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				content, _ := io.ReadAll(r.Body)
				if _, password, _ := r.BasicAuth(); password != "second" {
					w.WriteHeader(test.status)
					return
				}
				_, _ = w.Write(content)
			}))
			defer server.Close()
			login, secret, _ := loginOf(t)
			secret.Store(&test.secret)
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+registry, test.body)
			if err != nil {
				t.Fatal(err)
			}
			request.SetBasicAuth("AWS", "first")
			answer, err := Through(login, to(server)).RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			content, _ := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if answer.StatusCode != test.want || asked.Load() != test.asked {
				t.Errorf("answer %d after %d requests, want %d after %d", answer.StatusCode, asked.Load(), test.want, test.asked)
			}
			if test.want == http.StatusOK && test.body != nil && string(content) != "body" {
				t.Errorf("the second request has the body %q", content)
			}
		})
	}
}

func TestARequestWithoutAPasswordReadsNoSecret(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	defer server.Close()
	login, _, reads := loginOf(t)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := Through(login, http.DefaultTransport).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if reads.Load() != 0 {
		t.Errorf("the Secret was read %d times: storage that refuses says nothing about the password", reads.Load())
	}
}

// An address to which a registry redirects may have a login of its own: http.Client then sends that.
func TestNoOtherHostGetsTheNewPassword(t *testing.T) {
	var given []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		given = append(given, password)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer server.Close()
	login, _, reads := loginOf(t)
	client := &http.Client{Transport: Through(login, http.DefaultTransport)}
	answer, err := client.Get("http://user:other@" + strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if len(given) != 1 || given[0] != "other" || reads.Load() != 0 {
		t.Errorf("another host got the passwords %q, after %d reads of the Secret", given, reads.Load())
	}
}
