package aws

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
)

// lateConn returns from a write after the server has answered it.
type lateConn struct{ net.Conn }

func (c lateConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	time.Sleep(20 * time.Millisecond)
	return n, err
}

// An answer that overtakes the end of its request is read to its end, at the first attempt.
func TestAnswerThatOvertakesItsRequest(t *testing.T) {
	long := strings.Repeat("x", 64<<10)
	answers := map[string]string{
		"GetResources":     `{"ResourceTagMappingList":[{"ResourceARN":"` + long + `"}]}`,
		"CreateRepository": `{"repository":{"repositoryArn":"` + long + `"}}`,
		"Action=GetUser":   "<GetUserResponse><GetUserResult><User><Arn>" + long + "</Arn></User></GetUserResult></GetUserResponse>",
	}
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read the request: %v", err)
		}
		requests++
		for name, answer := range answers {
			if strings.HasSuffix(r.Header.Get("X-Amz-Target"), "."+name) || strings.Contains(string(body), name) {
				_, _ = io.WriteString(w, answer[:10])
				_ = http.NewResponseController(w).Flush()
				time.Sleep(40 * time.Millisecond) // the write comes back in the meantime
				_, _ = io.WriteString(w, answer[10:])
			}
		}
	}))
	defer server.Close()
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	} {
		t.Setenv(name, value)
	}
	provider, err := NewProvider(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	clients := provider.Clients(Target{})
	late := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return lateConn{conn}, err
	}}}
	defer late.CloseIdleConnections()
	for name, call := range map[string]func() (*string, error){
		"the tagging API": func() (*string, error) {
			out, err := clients.Tagging.GetResources(t.Context(), &resourcegroupstaggingapi.GetResourcesInput{},
				func(o *resourcegroupstaggingapi.Options) { o.HTTPClient = late })
			if err != nil {
				return nil, err
			}
			if len(out.ResourceTagMappingList) != 1 {
				return nil, fmt.Errorf("%d resources", len(out.ResourceTagMappingList))
			}
			return out.ResourceTagMappingList[0].ResourceARN, nil
		},
		"ECR": func() (*string, error) {
			out, err := clients.ECR.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: awssdk.String("r")},
				func(o *ecr.Options) { o.HTTPClient = late })
			if err != nil {
				return nil, err
			}
			return out.Repository.RepositoryArn, nil
		},
		"IAM": func() (*string, error) {
			out, err := clients.IAM.GetUser(t.Context(), &iam.GetUserInput{}, func(o *iam.Options) { o.HTTPClient = late })
			if err != nil {
				return nil, err
			}
			return out.User.Arn, nil
		},
	} {
		requests = 0
		arn, err := call()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if awssdk.ToString(arn) != long || requests != 1 {
			t.Errorf("%s: %d bytes after %d requests, want %d after one", name, len(awssdk.ToString(arn)), requests, len(long))
		}
	}
}
