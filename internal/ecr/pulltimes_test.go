package ecr_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"

	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/ecr"
)

// ECR may end a page before it has as many items as the caller accepts.
func TestPullTimeExclusionsAreReadToTheEnd(t *testing.T) {
	pages := map[string]string{
		"":   `{"pullTimeUpdateExclusions": ["arn:aws:iam::123456789012:role/scanner-0"], "nextToken": "p1"}`,
		"p1": `{"pullTimeUpdateExclusions": [], "nextToken": "p2"}`,
		"p2": `{"pullTimeUpdateExclusions": ["arn:aws:iam::123456789012:role/scanner-1"]}`,
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct{ NextToken string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		fmt.Fprint(w, pages[in.NextToken])
	}))
	defer server.Close()
	clients := &aws.Clients{ECR: awsecr.New(awsecr.Options{
		Region: "eu-west-1", BaseEndpoint: awssdk.String(server.URL), Credentials: credentials.NewStaticCredentialsProvider("id", "secret", ""),
	})}
	got, err := ecr.PullTimeExclusions(t.Context(), clients)
	want := []string{"arn:aws:iam::123456789012:role/scanner-0", "arn:aws:iam::123456789012:role/scanner-1"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("exclusions %v, %v; want %v", got, err, want)
	}
}
