package ecr_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	ocidigest "github.com/opencontainers/go-digest"

	"imagecache.dev/internal/attestation"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/test/awsemulator"
)

// attach puts a referrer of a digest, and returns the referrer's digest.
func (a *account) attach(t *testing.T, subject, note string) string {
	t.Helper()
	bundle, err := attestation.NewBundle([]byte(`{"payload":"eyJwcmVkaWNhdGVUeXBlIjoicCJ9","signatures":[{"keyid":"` + note + `"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	referrer, err := bundle.Referrer(attestation.Subject{MediaType: attestation.ManifestType, Digest: subject, SizeBytes: 1}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var missing *ecr.LayersMissingError
	if err := a.images.PutReferrer(t.Context(), repository, referrer, attestation.ManifestType); !errors.As(err, &missing) {
		t.Errorf("a referrer whose blobs do not exist: %v, want *LayersMissingError", err)
	}
	for range 2 { // both succeed for what exists
		for _, blob := range [][]byte{attestation.Empty, bundle.Content} {
			if _, err := a.images.Upload(t.Context(), repository, blob); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.images.PutReferrer(t.Context(), repository, referrer, attestation.ManifestType); err != nil {
			t.Fatal(err)
		}
	}
	return ocidigest.FromBytes(referrer).String()
}

func digests(images []ecr.Image) []string {
	var all []string
	for _, image := range images {
		all = append(all, image.Digest)
	}
	slices.Sort(all)
	return all
}

func TestReferrersAreNoImagesOfTheirOwnAndGoWithTheirs(t *testing.T) {
	a := start(t, awsemulator.Options{})
	_, first := a.publish(t, "one")
	_, second := a.publish(t, "other")
	one, other := ocidigest.FromBytes(first).String(), ocidigest.FromBytes(second).String()
	var attached []string
	for n := range 60 { // more than a page
		attached = append(attached, a.attach(t, one, strings.Repeat("k", n+1)))
	}
	slices.Sort(attached)
	a.attach(t, other, "another key")

	found, err := a.images.Referrers(t.Context(), repository, one, attestation.BundleType)
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, referrer := range found {
		listed = append(listed, referrer.Digest)
		if referrer.Annotations[attestation.AnnotationKey] == "" || referrer.ArtifactType != attestation.BundleType {
			t.Errorf("referrer %+v has no key, or another type", referrer)
		}
	}
	if slices.Sort(listed); !slices.Equal(listed, attached) {
		t.Errorf("%d referrers are listed, want %d", len(listed), len(attached))
	}
	if none, err := a.images.Referrers(t.Context(), repository, one, "text/other"); err != nil || len(none) > 0 {
		t.Errorf("%d referrers of another type, %v", len(none), err)
	}

	images, err := a.images.List(t.Context(), repository)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{one, other}
	if slices.Sort(want); !slices.Equal(digests(images), want) {
		t.Errorf("List has %v, want only %v", digests(images), want)
	}
	for _, image := range images {
		if image.Digest == one {
			if slices.Sort(image.Referrers); !slices.Equal(image.Referrers, attached) {
				t.Errorf("List names %d referrers of an image, want %d", len(image.Referrers), len(attached))
			}
		}
	}

	if err := a.images.Remove(t.Context(), repository, one); err != nil {
		t.Fatal(err)
	}
	if left, err := a.images.Referrers(t.Context(), repository, one, ""); err != nil || len(left) > 0 {
		t.Errorf("%d referrers of a removed image are left, %v", len(left), err)
	}
	if manifest, _, err := a.images.Manifest(t.Context(), repository, one); manifest != nil || err != nil {
		t.Errorf("the manifest of a removed image is %d bytes, %v", len(manifest), err)
	}
	if manifest, mediaType, err := a.images.Manifest(t.Context(), repository, other); len(manifest) == 0 || mediaType == "" || err != nil {
		t.Errorf("the manifest of another image is %d bytes of %q, %v", len(manifest), mediaType, err)
	}
	if err := a.images.Remove(t.Context(), repository, one); err != nil {
		t.Errorf("removing what is gone: %v", err)
	}
}

// A controller's policy of an earlier version does not have the right to list referrers.
func TestImageIsRemovedWithoutTheRightToListItsReferrers(t *testing.T) {
	a := start(t, awsemulator.Options{})
	_, manifest := a.publish(t, "one")
	digest := ocidigest.FromBytes(manifest).String()
	a.Faults().Add(awsemulator.Fault{Operation: "ecr:ListImageReferrers", Code: "AccessDeniedException"})
	if err := a.images.Remove(t.Context(), repository, digest); err != nil {
		t.Fatal(err)
	}
	if manifest, _, err := a.images.Manifest(t.Context(), repository, digest); manifest != nil || err != nil {
		t.Errorf("the image is still there: %d bytes, %v", len(manifest), err)
	}
}
