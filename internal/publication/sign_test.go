package publication

import (
	"slices"
	"testing"

	ocidigest "github.com/opencontainers/go-digest"

	"imagecache.dev/internal/provenance"
)

// TestSignedImageIsVerified takes a report to what is published, and judges that.
func TestSignedImageIsVerified(t *testing.T) {
	key, err := provenance.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	want := expected
	want.RepositoryARN = "arn:aws:ecr:eu-central-1:123456789012:repository/web"
	report := reportOf(t, nil, nil)
	for name, from := range map[string]Origin{"with inputs": origin, "without": {}} {
		t.Run(name, func(t *testing.T) {
			image, rejection := Check(report, want)
			if rejection != nil {
				t.Fatal(rejection)
			}
			annotated, err := image.Annotate(from)
			if err != nil {
				t.Fatal(err)
			}
			claims := ClaimsFor(want, want.UID)
			signed, err := annotated.Sign(func(of provenance.Claims) ([]byte, error) {
				if !slices.Equal(append([]string{of.Config}, of.Layers...), annotated.Blobs) {
					t.Errorf("the manifest's claims are %+v", of)
				}
				claims.Config, claims.Layers, claims.UnsignedManifest = of.Config, of.Layers, of.UnsignedManifest
				statement, err := provenance.ForImage(&provenance.Record{Claims: claims})
				if err != nil {
					return nil, err
				}
				return provenance.Sign(t.Context(), key, statement)
			})
			if err != nil {
				t.Fatal(err)
			}
			if signed.Digest != ocidigest.FromBytes(signed.Manifest).String() || signed.Digest == annotated.Digest || signed.MediaType != annotated.MediaType {
				t.Errorf("digest %s, media type %s", signed.Digest, signed.MediaType)
			}
			if _, err := provenance.NewVerifier(key.Key()).Verify(signed.Manifest, signed.Digest, ClaimsFor(want, want.UID)); err != nil {
				t.Error(err)
			}
			if len(from.Inputs) != len(OriginIn(signed.Manifest).Inputs) {
				t.Error("the signed image does not tell its origin")
			}
		})
	}
}
