package relay

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Docker's graph drivers take any configuration of an image that is loaded.
func TestAWrongConfigurationIsNotLoaded(t *testing.T) {
	p := publish(t)
	manifest, err := p.image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	config, err := p.image.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	r := startFor(t, p.reference, holding, Watch{})
	p.breaks(func(w http.ResponseWriter, r *http.Request, _ int64) bool {
		if !strings.HasSuffix(r.URL.Path, manifest.Config.Digest.String()) {
			return false
		}
		r.Header.Del("Range")
		_, _ = w.Write(bytes.Replace(config, []byte(`"rootfs"`), []byte(`"rootFS"`), 1))
		return true
	})
	loaded, err := r.Image(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := loaded.RawConfigFile(); err == nil || !strings.Contains(err.Error(), "not "+manifest.Config.Digest.String()) {
		t.Errorf("want an error with the digest, got %v", err)
	}
}

func TestAnEngineThatDoesNotTellItsLayersGetsThemAsPublished(t *testing.T) {
	p := publish(t)
	r := startFor(t, p.reference, Client{
		Held: func(context.Context, []v1.Hash) (int, error) { return 2, errors.New("no answer") },
	}, Watch{})
	if r.Held() != 0 || r.Digest() != p.reference.DigestStr() {
		t.Errorf("the engine has %d layers and gets %s, want none and %s", r.Held(), r.Digest(), p.reference.DigestStr())
	}
}

func TestAnImageWithDiffIDsOfAnotherIsHandedOutAsPublished(t *testing.T) {
	p := publish(t)
	config, err := p.image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, hashOf("a"))
	image, err := mutate.ConfigFile(p.image, config)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	reference := p.reference.Context().Digest(digest.String())
	if err := remote.Write(reference, image, remote.WithAuth(login)); err != nil {
		t.Fatal(err)
	}
	r := startFor(t, reference, holding, Watch{})
	if r.Held() != 0 || r.Digest() != digest.String() {
		t.Errorf("the engine has %d layers and gets %s, want none and %s", r.Held(), r.Digest(), digest)
	}
}
