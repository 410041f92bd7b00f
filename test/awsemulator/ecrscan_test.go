package awsemulator_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-cmp/cmp"

	"imagecache.dev/test/awsemulator"
)

// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_StartImageScan.html
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImageScanFindings.html
func TestScansFindWhatIsSet(t *testing.T) {
	ctx := context.Background()
	clock := awsemulator.FrozenClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	s := start(t, awsemulator.Options{Clock: clock})
	c := root(t, s)
	app := aws.String("app")
	createRepository(t, c, "app")
	pushImage(t, s, c, "app", "v1")
	id := &types.ImageIdentifier{ImageTag: aws.String("v1")}
	_, err := c.ecr.DescribeImageScanFindings(ctx, &ecr.DescribeImageScanFindingsInput{RepositoryName: app, ImageId: id})
	if code(err) != "ScanNotFoundException" || !strings.Contains(message(err), "in the repository with name 'app' in the registry with id '123456789012'") {
		t.Error(err)
	}
	_, err = c.ecr.StartImageScan(ctx, &ecr.StartImageScanInput{RepositoryName: app, ImageId: &types.ImageIdentifier{ImageTag: aws.String("none")}})
	wantCode(t, err, "ImageNotFoundException")
	res, body := distribution(t, s, "POST", "/_emulator/scans", "", strings.NewReader(`{"repository":"app","image":"v1","findings":[
		{"name":"CVE-1","severity":"HIGH","uri":"https://example.com/1","attributes":[{"key":"package_name","value":"busybox"}]},
		{"name":"CVE-2","severity":"LOW"},{"name":"CVE-3","severity":"HIGH"}]}`))
	if res.StatusCode != http.StatusOK || !strings.Contains(body, `"images": 1`) {
		t.Fatal(res.StatusCode, body)
	}
	if _, err := s.SetScanFindings("app", "", []awsemulator.ScanFinding{{Name: "CVE-4", Severity: "BAD"}}); err == nil {
		t.Error("a severity that does not exist is taken")
	}
	started := must(c.ecr.StartImageScan(ctx, &ecr.StartImageScanInput{RepositoryName: app, ImageId: id}))
	if started.ImageScanStatus.Status != types.ScanStatusInProgress || *started.RegistryId != "123456789012" {
		t.Errorf("started %+v", started)
	}
	if err := ecr.NewImageScanCompleteWaiter(c.ecr).Wait(ctx, &ecr.DescribeImageScanFindingsInput{RepositoryName: app, ImageId: id}, time.Minute); err != nil {
		t.Error(err)
	}
	var names []string
	pages := ecr.NewDescribeImageScanFindingsPaginator(c.ecr, &ecr.DescribeImageScanFindingsInput{RepositoryName: app, ImageId: id, MaxResults: aws.Int32(2)})
	for pages.HasMorePages() {
		out := must(pages.NextPage(ctx))
		if diff := cmp.Diff(map[string]int32{"HIGH": 2, "LOW": 1}, out.ImageScanFindings.FindingSeverityCounts); diff != "" || out.ImageScanStatus.Status != types.ScanStatusComplete ||
			!out.ImageScanFindings.ImageScanCompletedAt.Equal(clock.Now()) {
			t.Errorf("%s %s", out.ImageScanStatus.Status, diff)
		}
		for _, f := range out.ImageScanFindings.Findings {
			names = append(names, *f.Name)
		}
	}
	if diff := cmp.Diff([]string{"CVE-1", "CVE-2", "CVE-3"}, names); diff != "" {
		t.Error(diff)
	}
	if d := must(c.ecr.DescribeImages(ctx, &ecr.DescribeImagesInput{RepositoryName: app})).ImageDetails[0]; d.ImageScanStatus == nil || d.ImageScanFindingsSummary.FindingSeverityCounts["HIGH"] != 2 {
		t.Errorf("detail %+v", d)
	}
	_, err = c.ecr.StartImageScan(ctx, &ecr.StartImageScanInput{RepositoryName: app, ImageId: id})
	if code(err) != "LimitExceededException" || message(err) != "The scan quota per image has been exceeded. Wait and try again." {
		t.Error(err)
	}
	clock.Advance(24 * time.Hour)
	_, err = c.ecr.StartImageScan(ctx, &ecr.StartImageScanInput{RepositoryName: app, ImageId: id})
	wantCode(t, err, "")

	must(c.ecr.PutImageScanningConfiguration(ctx, &ecr.PutImageScanningConfigurationInput{
		RepositoryName: app, ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: true},
	}))
	pushImage(t, s, c, "app", "v2")
	onPush := must(c.ecr.DescribeImageScanFindings(ctx, &ecr.DescribeImageScanFindingsInput{RepositoryName: app, ImageId: &types.ImageIdentifier{ImageTag: aws.String("v2")}}))
	if len(onPush.ImageScanFindings.Findings) != 0 || onPush.ImageScanStatus.Status != types.ScanStatusComplete {
		t.Errorf("scanned on push: %+v", onPush)
	}
}

// https://docs.aws.amazon.com/AmazonECR/latest/userguide/lpp_creation.html
func TestLifecyclePolicyPreviewTellsAndChangesNothing(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	app := aws.String("app")
	createRepository(t, c, "app")
	for _, tag := range []string{"old1", "old2"} {
		pushImage(t, s, c, "app", tag)
	}
	s.AgeImages("app", 40*24*time.Hour)
	pushImage(t, s, c, "app", "new")
	get := func(in ecr.GetLifecyclePolicyPreviewInput) (*ecr.GetLifecyclePolicyPreviewOutput, error) {
		in.RepositoryName = app
		return c.ecr.GetLifecyclePolicyPreview(ctx, &in)
	}
	_, err := get(ecr.GetLifecyclePolicyPreviewInput{})
	wantCode(t, err, "LifecyclePolicyPreviewNotFoundException")
	_, err = c.ecr.StartLifecyclePolicyPreview(ctx, &ecr.StartLifecyclePolicyPreviewInput{RepositoryName: app})
	wantCode(t, err, "LifecyclePolicyNotFoundException")
	_, err = c.ecr.StartLifecyclePolicyPreview(ctx, &ecr.StartLifecyclePolicyPreviewInput{RepositoryName: app, LifecyclePolicyText: aws.String("{")})
	wantCode(t, err, "InvalidParameterException")
	text := lifecycle(rule(7, `"tagStatus":"any",`+in30, expire))
	started := must(c.ecr.StartLifecyclePolicyPreview(ctx, &ecr.StartLifecyclePolicyPreviewInput{RepositoryName: app, LifecyclePolicyText: &text}))
	if started.Status != types.LifecyclePolicyPreviewStatusInProgress || *started.RegistryId != "123456789012" || *started.LifecyclePolicyText != text {
		t.Errorf("started %+v", started)
	}
	if err := ecr.NewLifecyclePolicyPreviewCompleteWaiter(c.ecr).Wait(ctx, &ecr.GetLifecyclePolicyPreviewInput{RepositoryName: app}, time.Minute); err != nil {
		t.Error(err)
	}
	var tags []string
	pages := ecr.NewGetLifecyclePolicyPreviewPaginator(c.ecr, &ecr.GetLifecyclePolicyPreviewInput{RepositoryName: app, MaxResults: aws.Int32(1)})
	for pages.HasMorePages() {
		out := must(pages.NextPage(ctx))
		if *out.Summary.ExpiringImageTotalCount != 2 || len(out.PreviewResults) != 1 {
			t.Fatalf("page %+v", out)
		}
		r := out.PreviewResults[0]
		if r.Action.Type != types.ImageActionTypeExpire || *r.AppliedRulePriority != 7 || r.StorageClass != types.LifecyclePolicyStorageClassStandard || r.ImagePushedAt == nil {
			t.Errorf("result %+v", r)
		}
		tags = append(tags, r.ImageTags...)
	}
	if diff := cmp.Diff([]string{"old1", "old2"}, tags, sortStrings); diff != "" {
		t.Error(diff)
	}
	one := must(get(ecr.GetLifecyclePolicyPreviewInput{ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("old2")}}})).PreviewResults
	untagged := must(get(ecr.GetLifecyclePolicyPreviewInput{Filter: &types.LifecyclePolicyPreviewFilter{TagStatus: types.TagStatusUntagged}})).PreviewResults
	if len(one) != 1 || len(untagged) != 0 {
		t.Errorf("%d results of one image, %d without tags", len(one), len(untagged))
	}
	if all := must(c.ecr.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: app})).ImageIds; len(all) != 3 {
		t.Errorf("%d images are left", len(all))
	}
	_, err = c.ecr.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RepositoryName: app})
	wantCode(t, err, "LifecyclePolicyNotFoundException")
	must(c.ecr.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: app, LifecyclePolicyText: &text}))
	must(c.ecr.StartLifecyclePolicyPreview(ctx, &ecr.StartLifecyclePolicyPreviewInput{RepositoryName: app}))
	if n := s.RunLifecycle(); n != 2 {
		t.Errorf("%d images expired, want those of the preview", n)
	}
}
