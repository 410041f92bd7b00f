package ecr

import (
	"context"
	"errors"
	"fmt"
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"imagecache.dev/internal/lru"
)

// deletions answers each BatchDeleteImage with the failures for its images, and fails from a call on.
type deletions struct {
	imagesAPI
	failures map[string]types.ImageFailureCode
	failFrom int
	calls    int
}

func (d *deletions) BatchDeleteImage(
	_ context.Context, in *awsecr.BatchDeleteImageInput, _ ...func(*awsecr.Options),
) (*awsecr.BatchDeleteImageOutput, error) {
	if d.calls++; d.failFrom > 0 && d.calls >= d.failFrom {
		return nil, errors.New("ServerException")
	}
	out := &awsecr.BatchDeleteImageOutput{}
	for _, id := range in.ImageIds {
		if code, fails := d.failures[awssdk.ToString(id.ImageDigest)]; fails {
			out.Failures = append(out.Failures, types.ImageFailure{ImageId: &id, FailureCode: code})
		}
	}
	return out, nil
}

func TestDeleteReturnsWhatIsGone(t *testing.T) {
	var digests []string
	for n := range 250 {
		digests = append(digests, fmt.Sprint("sha256:", n))
	}
	for name, test := range map[string]struct {
		api   *deletions
		gone  int
		fails bool
	}{
		"all":                  {&deletions{}, 250, false},
		"one was gone already": {&deletions{failures: map[string]types.ImageFailureCode{"sha256:7": types.ImageFailureCodeImageNotFound}}, 250, false},
		"one stays": {
			&deletions{failures: map[string]types.ImageFailureCode{"sha256:7": types.ImageFailureCodeImageReferencedByManifestList}}, 249, true,
		},
		"the second call fails": {&deletions{failFrom: 2}, 100, true},
	} {
		images := &Images{api: test.api, facts: newFactCache(lru.NewBudget(1 << 20)), recent: newRecentCache(lru.NewBudget(1 << 20))}
		gone, err := images.DeleteAll(t.Context(), "app", digests)
		if len(gone) != test.gone || (err != nil) != test.fails {
			t.Errorf("%s: %d are gone, %v; want %d", name, len(gone), err, test.gone)
		}
	}
}
