package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

func tagImmutability(ctx context.Context, w *world) (string, error) {
	first, err := w.publish(ctx, w.own, "immutable")
	if err != nil {
		return "", err
	}
	second, err := first.twin()
	if err != nil {
		return "", err
	}
	return wants(w.put(ctx, w.own, "immutable", second), "ImageTagAlreadyExistsException")
}

func sameImageAgain(ctx context.Context, w *world) (string, error) {
	p, err := w.publish(ctx, w.own, "again")
	if err != nil {
		return "", err
	}
	return wants(w.put(ctx, w.own, "again", p), "ImageAlreadyExistsException", "ImageTagAlreadyExistsException")
}

func annotatedManifest(ctx context.Context, w *world) (string, error) {
	plain, err := w.publish(ctx, w.own, "plain")
	if err != nil {
		return "", err
	}
	annotated, err := plain.annotated()
	if err != nil {
		return "", err
	}
	if err := w.put(ctx, w.own, "annotated", annotated); err != nil {
		return "", err
	}
	out, err := w.clients.ECR.BatchGetImage(ctx, &ecr.BatchGetImageInput{
		RepositoryName: &w.own.name, ImageIds: []ecrtypes.ImageIdentifier{{ImageDigest: &annotated.digest}}, AcceptedMediaTypes: []string{annotated.mediaType},
	})
	if err != nil {
		return "", err
	}
	if len(out.Images) != 1 || awssdk.ToString(out.Images[0].ImageManifest) != string(annotated.manifest) {
		return "", fmt.Errorf("BatchGetImage returns another manifest than was put")
	}
	return "the manifest, with its annotations", nil
}

// pushTime is when an image was pushed.
func (w *world) pushTime(ctx context.Context, digest string) (time.Time, error) {
	var at time.Time
	err := w.until(ctx, func() error {
		out, err := w.clients.ECR.DescribeImages(ctx, &ecr.DescribeImagesInput{
			RepositoryName: &w.own.name, ImageIds: []ecrtypes.ImageIdentifier{{ImageDigest: &digest}},
		})
		if err != nil {
			return err
		}
		at = awssdk.ToTime(out.ImageDetails[0].ImagePushedAt)
		return nil
	})
	return at, err
}

func pushAgeAfterRetag(ctx context.Context, w *world) (string, error) {
	p, err := w.publish(ctx, w.own, "age")
	if err != nil {
		return "", err
	}
	before, err := w.pushTime(ctx, p.digest)
	if err != nil {
		return "", err
	}
	if err := w.wait(ctx, 3*time.Second); err != nil {
		return "", err
	}
	if err := w.put(ctx, w.own, "age-2", p); err != nil {
		return "", fmt.Errorf("tag again: %w", err)
	}
	after, err := w.pushTime(ctx, p.digest)
	if err == nil && !after.Equal(before) {
		err = fmt.Errorf("the push time moved from %s to %s", before.UTC().Format(time.RFC3339), after.UTC().Format(time.RFC3339))
	}
	return "the push time stayed", err
}

func deleteThenPut(ctx context.Context, w *world) (string, error) {
	first, err := w.publish(ctx, w.own, "replaced")
	if err != nil {
		return "", err
	}
	second, err := first.twin()
	if err != nil {
		return "", err
	}
	if _, err := wants(w.put(ctx, w.own, "replaced", second), "ImageTagAlreadyExistsException"); err != nil {
		return "", err
	}
	out, err := w.clients.ECR.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: &w.own.name, ImageIds: []ecrtypes.ImageIdentifier{{ImageDigest: &first.digest}}})
	if err == nil && len(out.Failures) > 0 {
		err = fmt.Errorf("%s", out.Failures[0].FailureCode)
	}
	if err != nil {
		return "", fmt.Errorf("delete the first image: %w", err)
	}
	return "the second image has the tag", w.put(ctx, w.own, "replaced", second)
}

// archivedImage looks at what BatchGetImage answers for an archived image, whether its tag stays taken, and whether its
// removal frees the tag.
func archivedImage(ctx context.Context, w *world) (string, error) {
	first, err := w.publish(ctx, w.own, "archived")
	if err != nil {
		return "", err
	}
	id := ecrtypes.ImageIdentifier{ImageDigest: &first.digest}
	_, err = w.clients.ECR.UpdateImageStorageClass(ctx, &ecr.UpdateImageStorageClassInput{
		RepositoryName: &w.own.name, ImageId: &id, TargetStorageClass: ecrtypes.TargetStorageClassArchive,
	})
	if err != nil {
		return "", fmt.Errorf("archive the image: %w", err)
	}
	out, err := w.clients.ECR.BatchGetImage(ctx, &ecr.BatchGetImageInput{
		RepositoryName: &w.own.name, ImageIds: []ecrtypes.ImageIdentifier{{ImageTag: awssdk.String("archived")}}, AcceptedMediaTypes: []string{first.mediaType},
	})
	if err != nil {
		return "", fmt.Errorf("read the archived image: %w", err)
	}
	if len(out.Images) > 0 || len(out.Failures) == 0 {
		return "", errors.New("BatchGetImage returns an archived image")
	}
	failure := out.Failures[0].FailureCode
	if failure != ecrtypes.ImageFailureCodeImageInaccessible && failure != ecrtypes.ImageFailureCodeImageNotFound {
		return "", fmt.Errorf("BatchGetImage fails with %s, want ImageInaccessible or ImageNotFound", failure)
	}
	second, err := first.twin()
	if err != nil {
		return "", err
	}
	err = w.put(ctx, w.own, "archived", second)
	if err == nil {
		return fmt.Sprintf("BatchGetImage fails with %s, and its tag is free", failure), nil
	}
	if _, err := wants(err, "ImageTagAlreadyExistsException"); err != nil {
		return "", fmt.Errorf("put another image under the archived one's tag: %w", err)
	}
	deleted, err := w.clients.ECR.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: &w.own.name, ImageIds: []ecrtypes.ImageIdentifier{id}})
	if err != nil {
		return "", fmt.Errorf("delete the archived image: %w", err)
	}
	if len(deleted.Failures) > 0 {
		return "", fmt.Errorf("BatchDeleteImage does not delete an archived image: %s", deleted.Failures[0].FailureCode)
	}
	return fmt.Sprintf("BatchGetImage fails with %s, and its tag is free once it is deleted", failure), w.put(ctx, w.own, "archived", second)
}

// expiryUnderTheDenial waits until ECR expires an image although the repository's policy denies deletion to everybody but
// the caller. The rule selects by number, so that no image has to grow old; ECR acts within 24 hours.
func expiryUnderTheDenial(ctx context.Context, w *world) (string, error) {
	first, err := w.publish(ctx, w.other, "expires")
	if err != nil {
		return "", err
	}
	if err := w.wait(ctx, 2*time.Second); err != nil {
		return "", err
	}
	if _, err := w.publish(ctx, w.other, "stays"); err != nil {
		return "", err
	}
	if err := w.protect(ctx, w.other, w.pull); err != nil {
		return "", err
	}
	rule := `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`
	if _, err := w.clients.ECR.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: &w.other.name, LifecyclePolicyText: &rule}); err != nil {
		return "", fmt.Errorf("set a lifecycle policy: %w", err)
	}
	for began := w.now(); w.now().Sub(began) < expiresWithin; {
		var out *ecr.BatchGetImageOutput
		err := w.until(ctx, func() (err error) { // one failure in a day proves nothing
			out, err = w.clients.ECR.BatchGetImage(ctx, &ecr.BatchGetImageInput{
				RepositoryName: &w.other.name, ImageIds: []ecrtypes.ImageIdentifier{{ImageDigest: &first.digest}}, AcceptedMediaTypes: []string{first.mediaType},
			})
			return err
		})
		if err != nil {
			return "", fmt.Errorf("look for the image: %w", err)
		}
		if len(out.Images) == 0 {
			return fmt.Sprintf("the image is gone after %s", w.now().Sub(began).Round(time.Minute)), w.open(ctx, w.other)
		}
		if err := w.wait(ctx, expiryLook); err != nil {
			return "", err
		}
	}
	return "", errors.Join(fmt.Errorf("the image is still there after %s", expiresWithin), w.open(ctx, w.other))
}
