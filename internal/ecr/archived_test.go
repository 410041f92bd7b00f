package ecr

import (
	"context"
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"k8s.io/utils/clock"

	"imagecache.dev/internal/lru"
)

// archivedAPI is ECR with one archived image, which BatchGetImage refuses with a code.
type archivedAPI struct {
	imagesAPI
	code types.ImageFailureCode
}

func (a archivedAPI) BatchGetImage(
	_ context.Context, in *awsecr.BatchGetImageInput, _ ...func(*awsecr.Options),
) (*awsecr.BatchGetImageOutput, error) {
	return &awsecr.BatchGetImageOutput{Failures: []types.ImageFailure{{ImageId: &in.ImageIds[0], FailureCode: a.code}}}, nil
}

func (a archivedAPI) DescribeImages(
	_ context.Context, in *awsecr.DescribeImagesInput, _ ...func(*awsecr.Options),
) (*awsecr.DescribeImagesOutput, error) {
	if awssdk.ToString(in.ImageIds[0].ImageTag) != "archived" {
		return nil, &types.ImageNotFoundException{}
	}
	return &awsecr.DescribeImagesOutput{ImageDetails: []types.ImageDetail{{
		ImageDigest: awssdk.String("sha256:1"), ImageStatus: types.ImageStatusArchived, ImageTags: []string{"archived"},
		ImagePushedAt: awssdk.Time(noon),
	}}}, nil
}

// AWS does not document by which code BatchGetImage refuses an archived image.
func TestArchivedImageIsNeverFoundAsUsable(t *testing.T) {
	for code, shown := range map[types.ImageFailureCode]bool{
		types.ImageFailureCodeImageInaccessible: true, types.ImageFailureCodeImageNotFound: false,
	} {
		budget := lru.NewBudget(1 << 20)
		images := &Images{
			api: archivedAPI{code: code}, clock: clock.RealClock{}, facts: newFactCache(budget), recent: newRecentCache(budget),
		}
		images.lookup = newBatcher(images.findAll)
		found, err := images.Find(t.Context(), "r", "archived")
		if err != nil || (found != nil) != shown || found != nil && !found.Archived {
			t.Errorf("%s: Find = %+v, %v", code, found, err)
		}
		if held, err := images.Archived(t.Context(), "r", "archived"); err != nil || held == nil || held.Digest != "sha256:1" {
			t.Errorf("%s: Archived = %+v, %v; want the image that has the tag", code, held, err)
		}
		if held, err := images.Archived(t.Context(), "r", "other"); held != nil || err != nil {
			t.Errorf("%s: Archived of a free tag = %+v, %v", code, held, err)
		}
	}
}
