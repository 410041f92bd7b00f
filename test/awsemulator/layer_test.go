package awsemulator_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"imagecache.dev/test/awsemulator"
)

// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_UploadLayerPart.html
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CompleteLayerUpload.html
func TestLayerPartsComeInOrderAndInFullSize(t *testing.T) {
	ctx := context.Background()
	c := root(t, start(t, awsemulator.Options{}))
	createRepository(t, c, "app")
	repo := aws.String("app")
	begin := func() *string {
		return must(c.ecr.InitiateLayerUpload(ctx, &ecr.InitiateLayerUploadInput{RepositoryName: repo})).UploadId
	}
	part := func(id *string, first int64, body []byte) error {
		_, err := c.ecr.UploadLayerPart(ctx, &ecr.UploadLayerPartInput{RepositoryName: repo, UploadId: id, LayerPartBlob: body, PartFirstByte: &first, PartLastByte: aws.Int64(first + int64(len(body)) - 1)})
		return err
	}
	complete := func(id *string, content []byte) error {
		_, err := c.ecr.CompleteLayerUpload(ctx, &ecr.CompleteLayerUploadInput{RepositoryName: repo, UploadId: id, LayerDigests: []string{digestOf(string(content))}})
		return err
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), 5<<16) // 5 MiB, the least that a part but the last may have

	whole := begin()
	wantCode(t, part(whole, 0, big), "")
	wantCode(t, part(whole, 7, []byte("x")), "InvalidLayerPartException")
	wantCode(t, part(whole, int64(len(big)), []byte("tail")), "")
	wantCode(t, complete(whole, []byte("something else")), "InvalidLayerException")
	content := append(bytes.Clone(big), "tail"...)
	wantCode(t, complete(whole, content), "")
	wantCode(t, complete(whole, content), "UploadNotFoundException")

	again := begin()
	wantCode(t, part(again, 0, big), "")
	wantCode(t, part(again, int64(len(big)), []byte("tail")), "")
	wantCode(t, complete(again, content), "LayerAlreadyExistsException")

	short := begin()
	wantCode(t, part(short, 0, []byte("short")), "")
	wantCode(t, part(short, 5, []byte("tail")), "")
	wantCode(t, complete(short, []byte("shorttail")), "LayerPartTooSmallException")

	wantCode(t, complete(begin(), nil), "EmptyUploadException")
	wantCode(t, part(aws.String("no-such-upload"), 0, []byte("x")), "UploadNotFoundException")
}

// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetDownloadUrlForLayer.html
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchCheckLayerAvailability.html
func TestLayersAreGivenOutOnlyOnceAnImageNamesThem(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	createRepository(t, c, "app")
	uploadLayer(t, c, "app", "config")
	layer := uploadLayer(t, c, "app", "layer")
	url := func() (string, error) {
		out, err := c.ecr.GetDownloadUrlForLayer(ctx, &ecr.GetDownloadUrlForLayerInput{RepositoryName: aws.String("app"), LayerDigest: &layer})
		if err != nil {
			return "", err
		}
		return *out.DownloadUrl, nil
	}
	_, err := url()
	wantCode(t, err, "LayerInaccessibleException")
	_, err = c.ecr.GetDownloadUrlForLayer(ctx, &ecr.GetDownloadUrlForLayerInput{RepositoryName: aws.String("app"), LayerDigest: aws.String(digestOf("none"))})
	wantCode(t, err, "LayersNotFoundException")

	m := manifestOf("config", "layer", "")
	must(c.ecr.PutImage(ctx, &ecr.PutImageInput{RepositoryName: aws.String("app"), ImageManifest: &m}))
	link, err := url()
	wantCode(t, err, "")
	res, err := http.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	body := must(io.ReadAll(res.Body))
	_ = res.Body.Close()
	if string(body) != "layer" {
		t.Errorf("layer %q", body)
	}

	out := must(c.ecr.BatchCheckLayerAvailability(ctx, &ecr.BatchCheckLayerAvailabilityInput{RepositoryName: aws.String("app"), LayerDigests: []string{layer, digestOf("none"), "x"}}))
	if len(out.Layers) != 2 || out.Layers[0].LayerAvailability != types.LayerAvailabilityAvailable || out.Layers[1].LayerAvailability != types.LayerAvailabilityUnavailable || len(out.Failures) != 1 {
		t.Errorf("availability %+v, failures %+v", out.Layers, out.Failures)
	}
}

// Unassociated image layers may be cleaned up at any time: API_GetDownloadUrlForLayer.html
func TestLayersThatNoImageNamesCanVanish(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	createRepository(t, c, "app")
	pushImage(t, s, c, "app", "kept")
	uploadLayer(t, c, "app", "config")
	uploadLayer(t, c, "app", "layer")
	if n := s.VanishLayers("app"); n != 2 {
		t.Errorf("%d layers vanished, want the 2 that no image names", n)
	}
	m := manifestOf("config", "layer", "")
	_, err := c.ecr.PutImage(ctx, &ecr.PutImageInput{RepositoryName: aws.String("app"), ImageManifest: &m})
	wantCode(t, err, "LayersNotFoundException")
	kept := must(c.ecr.BatchCheckLayerAvailability(ctx, &ecr.BatchCheckLayerAvailabilityInput{RepositoryName: aws.String("app"), LayerDigests: []string{digestOf("layer of kept")}}))
	if kept.Layers[0].LayerAvailability != types.LayerAvailabilityAvailable {
		t.Error("a layer of an image vanished")
	}
	if !s.LoseLayer("app", digestOf("layer of kept")) {
		t.Error("a layer can't be lost on purpose")
	}
	uploadLayer(t, c, "app", "layer of kept")
	if n := s.VanishLayers(""); n != 0 {
		t.Errorf("%d layers vanished, but an image names the one that came back", n)
	}
}

// Uploads end with their repository, and after a day.
func TestUploadsEndWithTheirRepositoryAndWithTime(t *testing.T) {
	ctx := context.Background()
	clock := awsemulator.FrozenClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	c := root(t, start(t, awsemulator.Options{Clock: clock}))
	repo := aws.String("app")
	part := func(id *string) error {
		_, err := c.ecr.UploadLayerPart(ctx, &ecr.UploadLayerPartInput{RepositoryName: repo, UploadId: id, LayerPartBlob: []byte("x"), PartFirstByte: aws.Int64(0), PartLastByte: aws.Int64(0)})
		return err
	}
	createRepository(t, c, "app")
	first := must(c.ecr.InitiateLayerUpload(ctx, &ecr.InitiateLayerUploadInput{RepositoryName: repo})).UploadId
	must(c.ecr.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: repo}))
	createRepository(t, c, "app")
	wantCode(t, part(first), "UploadNotFoundException")
	second := must(c.ecr.InitiateLayerUpload(ctx, &ecr.InitiateLayerUploadInput{RepositoryName: repo})).UploadId
	clock.Advance(49 * time.Hour)
	wantCode(t, part(second), "UploadNotFoundException")
}
