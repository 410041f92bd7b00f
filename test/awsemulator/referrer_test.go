package awsemulator_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"

	"imagecache.dev/test/awsemulator"
)

// referrerOf is a manifest that names a subject.
func referrerOf(subject, artifactType, note string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":%q,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":2},"layers":[],"subject":{"mediaType":%q,"digest":%q,"size":1},"annotations":{"note":%q}}`,
		ociManifestType, artifactType, digestOf("{}"), ociManifestType, subject, note)
}

// attach puts a referrer by the API, and says its digest.
func attach(t *testing.T, c clients, repo, subject, artifactType, note string) string {
	t.Helper()
	uploadLayer(t, c, repo, "{}")
	m := referrerOf(subject, artifactType, note)
	return *must(c.ecr.PutImage(context.Background(), &ecr.PutImageInput{RepositoryName: &repo, ImageManifest: &m})).Image.ImageId.ImageDigest
}

// mayOnly makes clients of a role that may do one thing, and ask for passwords.
func mayOnly(t *testing.T, s *awsemulator.Server, action string) clients {
	t.Helper()
	name := strings.ReplaceAll(action, ":", "-")
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[%q,"ecr:GetAuthorizationToken"],"Resource":"*"}]}`, action)
	return assume(t, s, root(t, s), &sts.AssumeRoleInput{RoleArn: aws.String(role(t, s, name, policy))})
}

// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ListImageReferrers.html
func TestReferrersAreListedWithTheirAnnotations(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true})
	c := root(t, s)
	createRepository(t, c, "app")
	subject := digestOf(pushImage(t, s, c, "app", "v1"))
	first, second := attach(t, c, "app", subject, "text/one", "1"), attach(t, c, "app", subject, "text/two", "2")
	attach(t, c, "app", digestOf("another"), "text/one", "3")
	list := func(c clients, in *ecr.ListImageReferrersInput) (map[string]string, *string, error) {
		in.RepositoryName, in.SubjectId = aws.String("app"), &types.SubjectIdentifier{ImageDigest: &subject}
		out, err := c.ecr.ListImageReferrers(ctx, in)
		if err != nil {
			return nil, nil, err
		}
		got := map[string]string{}
		for _, r := range out.Referrers {
			got[*r.Digest] = *r.ArtifactType + " " + r.Annotations["note"] + " " + string(r.ArtifactStatus) + " " + *r.MediaType
		}
		return got, out.NextToken, nil
	}
	one, two := "text/one 1 ACTIVE "+ociManifestType, "text/two 2 ACTIVE "+ociManifestType
	got, next, err := list(c, &ecr.ListImageReferrersInput{})
	if diff := cmp.Diff(map[string]string{first: one, second: two}, got); diff != "" || next != nil || err != nil {
		t.Errorf("error %v, next page %v, referrers differ (-want +got):\n%s", err, next, diff)
	}
	got, _, err = list(c, &ecr.ListImageReferrersInput{Filter: &types.ListImageReferrersFilter{ArtifactTypes: []string{"text/two"}}})
	if diff := cmp.Diff(map[string]string{second: two}, got); diff != "" || err != nil {
		t.Errorf("error %v, referrers of a type differ (-want +got):\n%s", err, diff)
	}
	pages := map[string]string{}
	for in := (&ecr.ListImageReferrersInput{MaxResults: aws.Int32(1)}); ; {
		part, token, err := list(c, in)
		if err != nil || len(part) != 1 {
			t.Fatalf("a page of %d referrers and error %v, want one", len(part), err)
		}
		for digest, text := range part {
			pages[digest] = text
		}
		if in.NextToken = token; token == nil {
			break
		}
	}
	if len(pages) != 2 {
		t.Errorf("pages have %d referrers, want 2", len(pages))
	}
	_, _, err = list(c, &ecr.ListImageReferrersInput{MaxResults: aws.Int32(51)})
	wantCode(t, err, "InvalidParameterException")
	reader := mayOnly(t, s, "ecr:BatchGetImage")
	_, _, err = list(reader, &ecr.ListImageReferrersInput{})
	wantCode(t, err, "AccessDeniedException")

	response, body := distribution(t, s, http.MethodGet, "/v2/app/referrers/"+subject, password(t, reader), nil)
	var index struct {
		Manifests []struct {
			Digest, ArtifactType string
			Annotations          map[string]string
		}
	}
	if err := json.Unmarshal([]byte(body), &index); err != nil || response.StatusCode != http.StatusOK || len(index.Manifests) != 2 {
		t.Fatalf("referrers: %s %s", response.Status, body)
	}
	for _, m := range index.Manifests {
		if m.Annotations["note"] == "" {
			t.Errorf("referrer %s has no annotations", m.Digest)
		}
	}
}

// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests-with-subject
func TestRegistryTellsThatItKnowsSubjectsAndDeletesManifests(t *testing.T) {
	s := start(t, awsemulator.Options{RootMayAssumeRoles: true})
	c := root(t, s)
	createRepository(t, c, "app")
	subject := digestOf(pushImage(t, s, c, "app", "v1"))
	uploadLayer(t, c, "app", "{}")
	m := referrerOf(subject, "text/note", "")
	at := "/v2/app/manifests/" + digestOf(m)
	put := func() *http.Response {
		response, body := distribution(t, s, http.MethodPut, at, password(t, c), strings.NewReader(m), "Content-Type", ociManifestType)
		if response.StatusCode != http.StatusCreated {
			t.Fatalf("put: %s %s", response.Status, body)
		}
		return response
	}
	if got := put().Header.Get("OCI-Subject"); got != subject {
		t.Errorf("OCI-Subject is %q, want %q", got, subject)
	}
	pusher := mayOnly(t, s, "ecr:PutImage")
	if response, _ := distribution(t, s, http.MethodDelete, at, password(t, pusher), nil); response.StatusCode != http.StatusForbidden {
		t.Errorf("deletion without the right to BatchDeleteImage: %s", response.Status)
	}
	if response, body := distribution(t, s, http.MethodDelete, at, password(t, c), nil); response.StatusCode != http.StatusAccepted {
		t.Errorf("deletion: %s %s", response.Status, body)
	}
	if response, body := distribution(t, s, http.MethodDelete, at, password(t, c), nil); response.StatusCode != http.StatusNotFound || distributionCode(body) != "MANIFEST_UNKNOWN" {
		t.Errorf("second deletion: %s %s", response.Status, body)
	}
}

// https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html
func TestReferrersGoWithinADayOfTheirSubject(t *testing.T) {
	ctx := context.Background()
	s := start(t, awsemulator.Options{})
	c := root(t, s)
	createRepository(t, c, "app")
	subject := digestOf(pushImage(t, s, c, "app", "v1"))
	referrer := attach(t, c, "app", subject, "text/note", "1")
	ofReferrer := attach(t, c, "app", referrer, "text/note", "2")
	early := attach(t, c, "app", digestOf("not pushed yet"), "text/note", "3")
	must(c.ecr.BatchDeleteImage(ctx, &ecr.BatchDeleteImageInput{RepositoryName: aws.String("app"), ImageIds: []types.ImageIdentifier{{ImageDigest: &subject}}}))
	there := func() map[string]bool {
		got := map[string]bool{}
		for _, id := range must(c.ecr.ListImages(ctx, &ecr.ListImagesInput{RepositoryName: aws.String("app")})).ImageIds {
			got[*id.ImageDigest] = true
		}
		return got
	}
	if diff := cmp.Diff(map[string]bool{referrer: true, ofReferrer: true, early: true}, there()); diff != "" {
		t.Errorf("images right after the deletion differ (-want +got):\n%s", diff)
	}
	s.Clock().Advance(24 * time.Hour)
	if diff := cmp.Diff(map[string]bool{early: true}, there()); diff != "" {
		t.Errorf("images a day later differ (-want +got):\n%s", diff)
	}
}
