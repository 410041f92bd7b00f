package awsemulator

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"imagecache.dev/test/awsemulator"
)

// signed returns a call of DescribeRepositories for one repository, signed by the SDK once and sent as often as it is called: the
// emulator verifies every signature, while the SDK's own work stays out of the figure.
func signed(ctx context.Context, s *awsemulator.Server, name string) (func() error, error) {
	catch := &recorder{}
	options := client(s).Options()
	options.HTTPClient = catch
	if _, err := ecr.New(options).DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{name}}); err != nil {
		return nil, fmt.Errorf("sign call: %w", err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	return func() error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, catch.url, bytes.NewReader(catch.body))
		if err != nil {
			return err
		}
		request.Header = catch.header
		response, err := transport.RoundTrip(request)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK || !bytes.Contains(body, []byte(name)) {
			return fmt.Errorf("answer %d: %s", response.StatusCode, body)
		}
		return nil
	}, nil
}

// recorder keeps the last request that it passes on.
type recorder struct {
	mu     sync.Mutex
	url    string
	header http.Header
	body   []byte
}

func (r *recorder) Do(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.url, r.header, r.body = request.URL.String(), request.Header.Clone(), body
	r.mu.Unlock()
	request.Body = io.NopCloser(bytes.NewReader(body))
	return (&http.Client{Timeout: 10 * time.Second}).Do(request)
}
