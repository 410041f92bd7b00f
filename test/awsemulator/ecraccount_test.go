package awsemulator_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"

	"imagecache.dev/test/awsemulator"
)

// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
func TestAnotherAccountsRegistryIsDenied(t *testing.T) {
	ctx := context.Background()
	c := root(t, start(t, awsemulator.Options{}))
	createRepository(t, c, "app")
	own, other, app := aws.String("123456789012"), aws.String("999999999999"), aws.String("app")
	calls := func(registry *string) map[string]error {
		_, images := c.ecr.DescribeImages(ctx, &ecr.DescribeImagesInput{RegistryId: registry, RepositoryName: app})
		_, named := c.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RegistryId: registry, RepositoryNames: []string{"app"}})
		_, all := c.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RegistryId: registry})
		_, upload := c.ecr.InitiateLayerUpload(ctx, &ecr.InitiateLayerUploadInput{RegistryId: registry, RepositoryName: app})
		_, mutability := c.ecr.PutImageTagMutability(ctx, &ecr.PutImageTagMutabilityInput{RegistryId: registry, RepositoryName: app, ImageTagMutability: types.ImageTagMutabilityMutable})
		return map[string]error{"DescribeImages": images, "DescribeRepositories": named, "all of DescribeRepositories": all, "InitiateLayerUpload": upload, "PutImageTagMutability": mutability}
	}
	for name, err := range calls(own) {
		if err != nil {
			t.Errorf("own registry: %s: %v", name, err)
		}
	}
	for name, err := range calls(other) {
		if code(err) != "AccessDeniedException" || !strings.Contains(message(err), "arn:aws:ecr:us-east-1:999999999999:repository/") ||
			!strings.Contains(message(err), "because no resource-based policy allows the ecr:") {
			t.Errorf("another: %s: %v", name, err)
		}
	}
	for name, err := range calls(aws.String("me")) {
		if code(err) != "InvalidParameterException" {
			t.Errorf("no account: %s: %v", name, err)
		}
	}
}

// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_UploadLayerPart.html#API_UploadLayerPart_Errors
func TestInvalidLayerPartTellsWhereToGoOn(t *testing.T) {
	ctx := context.Background()
	c := root(t, start(t, awsemulator.Options{}))
	createRepository(t, c, "app")
	id := must(c.ecr.InitiateLayerUpload(ctx, &ecr.InitiateLayerUploadInput{RepositoryName: aws.String("app")})).UploadId
	part := func(first int64) error {
		_, err := c.ecr.UploadLayerPart(ctx, &ecr.UploadLayerPartInput{
			RepositoryName: aws.String("app"), UploadId: id, PartFirstByte: &first, PartLastByte: aws.Int64(first + 2), LayerPartBlob: []byte("abc"),
		})
		return err
	}
	if err := part(0); err != nil {
		t.Fatal(err)
	}
	var invalid *types.InvalidLayerPartException
	if err := part(5); !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	if *invalid.RegistryId != "123456789012" || *invalid.RepositoryName != "app" || *invalid.UploadId != *id || *invalid.LastValidByteReceived != 2 {
		t.Errorf("fields %+v", invalid)
	}
}

// https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry-permissions.html
func TestRegistryPolicyIsKept(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true})
	c := root(t, s)
	described := must(c.ecr.DescribeRegistry(ctx, &ecr.DescribeRegistryInput{}))
	if *described.RegistryId != "123456789012" || described.ReplicationConfiguration == nil || len(described.ReplicationConfiguration.Rules) != 0 {
		t.Errorf("registry %+v", described)
	}
	_, err := c.ecr.GetRegistryPolicy(ctx, &ecr.GetRegistryPolicyInput{})
	wantCode(t, err, "RegistryPolicyNotFoundException")
	_, err = c.ecr.DeleteRegistryPolicy(ctx, &ecr.DeleteRegistryPolicyInput{})
	if message(err) != "Registry policy does not exist in the registry with id '123456789012'" {
		t.Error(err)
	}
	_, err = c.ecr.PutRegistryPolicy(ctx, &ecr.PutRegistryPolicyInput{PolicyText: aws.String("{")})
	wantCode(t, err, "InvalidParameterException")
	text := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::999999999999:root"},"Action":"ecr:ReplicateImage","Resource":"*"}]}`
	must(c.ecr.PutRegistryPolicy(ctx, &ecr.PutRegistryPolicyInput{PolicyText: &text}))
	if got := must(c.ecr.GetRegistryPolicy(ctx, &ecr.GetRegistryPolicyInput{})); *got.PolicyText != text || *got.RegistryId != "123456789012" {
		t.Errorf("policy %+v", got)
	}
	arn := role(t, s, "reader", allow(`"ecr:GetRegistryPolicy"`, "*"))
	reader := assume(t, s, c, &sts.AssumeRoleInput{RoleArn: &arn})
	_, err = reader.ecr.GetRegistryPolicy(ctx, &ecr.GetRegistryPolicyInput{})
	wantCode(t, err, "")
	_, err = reader.ecr.DeleteRegistryPolicy(ctx, &ecr.DeleteRegistryPolicyInput{})
	wantCode(t, err, "AccessDeniedException")
	if got := must(c.ecr.DeleteRegistryPolicy(ctx, &ecr.DeleteRegistryPolicyInput{})); *got.PolicyText != text {
		t.Errorf("deleted %+v", got)
	}
}

// https://docs.aws.amazon.com/AmazonECR/latest/userguide/blob-mounting.html
func TestLayersAreMountedWhereTheAccountSaysSo(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true})
	c := root(t, s)
	createRepository(t, c, "source")
	createRepository(t, c, "target")
	pushImage(t, s, c, "source", "v1")
	layer := digestOf("layer of v1")
	setting := func() string {
		return *must(c.ecr.GetAccountSetting(ctx, &ecr.GetAccountSettingInput{Name: aws.String("BLOB_MOUNTING")})).Value
	}
	post := func(password, query string) int {
		res, _ := distribution(t, s, "POST", "/v2/target/blobs/uploads/"+query, password, nil)
		return res.StatusCode
	}
	mount := "?mount=" + layer + "&from=source"
	pw := password(t, c)
	if got := setting(); got != "DISABLED" || post(pw, mount) != 202 {
		t.Errorf("at first %s, and a mount does not ask for an upload", got)
	}
	must(c.ecr.PutAccountSetting(ctx, &ecr.PutAccountSettingInput{Name: aws.String("BLOB_MOUNTING"), Value: aws.String("ENABLED")}))
	arn := role(t, s, "pusher", allow(`"ecr:GetAuthorizationToken","ecr:InitiateLayerUpload"`, "*"))
	pusher := password(t, assume(t, s, c, &sts.AssumeRoleInput{RoleArn: &arn}))
	for name, tc := range map[string]struct {
		password, query string
		status          int
	}{
		"without a right to the source": {pusher, mount, 202},
		"a layer that does not exist":   {pw, "?mount=" + digestOf("none") + "&from=source", 202},
		"no such repository":            {pw, "?mount=" + layer + "&from=none", 202},
		"no source":                     {pw, "?mount=" + layer, 202},
	} {
		if got := post(tc.password, tc.query); got != tc.status {
			t.Errorf("%s: %d, want %d", name, got, tc.status)
		}
	}
	if got := setting(); got != "ENABLED" || post(pw, mount) != 201 {
		t.Errorf("setting %s, and the layer is not mounted", got)
	}
	if got := must(c.ecr.BatchCheckLayerAvailability(ctx, &ecr.BatchCheckLayerAvailabilityInput{RepositoryName: aws.String("target"), LayerDigests: []string{layer}})).Layers[0]; got.LayerAvailability != types.LayerAvailabilityAvailable {
		t.Errorf("the layer is %s", got.LayerAvailability)
	}
	// The target keeps the layer when the source goes.
	must(c.ecr.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: aws.String("source"), Force: true}))
	uploadLayer(t, c, "target", "config of v1")
	must(c.ecr.PutImage(ctx, &ecr.PutImageInput{RepositoryName: aws.String("target"), ImageManifest: aws.String(manifestOf("config of v1", "layer of v1", ""))}))
	res, _ := distribution(t, s, "GET", "/v2/target/blobs/"+layer, pw, nil)
	if _, body := distribution(t, s, "GET", strings.TrimPrefix(res.Header.Get("Location"), s.URL()), "", nil); body != "layer of v1" {
		t.Errorf("the mounted layer is %q", body)
	}
	_, err := c.ecr.PutAccountSetting(ctx, &ecr.PutAccountSettingInput{Name: aws.String("BLOB_MOUNTING"), Value: aws.String("SOMETIMES")})
	wantCode(t, err, "InvalidParameterException")
	_, err = c.ecr.GetAccountSetting(ctx, &ecr.GetAccountSettingInput{Name: aws.String("REGISTRY_POLICY_SCOPE")})
	wantCode(t, err, "NotEmulatedException")
}

func TestCatalogPages(t *testing.T) {
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true})
	c := root(t, s)
	want := []string{"a/one", "b/two", "c/three"}
	for _, name := range want {
		createRepository(t, c, name)
	}
	pw := password(t, c)
	var got []string
	path := "/v2/_catalog?n=2"
	for pages := 0; path != ""; pages++ {
		res, body := distribution(t, s, "GET", path, pw, nil)
		var page struct{ Repositories []string }
		if err := json.Unmarshal([]byte(body), &page); err != nil || res.StatusCode != http.StatusOK || pages > 2 {
			t.Fatal(res.StatusCode, body, err)
		}
		got = append(got, page.Repositories...)
		path, _, _ = strings.Cut(strings.TrimPrefix(res.Header.Get("Link"), "<"), ">")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	arn := role(t, s, "puller", allow(`"ecr:GetAuthorizationToken"`, "*"))
	if res, _ := distribution(t, s, "GET", "/v2/_catalog", password(t, assume(t, s, c, &sts.AssumeRoleInput{RoleArn: &arn})), nil); res.StatusCode != http.StatusForbidden {
		t.Errorf("without ecr:DescribeRepositories: %d", res.StatusCode)
	}
}
