// Package ranges reads blobs of a registry in ranges, several at a time, within bounded memory.
package ranges

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
)

const (
	// tries is how often a range is requested before its blob fails.
	tries = 4
	// firstPause is the pause before the second try; each further one is four times as long.
	firstPause = 100 * time.Millisecond
	// stallTimeout limits the time without a single byte. A limit for a whole range would fail on slow links.
	stallTimeout = 20 * time.Second
)

// Source is a repository whose blobs are read. Several goroutines may use it.
type Source struct {
	repository name.Repository
	client     *http.Client // authenticates to the repository's registry, and to nothing else
	stall      time.Duration

	// whole is set when the registry ignores ranges.
	whole atomic.Bool

	mu sync.Mutex
	// located are the addresses to which the registry redirects, by digest. They hold signatures: they are credentials.
	located map[string]string
}

// NewSource returns the source of a repository. client authenticates to the repository's registry.
func NewSource(repository name.Repository, client *http.Client) *Source {
	return &Source{repository: repository, client: client, stall: stallTimeout, located: map[string]string{}}
}

// StallAfter sets the time without a single byte after which a range is requested again.
func (s *Source) StallAfter(limit time.Duration) { s.stall = limit }

// errWhole reports that the registry ignores ranges.
var errWhole = errors.New("the registry ignores ranges")

// statusError is an answer of the registry, or of the storage to which it redirects.
type statusError int

func (e statusError) Error() string {
	return fmt.Sprintf("the registry answers %d %s", int(e), http.StatusText(int(e)))
}

// final reports whether another try can't help after a number of them.
func final(err error, tried int) bool {
	var status statusError
	if !errors.As(err, &status) {
		return errors.Is(err, errWhole)
	}
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return false
	case http.StatusUnauthorized, http.StatusForbidden:
		return tried > 1 // an address may expire on the way
	}
	return status >= 400 && status < 500
}

// read reads the range of a blob into buffer, whose length is that of the range. It tries again after failures.
func (s *Source) read(ctx context.Context, digest string, from int64, buffer []byte) error {
	pause := firstPause
	for try := 1; ; try++ {
		err := s.readOnce(ctx, digest, from, buffer)
		if err == nil || final(err, try) || try == tries || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
			pause *= 4
		}
	}
}

func (s *Source) readOnce(ctx context.Context, digest string, from int64, buffer []byte) error {
	body, err := s.open(ctx, digest, from, from+int64(len(buffer))-1)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	if _, err := io.ReadFull(body, buffer); err != nil {
		return fmt.Errorf("read range: %w", withoutAddress(err))
	}
	_, _ = body.Read(make([]byte, 1)) // the end, so that the connection is used again
	return nil
}

// open requests a range, from and to included, or with a negative to the whole blob.
func (s *Source) open(ctx context.Context, digest string, from, to int64) (io.ReadCloser, error) {
	s.mu.Lock()
	address, isLocated := s.located[digest]
	s.mu.Unlock()
	if isLocated {
		body, err := s.request(ctx, digest, address, from, to)
		var status statusError
		if !errors.As(err, &status) || status >= 500 {
			return body, err
		}
		s.mu.Lock()
		delete(s.located, digest) // it expired
		s.mu.Unlock()
	}
	address = s.repository.Scheme() + "://" + s.repository.RegistryStr() + "/v2/" + s.repository.RepositoryStr() +
		"/blobs/" + digest
	return s.request(ctx, digest, address, from, to)
}

func (s *Source) request(ctx context.Context, digest, address string, from, to int64) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		cancel()
		return nil, withoutAddress(err)
	}
	wanted := http.StatusOK
	if to >= 0 {
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, to))
		wanted = http.StatusPartialContent
	}
	watch := time.AfterFunc(s.stall, cancel)
	answer, err := s.client.Do(request) //nolint:bodyclose // body closes it
	if err != nil {
		watch.Stop()
		cancel()
		return nil, withoutAddress(err)
	}
	body := &body{ReadCloser: answer.Body, cancel: cancel, watch: watch, stall: s.stall}
	if err := s.checkAnswer(answer, wanted, from, to); err != nil {
		_ = body.Close()
		return nil, err
	}
	if final := answer.Request.URL; final.Host != s.repository.RegistryStr() {
		s.mu.Lock()
		s.located[digest] = final.String()
		s.mu.Unlock()
	}
	return body, nil
}

func (s *Source) checkAnswer(answer *http.Response, wanted int, from, to int64) error {
	switch answer.StatusCode {
	case wanted:
	case http.StatusOK:
		s.whole.Store(true)
		return errWhole
	default:
		return statusError(answer.StatusCode)
	}
	if wanted == http.StatusPartialContent {
		got := answer.Header.Get("Content-Range")
		if prefix := fmt.Sprintf("bytes %d-%d/", from, to); !strings.HasPrefix(got, prefix) {
			return fmt.Errorf("the registry answers with another range: %q", got)
		}
	}
	return nil
}

// withoutAddress removes the address from an error of package net/http: it may hold a signature.
func withoutAddress(err error) error {
	var withAddress *url.Error
	if errors.As(err, &withAddress) {
		return withAddress.Err
	}
	return err
}

// body ends an answer that stalls.
type body struct {
	io.ReadCloser
	cancel context.CancelFunc
	watch  *time.Timer
	stall  time.Duration
}

func (b *body) Read(p []byte) (int, error) {
	b.watch.Reset(b.stall)
	n, err := b.ReadCloser.Read(p)
	b.watch.Stop() // a reader that takes its time is no stall
	return n, err
}

func (b *body) Close() error {
	b.watch.Stop()
	err := b.ReadCloser.Close()
	b.cancel()
	return err
}
