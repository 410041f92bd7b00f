package transfer

import (
	"errors"
	"net/http"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"imagecache.dev/test/testregistry"
)

// What authenticates requests compares hosts as they are written, so an address gets the registry's own.
func TestAnUploadStaysInItsRegistry(t *testing.T) {
	const ecr = "1.dkr.ecr.eu-west-1.amazonaws.com"
	for _, test := range []struct{ registry, location, want string }{
		{ecr, "/v2/p/blobs/uploads/1", "https://" + ecr + "/v2/p/blobs/uploads/1"},
		{ecr, "1?state=a%2Fb", "https://" + ecr + "/v2/p/blobs/uploads/1?state=a%2Fb"},
		{ecr, "https://" + ecr + "/v2/p/1", "https://" + ecr + "/v2/p/1"},
		{ecr, "https://" + ecr + ":443/v2/p/1", "https://" + ecr + "/v2/p/1"},
		{ecr, "HTTPS://" + "1.DKR.ecr.eu-west-1.amazonaws.com" + "/v2/p/1", "https://" + ecr + "/v2/p/1"},
		{ecr, "https://user:password@" + ecr + "/v2/p/1", "https://" + ecr + "/v2/p/1"},
		{ecr + ":443", "https://" + ecr + "/v2/p/1", "https://" + ecr + ":443/v2/p/1"},
		{"127.0.0.1:5000", "http://127.0.0.1:5000/v2/p/1", "http://127.0.0.1:5000/v2/p/1"},
		{ecr, "http://" + ecr + "/v2/p/1", ""},
		{ecr, "http://" + ecr + ":443/v2/p/1", ""},
		{ecr, "https://" + ecr + ":8443/v2/p/1", ""},
		{ecr, "//elsewhere.example/v2/p/1", ""},
		{ecr, "https://" + ecr + "@elsewhere.example/v2/p/1", ""},
		{ecr, "https://2.dkr.ecr.eu-west-1.amazonaws.com/v2/p/1", ""},
	} {
		repository, err := name.NewRepository(test.registry + "/p")
		if err != nil {
			t.Fatal(err)
		}
		b := &blobUpload{upload: newUpload(repository, authn.Anonymous, nil)}
		asked, err := url.Parse(b.address("/blobs/uploads/"))
		if err != nil {
			t.Fatal(err)
		}
		err = b.follow(&http.Response{Header: http.Header{"Location": {test.location}}, Request: &http.Request{URL: asked}})
		if b.location != test.want || (test.want == "") != errors.Is(err, errElsewhere) {
			t.Errorf("%s sends to %s: %q, %v; want %q", test.registry, test.location, b.location, err, test.want)
		}
	}
}

func TestAnUploadFollowsNoRedirectElsewhere(t *testing.T) {
	var reached atomic.Int32
	elsewhere := testregistry.Start(t, func(http.ResponseWriter, *http.Request) bool { reached.Add(1); return false })
	host := testregistry.Start(t, func(w http.ResponseWriter, request *http.Request) bool {
		if request.Method != http.MethodPost {
			return false
		}
		http.Redirect(w, request, "http://"+elsewhere+request.URL.Path, http.StatusTemporaryRedirect)
		return true
	})
	err := quick(testregistry.Repository(t, host), authn.Anonymous).run(t.Context(), someLayers(t, 1, 1000))
	if !errors.Is(err, errElsewhere) || reached.Load() != 0 {
		t.Errorf("the upload ends with %v after %d requests elsewhere", err, reached.Load())
	}
}

func TestTheFirstRequestOfALineIsSmall(t *testing.T) {
	r := startECRLike(t)
	sending := quick(testregistry.Repository(t, r.host), authn.Anonymous)
	sending.part, sending.chunk = 10_000, 80_000
	if err := sending.run(t.Context(), someLayers(t, 1, 200_000)); err != nil {
		t.Fatal(err)
	}
	if len(r.ranges) != 4 || r.ranges[0] != "0-9999" || r.ranges[1] != "10000-89999" {
		t.Errorf("the requests send %q", r.ranges)
	}
}
