package shaped_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"

	"imagecache.dev/test/shaped"
)

func TestServerIsAsSlowAsItsLink(t *testing.T) {
	const size = 4 << 20
	link := shaped.Link{BytesPerSecond: 16 << 20, FirstByte: 100 * time.Millisecond}
	server, err := shaped.Serve(t.Context(), link, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			_, _ = w.Write(make([]byte, size))
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Close() }()
	const least = 100*time.Millisecond + 200*time.Millisecond // 4 MiB less a burst take 234 ms
	address := "http://" + server.Address()
	began := time.Now()
	answer, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	if took := time.Since(began); err != nil || got != size || took < least {
		t.Errorf("read %d bytes in %s, %v; want %d in at least %s", got, took, err, size, least)
	}
	began = time.Now()
	answer, err = http.Post(address, "", bytes.NewReader(make([]byte, size)))
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if took := time.Since(began); took < least {
		t.Errorf("wrote %d bytes in %s, want at least %s", size, took, least)
	}
}
