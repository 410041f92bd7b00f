package awsemulator_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"

	"imagecache.dev/test/awsemulator"
)

func digestOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256:" + hex.EncodeToString(sum[:])
}

const (
	ociManifestType    = "application/vnd.oci.image.manifest.v1+json"
	dockerManifestType = "application/vnd.docker.distribution.manifest.v2+json"
)

// uploadLayer stores bytes by the layer API, and says their digest.
func uploadLayer(t *testing.T, c clients, repo, content string) string {
	t.Helper()
	ctx := context.Background()
	up := must(c.ecr.InitiateLayerUpload(ctx, &ecr.InitiateLayerUploadInput{RepositoryName: &repo}))
	must(c.ecr.UploadLayerPart(ctx, &ecr.UploadLayerPartInput{
		RepositoryName: &repo, UploadId: up.UploadId, LayerPartBlob: []byte(content), PartFirstByte: aws.Int64(0), PartLastByte: aws.Int64(int64(len(content)) - 1),
	}))
	_, err := c.ecr.CompleteLayerUpload(ctx, &ecr.CompleteLayerUploadInput{RepositoryName: &repo, UploadId: up.UploadId, LayerDigests: []string{digestOf(content)}})
	if err != nil && code(err) != "LayerAlreadyExistsException" {
		t.Fatal(err)
	}
	return digestOf(content)
}

// manifestOf is an image of one layer; the note makes manifests differ.
func manifestOf(config, layer, note string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":%q,"size":%d}],"annotations":{"note":%q}}`,
		ociManifestType, digestOf(config), len(config), digestOf(layer), len(layer), note)
}

// pushImage puts an image of its own under a tag, and says its manifest.
func pushImage(t *testing.T, _ *awsemulator.Server, c clients, repo, tag string) string {
	t.Helper()
	config, layer := "config of "+tag, "layer of "+tag
	uploadLayer(t, c, repo, config)
	uploadLayer(t, c, repo, layer)
	m := manifestOf(config, layer, tag)
	in := &ecr.PutImageInput{RepositoryName: &repo, ImageManifest: &m}
	if tag != "" {
		in.ImageTag = &tag
	}
	if _, err := c.ecr.PutImage(context.Background(), in); err != nil {
		t.Fatal(err)
	}
	return m
}

func setMutability(t *testing.T, c clients, repo string, m types.ImageTagMutability, filters ...string) {
	t.Helper()
	in := &ecr.PutImageTagMutabilityInput{RepositoryName: &repo, ImageTagMutability: m}
	for _, f := range filters {
		in.ImageTagMutabilityExclusionFilters = append(in.ImageTagMutabilityExclusionFilters,
			types.ImageTagMutabilityExclusionFilter{Filter: aws.String(f), FilterType: types.ImageTagMutabilityExclusionFilterTypeWildcard})
	}
	if _, err := c.ecr.PutImageTagMutability(context.Background(), in); err != nil {
		t.Fatal(err)
	}
}

// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutImage.html#API_PutImage_Errors
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html
func TestPutImageTellsApartWhatIsThereAlready(t *testing.T) {
	ctx := context.Background()
	c := root(t, start(t, awsemulator.Options{}))
	createRepository(t, c, "app")
	first := pushImage(t, nil, c, "app", "v1")
	other := pushImage(t, nil, c, "app", "v2")
	put := func(manifest, tag string) error {
		in := &ecr.PutImageInput{RepositoryName: aws.String("app"), ImageManifest: &manifest}
		if tag != "" {
			in.ImageTag = &tag
		}
		_, err := c.ecr.PutImage(ctx, in)
		return err
	}
	for _, tc := range []struct {
		name       string
		mutability types.ImageTagMutability
		filters    []string
		manifest   string
		tag        string
		want       string
	}{
		{"mutable: the same image and tag", types.ImageTagMutabilityMutable, nil, first, "v1", "ImageAlreadyExistsException"},
		{"mutable: the same image without tag", types.ImageTagMutabilityMutable, nil, first, "", "ImageAlreadyExistsException"},
		{"immutable: the same image and tag", types.ImageTagMutabilityImmutable, nil, first, "v1", "ImageAlreadyExistsException"},
		{"immutable: another image under the tag", types.ImageTagMutabilityImmutable, nil, other, "v1", "ImageTagAlreadyExistsException"},
		{"immutable: a new tag for the image", types.ImageTagMutabilityImmutable, nil, first, "v1b", ""},
		{"excluded from immutable", types.ImageTagMutabilityImmutableWithExclusion, []string{"v*"}, other, "v1b", ""},
		{"not excluded from immutable", types.ImageTagMutabilityImmutableWithExclusion, []string{"dev-*"}, other, "v1", "ImageTagAlreadyExistsException"},
		{"excluded from mutable", types.ImageTagMutabilityMutableWithExclusion, []string{"v1"}, other, "v1", "ImageTagAlreadyExistsException"},
		{"not excluded from mutable", types.ImageTagMutabilityMutableWithExclusion, []string{"v1"}, first, "v1b", ""},
		{"mutable: the tag moves", types.ImageTagMutabilityMutable, nil, other, "v1", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			setMutability(t, c, "app", tc.mutability, tc.filters...)
			wantCode(t, put(tc.manifest, tc.tag), tc.want)
		})
	}
	got := must(c.ecr.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("app"), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}}}))
	if *got.ImageDetails[0].ImageDigest != digestOf(other) {
		t.Errorf("v1 is %s, want the image it was moved to", *got.ImageDetails[0].ImageDigest)
	}
}

// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutImage.html
func TestPutImageChecksTheManifest(t *testing.T) {
	ctx := context.Background()
	c := root(t, start(t, awsemulator.Options{}))
	createRepository(t, c, "app")
	uploadLayer(t, c, "app", "config")
	uploadLayer(t, c, "app", "layer")
	good := manifestOf("config", "layer", "")
	typeless := fmt.Sprintf(`{"schemaVersion":2,"config":{"digest":%q,"size":6},"layers":[]}`, digestOf("config"))
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"digest":%q,"size":1}]}`, digestOf(good))
	put := func(in ecr.PutImageInput) error {
		in.RepositoryName = aws.String("app")
		_, err := c.ecr.PutImage(ctx, &in)
		return err
	}
	for _, tc := range []struct {
		name, want string
		in         ecr.PutImageInput
	}{
		{"no JSON", "InvalidParameterException", ecr.PutImageInput{ImageManifest: aws.String("{")}},
		{"schema 1", "NotEmulatedException", ecr.PutImageInput{ImageManifest: aws.String(`{"schemaVersion":1}`)}},
		{"unknown type", "InvalidParameterException", ecr.PutImageInput{ImageManifest: aws.String(`{"schemaVersion":2,"mediaType":"x/y"}`)}},
		{"no type anywhere", "InvalidParameterException", ecr.PutImageInput{ImageManifest: &typeless}},
		{"type in the request", "", ecr.PutImageInput{ImageManifest: &typeless, ImageManifestMediaType: aws.String(ociManifestType)}},
		{"two types", "InvalidParameterException", ecr.PutImageInput{ImageManifest: &good, ImageManifestMediaType: aws.String(dockerManifestType)}},
		{"wrong digest", "ImageDigestDoesNotMatchException", ecr.PutImageInput{ImageManifest: &good, ImageDigest: aws.String(digestOf("x"))}},
		{"bad tag", "InvalidParameterException", ecr.PutImageInput{ImageManifest: &good, ImageTag: aws.String("a b")}},
		{"missing layer", "LayersNotFoundException", ecr.PutImageInput{ImageManifest: aws.String(manifestOf("config", "never uploaded", ""))}},
		{"missing config", "LayersNotFoundException", ecr.PutImageInput{ImageManifest: aws.String(manifestOf("never uploaded", "layer", ""))}},
		{"index of an image that is not there", "ReferencedImagesNotFoundException", ecr.PutImageInput{ImageManifest: &index}},
		{"good", "", ecr.PutImageInput{ImageManifest: &good, ImageDigest: aws.String(digestOf(good)), ImageTag: aws.String("v1")}},
		{"index", "", ecr.PutImageInput{ImageManifest: &index, ImageTag: aws.String("all")}},
	} {
		t.Run(tc.name, func(t *testing.T) { wantCode(t, put(tc.in), tc.want) })
	}
	out := must(c.ecr.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: aws.String("app"), ImageIds: []types.ImageIdentifier{{ImageDigest: aws.String(digestOf(good))}}}))
	if len(out.Failures) != 1 || out.Failures[0].FailureCode != types.ImageFailureCodeImageReferencedByManifestList {
		t.Errorf("delete what an index names: %+v", out.Failures)
	}
}

// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchGetImage.html
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageFailure.html
func TestBatchGetImageAnswersEachImageByItself(t *testing.T) {
	ctx := context.Background()
	c := root(t, start(t, awsemulator.Options{}))
	createRepository(t, c, "app")
	m := pushImage(t, nil, c, "app", "v1")
	out := must(c.ecr.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: aws.String("app"), ImageIds: []types.ImageIdentifier{
		{ImageTag: aws.String("v1")}, {ImageDigest: aws.String(digestOf(m))}, {ImageTag: aws.String("none")}, {ImageDigest: aws.String("x")},
		{ImageTag: aws.String("v1"), ImageDigest: aws.String(digestOf("x"))},
	}}))
	if len(out.Images) != 2 || *out.Images[0].ImageManifest != m {
		t.Errorf("%d images, want the one by tag and by digest with its very bytes", len(out.Images))
	}
	var codes []types.ImageFailureCode
	for _, f := range out.Failures {
		codes = append(codes, f.FailureCode)
	}
	want := []types.ImageFailureCode{types.ImageFailureCodeImageNotFound, types.ImageFailureCodeInvalidImageDigest, types.ImageFailureCodeImageTagDoesNotMatchDigest}
	if diff := cmp.Diff(want, codes); diff != "" {
		t.Error(diff)
	}
	ids := slices.Repeat([]types.ImageIdentifier{{ImageTag: aws.String("v1")}}, 101)
	_, err := c.ecr.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: aws.String("app"), ImageIds: ids})
	wantCode(t, err, "InvalidParameterException")
	other := must(c.ecr.BatchGetImage(ctx, &ecr.BatchGetImageInput{
		RepositoryName: aws.String("app"), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}}, AcceptedMediaTypes: []string{dockerManifestType},
	}))
	if len(other.Images) != 0 {
		t.Error("an image came in a media type that was not accepted")
	}
}

// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html
func TestDescribeAndListImages(t *testing.T) {
	ctx := context.Background()
	clock := awsemulator.FrozenClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	c := root(t, start(t, awsemulator.Options{Clock: clock}))
	createRepository(t, c, "app")
	m := pushImage(t, nil, c, "app", "v1")
	clock.Advance(time.Hour)
	must(c.ecr.PutImage(ctx, &ecr.PutImageInput{RepositoryName: aws.String("app"), ImageManifest: &m, ImageTag: aws.String("again")}))
	pushImage(t, nil, c, "app", "v2")
	pushImage(t, nil, c, "app", "")
	repo := aws.String("app")

	d := must(c.ecr.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: repo, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("again")}}})).ImageDetails[0]
	if got, want := *d.ImageSizeInBytes, int64(len("config of v1")+len("layer of v1")); got != want {
		t.Errorf("size %d, want %d", got, want)
	}
	if !d.ImagePushedAt.Equal(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)) {
		t.Errorf("pushed at %v: a new tag does not renew it", d.ImagePushedAt)
	}
	if diff := cmp.Diff([]string{"again", "v1"}, d.ImageTags); diff != "" {
		t.Error(diff)
	}
	_, err := c.ecr.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: repo, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}, {ImageTag: aws.String("none")}}})
	wantCode(t, err, "ImageNotFoundException")
	_, err = c.ecr.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: repo, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}}, MaxResults: aws.Int32(5)})
	wantCode(t, err, "InvalidParameterException")

	count := func(f *types.ListImagesFilter) (n int) {
		p := ecr.NewListImagesPaginator(c.ecr, &ecr.ListImagesInput{RepositoryName: repo, Filter: f, MaxResults: aws.Int32(2)})
		for p.HasMorePages() {
			n += len(must(p.NextPage(ctx)).ImageIds)
		}
		return n
	}
	for status, want := range map[types.TagStatus]int{types.TagStatusAny: 4, types.TagStatusTagged: 3, types.TagStatusUntagged: 1} {
		if got := count(&types.ListImagesFilter{TagStatus: status}); got != want {
			t.Errorf("%s: %d image IDs, want %d", status, got, want)
		}
	}
}

// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchDeleteImage.html
func TestBatchDeleteImageByTagAndByDigest(t *testing.T) {
	ctx := context.Background()
	c := root(t, start(t, awsemulator.Options{}))
	createRepository(t, c, "app")
	m := pushImage(t, nil, c, "app", "v1")
	must(c.ecr.PutImage(ctx, &ecr.PutImageInput{RepositoryName: aws.String("app"), ImageManifest: &m, ImageTag: aws.String("v2")}))
	remove := func(id types.ImageIdentifier) *ecr.BatchDeleteImageOutput {
		return must(c.ecr.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: aws.String("app"), ImageIds: []types.ImageIdentifier{id}}))
	}
	there := func() int {
		return len(must(c.ecr.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("app")})).ImageDetails)
	}
	remove(types.ImageIdentifier{ImageTag: aws.String("v1")})
	if there() != 1 {
		t.Error("removing one of two tags removed the image")
	}
	remove(types.ImageIdentifier{ImageTag: aws.String("v2")})
	if there() != 0 {
		t.Error("removing the last tag left the image")
	}
	if out := remove(types.ImageIdentifier{ImageTag: aws.String("v2")}); len(out.Failures) != 1 || out.Failures[0].FailureCode != types.ImageFailureCodeImageNotFound {
		t.Errorf("failures %+v", out.Failures)
	}
	// What was deleted can be put again, under an immutable tag too: immutability does not stop delete and put.
	setMutability(t, c, "app", types.ImageTagMutabilityImmutable)
	must(c.ecr.PutImage(ctx, &ecr.PutImageInput{RepositoryName: aws.String("app"), ImageManifest: &m, ImageTag: aws.String("v1")}))
	remove(types.ImageIdentifier{ImageDigest: aws.String(digestOf(m))})
	if there() != 0 {
		t.Error("removing by digest left the image")
	}
}

// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_UpdateImageStorageClass.html
func TestArchivedImagesAreHiddenAndCannotBePulled(t *testing.T) {
	ctx := context.Background()
	c := root(t, start(t, awsemulator.Options{}))
	createRepository(t, c, "app")
	pushImage(t, nil, c, "app", "v1")
	id := types.ImageIdentifier{ImageTag: aws.String("v1")}
	move := func(to types.TargetStorageClass) {
		must(c.ecr.UpdateImageStorageClass(ctx, &ecr.UpdateImageStorageClassInput{RepositoryName: aws.String("app"), ImageId: &id, TargetStorageClass: to}))
	}
	listed := func(f *types.DescribeImagesFilter) int {
		return len(must(c.ecr.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("app"), Filter: f})).ImageDetails)
	}
	move(types.TargetStorageClassArchive)
	if listed(nil) != 0 || listed(&types.DescribeImagesFilter{ImageStatus: types.ImageStatusFilterArchived}) != 1 {
		t.Error("an archived image is listed only when asked for")
	}
	out := must(c.ecr.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: aws.String("app"), ImageIds: []types.ImageIdentifier{id}}))
	if len(out.Images) != 0 || len(out.Failures) != 1 {
		t.Error("an archived image can be pulled")
	}
	move(types.TargetStorageClassStandard)
	if listed(nil) != 1 {
		t.Error("a restored image is not listed")
	}
}

// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_Layer.html
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/restore-image.html
func TestLayersOfArchivedImagesAreArchived(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	app := aws.String("app")
	createRepository(t, c, "app")
	setMutability(t, c, "app", types.ImageTagMutabilityImmutable)
	manifest := pushImage(t, s, c, "app", "v1")
	layers := []string{digestOf("layer of v1")}
	id := types.ImageIdentifier{ImageTag: aws.String("v1")}
	availability := func() types.LayerAvailability {
		return must(c.ecr.BatchCheckLayerAvailability(ctx, &ecr.BatchCheckLayerAvailabilityInput{RepositoryName: app, LayerDigests: layers})).Layers[0].LayerAvailability
	}
	archive := func() {
		must(c.ecr.UpdateImageStorageClass(ctx, &ecr.UpdateImageStorageClassInput{RepositoryName: app, ImageId: &id, TargetStorageClass: types.TargetStorageClassArchive}))
	}
	archive()
	if got := availability(); got != types.LayerAvailabilityArchived {
		t.Errorf("the layer of an archived image is %s", got)
	}
	if res, _ := distribution(t, s, "GET", "/v2/app/manifests/v1", password(t, c), nil); res.StatusCode != http.StatusNotFound {
		t.Errorf("the registry answers %d to the pull of an archived image, want 404", res.StatusCode)
	}
	must(c.ecr.PutImage(ctx, &ecr.PutImageInput{RepositoryName: app, ImageManifest: &manifest, ImageTag: aws.String("v1")}))
	if got := availability(); got != types.LayerAvailabilityAvailable {
		t.Errorf("the layer of an image that was pushed again is %s", got)
	}
	archive()
	must(c.ecr.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: app, ImageIds: []types.ImageIdentifier{id}}))
	if got := availability(); got != types.LayerAvailabilityAvailable {
		t.Errorf("the layer without an image is %s", got)
	}
}

// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_RegisterPullTimeUpdateExclusion.html
func TestPullTimeIsNotRecordedForExcludedRoles(t *testing.T) {
	ctx := context.Background()
	clock := awsemulator.FrozenClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	s := start(t, awsemulator.Options{Clock: clock, RootMayAssumeRoles: true})
	c := root(t, s)
	createRepository(t, c, "app")
	pushImage(t, s, c, "app", "v1")
	arn := role(t, s, "controller", allow(`"ecr:*"`, "*"))
	controller := assume(t, s, c, &sts.AssumeRoleInput{RoleArn: &arn})
	pulled := func() *time.Time {
		return must(c.ecr.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("app")})).ImageDetails[0].LastRecordedPullTime
	}
	get := func() {
		must(controller.ecr.BatchGetImage(ctx, &ecr.BatchGetImageInput{RepositoryName: aws.String("app"), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}}}))
	}
	must(c.ecr.RegisterPullTimeUpdateExclusion(ctx, &ecr.RegisterPullTimeUpdateExclusionInput{PrincipalArn: &arn}))
	_, err := c.ecr.RegisterPullTimeUpdateExclusion(ctx, &ecr.RegisterPullTimeUpdateExclusionInput{PrincipalArn: &arn})
	wantCode(t, err, "ExclusionAlreadyExistsException")
	get()
	if pulled() != nil {
		t.Error("a pull of an excluded role was recorded")
	}
	if got := must(c.ecr.ListPullTimeUpdateExclusions(ctx, &ecr.ListPullTimeUpdateExclusionsInput{})).PullTimeUpdateExclusions; len(got) != 1 || got[0] != arn {
		t.Errorf("exclusions %v", got)
	}
	must(c.ecr.DeregisterPullTimeUpdateExclusion(ctx, &ecr.DeregisterPullTimeUpdateExclusionInput{PrincipalArn: &arn}))
	_, err = c.ecr.DeregisterPullTimeUpdateExclusion(ctx, &ecr.DeregisterPullTimeUpdateExclusionInput{PrincipalArn: &arn})
	wantCode(t, err, "ExclusionNotFoundException")
	get()
	if p := pulled(); p == nil || !p.Equal(clock.Now()) {
		t.Errorf("pull time %v, want %v", p, clock.Now())
	}
}

// Whoever comes first wins an immutable tag; all others are told.
func TestRacingPushesToOneTagHaveOneWinner(t *testing.T) {
	ctx := context.Background()
	c := root(t, start(t, awsemulator.Options{}))
	createRepository(t, c, "app")
	setMutability(t, c, "app", types.ImageTagMutabilityImmutable)
	uploadLayer(t, c, "app", "config")
	uploadLayer(t, c, "app", "layer")
	const racers = 16
	codes := make([]string, racers)
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			m := manifestOf("config", "layer", fmt.Sprint(i))
			_, err := c.ecr.PutImage(ctx, &ecr.PutImageInput{RepositoryName: aws.String("app"), ImageManifest: &m, ImageTag: aws.String("v1")})
			codes[i] = code(err)
		})
	}
	wg.Wait()
	won := 0
	for _, got := range codes {
		switch got {
		case "":
			won++
		case "ImageTagAlreadyExistsException":
		default:
			t.Errorf("a loser got %q", got)
		}
	}
	if won != 1 {
		t.Errorf("%d winners, want 1", won)
	}
	if n := len(must(c.ecr.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: aws.String("app")})).ImageDetails); n != 1 {
		t.Errorf("%d images, want the winner's alone", n)
	}
}
