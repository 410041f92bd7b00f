package transfer

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"imagecache.dev/internal/dockerconfig"
	"imagecache.dev/internal/registrylogin"
	"imagecache.dev/test/testregistry"
)

// ecrLike is a registry in front of testregistry's whose uploads are like those of ECR: what a broken request sent is
// kept, the answer to a chunk is 201 with a Range that stays where it was, the status of an upload is not available,
// and an answer 416 tells the byte that is expected.
type ecrLike struct {
	t    *testing.T
	host string

	mu       sync.Mutex
	uploads  map[string][]byte
	received int64
	// breakAt breaks the connection when that many bytes have come in all; each is used once.
	breakAt []int64
	// forgetAt lets the registry forget its uploads likewise.
	forgetAt []int64
	// password is the one that the registry takes, unless it is empty; expireAt are the counts of bytes after which it
	// changes to the next one.
	password []string
	expireAt []int64
	// refusesPieces lets the registry refuse uploads that were broken off: those in pieced.
	refusesPieces bool
	pieced        map[string]bool
	begun         int
	ranges        []string
}

func startECRLike(t *testing.T) *ecrLike {
	r := &ecrLike{t: t, uploads: map[string][]byte{}, pieced: map[string]bool{}}
	r.host = testregistry.Start(t, r.serve)
	return r
}

func (r *ecrLike) serve(w http.ResponseWriter, request *http.Request) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.password) > 0 {
		if _, given, _ := request.BasicAuth(); given == "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		} else if given != r.password[0] {
			w.WriteHeader(http.StatusForbidden)
			return true
		}
	}
	_, id, isUpload := strings.Cut(request.URL.Path, "/blobs/uploads/")
	if !isUpload {
		return false
	}
	content, known := r.uploads[id]
	switch {
	case request.Method == http.MethodPost:
		r.begun++
		id := fmt.Sprint("upload-", r.begun)
		r.uploads[id] = []byte{}
		w.Header().Set("Location", request.URL.Path+id)
		w.WriteHeader(http.StatusAccepted)
		return true
	case !known || request.Method == http.MethodGet:
		w.WriteHeader(http.StatusNotFound)
		return true
	case request.Method == http.MethodPatch:
		r.receive(w, request, id, content)
		return true
	}
	if r.refusesPieces && r.pieced[id] {
		w.WriteHeader(http.StatusBadRequest)
		return true
	}
	// The store makes a blob of it, by a request with all of the content.
	request.Body, request.ContentLength = io.NopCloser(strings.NewReader(string(content))), int64(len(content))
	return false
}

func (r *ecrLike) receive(w http.ResponseWriter, request *http.Request, id string, content []byte) {
	if told := request.Header.Get("Content-Range"); told != "" {
		r.ranges = append(r.ranges, told)
		first := int64(0)
		if _, err := fmt.Sscanf(told, "%d-", &first); err != nil || first != int64(len(content)) {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			_, _ = fmt.Fprintf(w, `{"errors":[{"code":"BLOB_UPLOAD_INVALID","message":"First byte of the layer part is %d instead of %d"}]}`, first, len(content))
			return
		}
	}
	var buffer [1000]byte
	for {
		n, err := request.Body.Read(buffer[:])
		content, r.received = append(content, buffer[:n]...), r.received+int64(n)
		r.uploads[id] = content
		if due(&r.forgetAt, r.received) {
			r.uploads = map[string][]byte{}
			panic(http.ErrAbortHandler)
		}
		if due(&r.breakAt, r.received) {
			r.pieced[id] = true
			panic(http.ErrAbortHandler)
		}
		if err != nil {
			break
		}
	}
	if due(&r.expireAt, r.received) {
		r.password = r.password[1:]
	}
	w.Header().Set("Location", request.URL.Path)
	w.Header().Set("Range", "0-999")
	w.WriteHeader(http.StatusCreated)
}

// current is the password that the registry takes, or "" if it takes requests without one.
func (r *ecrLike) current() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.password) == 0 {
		return ""
	}
	return r.password[0]
}

// open lets the registry take requests without a password.
func (r *ecrLike) open() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.password = nil
}

// due reports whether the first of some counts is reached, and drops it.
func due(counts *[]int64, received int64) bool {
	if len(*counts) == 0 || received < (*counts)[0] {
		return false
	}
	*counts = (*counts)[1:]
	return true
}

// upload uploads one layer of 200,000 bytes in chunks of 50,000, and returns how many bytes it has.
func (r *ecrLike) upload(auth authn.Authenticator) (v1.Layer, int64) {
	r.t.Helper()
	layers := someLayers(r.t, 1, 200_000)
	size, err := layers[0].Size()
	if err != nil {
		r.t.Fatal(err)
	}
	sending := quick(testregistry.Repository(r.t, r.host), auth)
	sending.chunk, sending.pause = 50_000, 20*time.Millisecond
	if err := sending.run(r.t.Context(), layers); err != nil {
		r.t.Fatal(err)
	}
	if done := sending.meter.done.Load(); done != size || sending.meter.total != size {
		r.t.Errorf("%d of %d bytes count as done, want %d", done, sending.meter.total, size)
	}
	return layers[0], size
}

func TestABlobGoesOnAtTheByteWhereItBroke(t *testing.T) {
	for what, test := range map[string]struct {
		edit func(*ecrLike)
		// again is how many bytes may be sent twice at most, and begun how many uploads are begun.
		again int64
		begun int
	}{
		"nothing breaks":          {func(*ecrLike) {}, 0, 1},
		"once":                    {func(r *ecrLike) { r.breakAt = []int64{70_000} }, 0, 1},
		"in the first chunk":      {func(r *ecrLike) { r.breakAt = []int64{10_000} }, 0, 1},
		"after the last byte":     {func(r *ecrLike) { r.breakAt = []int64{200_000} }, 0, 1},
		"many times":              {func(r *ecrLike) { r.breakAt = []int64{20_000, 40_000, 60_000, 80_000, 100_000, 120_000, 140_000} }, 0, 1},
		"the upload is forgotten": {func(r *ecrLike) { r.forgetAt = []int64{120_000} }, 121_000, 2},
		"and breaks at places that it had passed": {func(r *ecrLike) {
			r.forgetAt = []int64{160_000}
			r.breakAt = []int64{170_000, 180_000, 190_000, 200_000, 210_000, 220_000, 230_000, 240_000}
		}, 161_000, 2},
		"pieces are not accepted":   {func(r *ecrLike) { r.breakAt, r.refusesPieces = []int64{70_000}, true }, 220_000, 2},
		"and what breaks is resent": {func(r *ecrLike) { r.breakAt, r.refusesPieces = []int64{70_000, 300_000}, true }, 320_000, 3},
	} {
		t.Run(what, func(t *testing.T) {
			r := startECRLike(t)
			test.edit(r)
			layer, size := r.upload(authn.Anonymous)
			if !hasBlob(t, testregistry.Repository(t, r.host), layer) {
				t.Error("the blob is not in the registry")
			}
			if r.received-size > test.again || r.begun != test.begun {
				t.Errorf("%d bytes were sent again, want %d at most; %d uploads, want %d; ranges %q",
					r.received-size, test.again, r.begun, test.begun, r.ranges)
			}
		})
	}
}

// TestALargeChunkIsNotSentInVain holds that the registry is asked before a large chunk is sent to the wrong place.
func TestALargeChunkIsNotSentInVain(t *testing.T) {
	r := startECRLike(t)
	r.breakAt = []int64{1 << 20}
	layers := someLayers(t, 1, 8<<20)
	size, err := layers[0].Size()
	if err != nil {
		t.Fatal(err)
	}
	sending := quick(testregistry.Repository(t, r.host), authn.Anonymous)
	if err := sending.run(t.Context(), layers); err != nil {
		t.Fatal(err)
	}
	// What the first request had sent beyond the break is lost, in buffers of the connection.
	if sent := sending.sent.Load(); sent > size+6<<20 {
		t.Errorf("%d bytes were sent of a blob of %d", sent, size)
	}
	if r.received != size {
		t.Errorf("the registry received %d bytes, want %d", r.received, size)
	}
}

// TestAnUploadGoesOnWithANewPassword holds that an upload which was begun with one password goes on with the next.
func TestAnUploadGoesOnWithANewPassword(t *testing.T) {
	for what, late := range map[string]int{"which is there": 0, "which comes later": 3} {
		t.Run(what, func(t *testing.T) {
			r := startECRLike(t)
			r.password, r.expireAt = []string{"first", "second", "third"}, []int64{60_000, 160_000}
			reads := 0
			login := loginTo(t, r.host, "first", func() string {
				if reads++; reads <= late {
					return "first"
				}
				return r.current()
			})
			if late > 0 {
				renewSoon(t, login)
			}
			layer, size := r.upload(login)
			r.open()
			if !hasBlob(t, testregistry.Repository(t, r.host), layer) {
				t.Error("the blob is not in the registry")
			}
			if r.received != size || r.begun != 1 {
				t.Errorf("%d bytes were sent, want %d; %d uploads", r.received, size, r.begun)
			}
		})
	}
}

// loginTo returns a login whose Secret has the password that current returns.
func loginTo(t *testing.T, host, password string, current func() string) *registrylogin.Login {
	t.Helper()
	content := func(password string) []byte {
		encoded, err := dockerconfig.Encode(dockerconfig.Login{Registry: host, Username: "AWS", Password: password})
		if err != nil {
			t.Error(err)
		}
		return encoded
	}
	login, err := registrylogin.New(host, content(password), func(context.Context) ([]byte, error) {
		return content(current()), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return login
}

// renewSoon reads the login's Secret again and again, as one who waits for new rights.
func renewSoon(t *testing.T, login *registrylogin.Login) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		ticker := time.NewTicker(5 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				login.Renew(t.Context(), "")
			}
		}
	}()
	t.Cleanup(func() { close(done) })
}

func TestAPasswordThatNeverWorkedIsFinal(t *testing.T) {
	r := startECRLike(t)
	r.password = []string{"right"}
	sending := quick(testregistry.Repository(t, r.host), loginTo(t, r.host, "wrong", func() string { return "wrong" }))
	sending.pause = time.Hour
	if err := sending.run(t.Context(), someLayers(t, 1, 1000)); err == nil {
		t.Error("want an error")
	}
}

// TestAnUploadWaitsForItsNextPassword holds that neither time nor tries end an upload whose next password takes long.
func TestAnUploadWaitsForItsNextPassword(t *testing.T) {
	r := startECRLike(t)
	r.password, r.expireAt = []string{"first", "second"}, []int64{60_000}
	granted := make(chan struct{})
	login := loginTo(t, r.host, "first", func() string {
		select {
		case <-granted:
			return "second"
		default:
			return "first"
		}
	})
	layers := someLayers(t, 1, 200_000)
	sending := quick(testregistry.Repository(t, r.host), login)
	sending.chunk = 50_000 // and pauses of milliseconds: six tries take less than 100
	done := make(chan error, 1)
	go func() { done <- sending.run(t.Context(), layers) }()
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(time.Second):
	}
	close(granted)
	login.Renew(t.Context(), "") // as one who sees the grant in the status
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r.open()
	if !hasBlob(t, testregistry.Repository(t, r.host), layers[0]) {
		t.Error("the blob is not in the registry")
	}
}

// TestAnUploadThatWaitsEndsWithItsContext holds that a password that never comes does not keep it.
func TestAnUploadThatWaitsEndsWithItsContext(t *testing.T) {
	r := startECRLike(t)
	r.password, r.expireAt = []string{"first", "second"}, []int64{60_000}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	sending := quick(testregistry.Repository(t, r.host), loginTo(t, r.host, "first", func() string { return "first" }))
	sending.chunk = 50_000
	if err := sending.run(ctx, someLayers(t, 1, 200_000)); err == nil || ctx.Err() == nil {
		t.Errorf("it ended with %v, and the context with %v", err, ctx.Err())
	}
}

// TestAForgetfulRegistryIsTriedSixTimes holds that an upload that always starts over ends.
func TestAForgetfulRegistryIsTriedSixTimes(t *testing.T) {
	r := startECRLike(t)
	for n := int64(1); n <= 20; n++ {
		r.forgetAt = append(r.forgetAt, n*120_000)
	}
	sending := quick(testregistry.Repository(t, r.host), authn.Anonymous)
	sending.chunk = 50_000
	if err := sending.run(t.Context(), someLayers(t, 1, 200_000)); err == nil || r.begun != uploadTries {
		t.Errorf("%d uploads were begun, want %d; error %v", r.begun, uploadTries, err)
	}
}

func TestAConnectionThatStallsIsBroken(t *testing.T) {
	var once sync.Once
	host := testregistry.Start(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPatch {
			return false
		}
		stalled := false
		once.Do(func() { stalled = true })
		if stalled {
			_, _ = io.Copy(io.Discard, r.Body) // only then net/http notices that the client has gone
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		}
		return false
	})
	layers := someLayers(t, 1, 50_000)
	sending := quick(testregistry.Repository(t, host), authn.Anonymous)
	sending.stall = 200 * time.Millisecond
	if err := sending.run(t.Context(), layers); err != nil {
		t.Fatal(err)
	}
	if !hasBlob(t, testregistry.Repository(t, host), layers[0]) {
		t.Error("the blob is not in the registry")
	}
}

func TestTheSmallestBlobIsTheFirst(t *testing.T) {
	layers := slices.Concat(someLayers(t, 1, 30_000), someLayers(t, 1, 10_000), someLayers(t, 1, 20_000))
	queue, err := newUpload(name.Repository{}, authn.Anonymous, nil).queue(layers)
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range []v1.Layer{layers[1], layers[2], layers[0]} {
		if queue[n].layer != want {
			t.Errorf("place %d has a blob of %d bytes", n, queue[n].size)
		}
	}
}
