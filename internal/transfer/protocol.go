package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"imagecache.dev/internal/registrylogin"
)

// The requests of an upload:
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-a-blob-in-chunks
//
// ECR differs from it. It answers 201 to a chunk, its Range header stays at the first 10 MiB, and the status of an
// upload is not available; but its answer 416 tells the byte that it expects. So the position comes from what it
// accepted, and from that answer:
// https://github.com/aws/containers-roadmap/issues/2831, https://github.com/dotnet/sdk/pull/33019,
// https://github.com/apple/containerization/issues/790

// askAbove is the size in bytes of a chunk that is not sent before the registry has agreed.
const askAbove = 1 << 20

// exists reports whether the repository has the blob.
func (b *blobUpload) exists(ctx context.Context) (bool, error) {
	answer, err := b.do(ctx, http.MethodHead, b.address("/blobs/"+b.digest), nil, nil)
	if err != nil {
		return false, err
	}
	defer func() { _ = answer.Body.Close() }()
	if err := transport.CheckError(answer, http.StatusOK, http.StatusNotFound); err != nil {
		return false, err
	}
	return answer.StatusCode == http.StatusOK, nil
}

// begin begins an upload at the first byte.
func (b *blobUpload) begin(ctx context.Context) error {
	answer, err := b.do(ctx, http.MethodPost, b.address("/blobs/uploads/"), nil, nil)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if err := transport.CheckError(answer, http.StatusAccepted); err != nil {
		return err
	}
	b.upload.worked.Store(true)
	b.has(0)
	return b.follow(answer)
}

// send sends the next chunk.
func (b *blobUpload) send(ctx context.Context) error {
	if err := b.open(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	length := min(b.upload.nextChunk(), b.size-b.offset)
	body := newChunk(b.content, length, b.count, b.upload.stall, func() { cancel(errStalled) })
	answer, err := b.do(ctx, http.MethodPatch, b.location, body, func(request *http.Request) {
		request.ContentLength = length
		if b.offset > 0 || b.broken || length < b.size {
			request.Header.Set("Content-Range", fmt.Sprintf("%d-%d", b.offset, b.offset+length-1))
		}
		if b.broken && length > askAbove {
			// The registry may answer that it expects another byte, before anything is sent in vain.
			request.Header.Set("Expect", "100-continue")
		}
	})
	if err != nil {
		b.close() // ends a read that waits
	}
	whole := body.detach()
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
			err = cause
		}
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if err := b.checkChunk(ctx, answer, length); err != nil {
		return err
	}
	if !whole {
		return errors.New("the registry answered before it had all of the chunk")
	}
	b.upload.worked.Store(true)
	b.resumed = b.resumed || b.broken
	b.broken = false
	b.offset += length
	b.position = b.offset
	return b.follow(answer)
}

// errElsewhere is the error of a registry that sends an upload to another host.
var errElsewhere = errors.New("the registry sends the upload to another host")

var errStalled = errors.New("the connection takes no more bytes")

// checkChunk returns why a chunk was not accepted.
func (b *blobUpload) checkChunk(ctx context.Context, answer *http.Response, length int64) error {
	err := transport.CheckError(answer, http.StatusCreated, http.StatusAccepted, http.StatusNoContent)
	if err == nil {
		return nil
	}
	switch answer.StatusCode {
	case http.StatusNotFound:
		return &startOverError{fmt.Errorf("the registry does not know the upload any more: %w", err)}
	case http.StatusRequestedRangeNotSatisfiable:
		to, known := expected(err)
		if !known {
			to, known = b.status(ctx)
		}
		if !known || to <= b.offset || to > b.offset+length {
			return &startOverError{fmt.Errorf("the registry does not continue the upload: %w", err)}
		}
		b.offset, b.resumed = to, true
		return &movedError{to}
	}
	return err
}

// expectation is how ECR tells the byte that it expects: First byte of the layer part is 0 instead of 11304960.
var expectation = regexp.MustCompile(`instead of (\d{1,18})\b`)

// expected returns the byte that an answer 416 asks for, if it does.
func expected(err error) (offset int64, known bool) {
	found := expectation.FindStringSubmatch(err.Error())
	if found == nil {
		return 0, false
	}
	offset, parseErr := strconv.ParseInt(found[1], 10, 64)
	return offset, parseErr == nil
}

// status asks how many bytes the registry has, where it answers that.
func (b *blobUpload) status(ctx context.Context) (offset int64, known bool) {
	answer, err := b.do(ctx, http.MethodGet, b.location, nil, nil)
	if err != nil {
		return 0, false
	}
	defer func() { _ = answer.Body.Close() }()
	_, last, isRange := strings.Cut(strings.TrimPrefix(answer.Header.Get("Range"), "bytes="), "-")
	end, err := strconv.ParseInt(last, 10, 64)
	if answer.StatusCode != http.StatusNoContent || !isRange || err != nil || b.follow(answer) != nil {
		return 0, false
	}
	return end + 1, true
}

// complete makes a blob of what was uploaded. The registry compares its digest.
func (b *blobUpload) complete(ctx context.Context) error {
	address, err := url.Parse(b.location)
	if err != nil {
		return err
	}
	query := address.Query()
	query.Set("digest", b.digest)
	address.RawQuery = query.Encode()
	answer, err := b.do(ctx, http.MethodPut, address.String(), nil, nil)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	err = transport.CheckError(answer, http.StatusCreated)
	switch {
	case err == nil:
		return nil
	case answer.StatusCode == http.StatusNotFound:
		return &startOverError{fmt.Errorf("the registry does not know the upload any more: %w", err)}
	case b.resumed && (answer.StatusCode == http.StatusBadRequest ||
		answer.StatusCode == http.StatusRequestedRangeNotSatisfiable):
		b.whole = true
		return &startOverError{fmt.Errorf("the registry does not accept an upload in pieces: %w", err)}
	}
	return err
}

// do sends a request. body may be nil, and edit too. A request without a body is answered within the upload's limit, or
// fails; the body of a chunk has its own limit.
func (b *blobUpload) do(
	ctx context.Context, method, address string, body io.ReadCloser, edit func(*http.Request),
) (*http.Response, error) {
	if body != nil {
		return b.ask(ctx, method, address, body, edit)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, b.upload.answer, errNoAnswer)
	answer, err := b.ask(ctx, method, address, http.NoBody, edit)
	if err != nil {
		if cause := context.Cause(ctx); errors.Is(cause, errNoAnswer) {
			err = cause
		}
		cancel()
		return nil, err
	}
	answer.Body = &limitedBody{answer.Body, cancel}
	return answer, nil
}

var errNoAnswer = errors.New("the registry does not answer")

// limitedBody is the body of an answer that is limited in time. Close ends the limit.
type limitedBody struct {
	io.ReadCloser
	end context.CancelFunc
}

func (b *limitedBody) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}

func (b *blobUpload) ask(
	ctx context.Context, method, address string, body io.ReadCloser, edit func(*http.Request),
) (*http.Response, error) {
	client, err := b.upload.connect(ctx)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}
	if method != http.MethodHead && method != http.MethodGet {
		request.Header.Set("Content-Type", "application/octet-stream")
	}
	if edit != nil {
		edit(request)
	}
	return client.Do(request)
}

func (b *blobUpload) address(path string) string {
	repository := b.upload.repository
	return repository.Scheme() + "://" + repository.RegistryStr() + "/v2/" + repository.RepositoryStr() + path
}

// follow takes the address of the next request from an answer. It stays in the registry: neither the password nor the
// blob's bytes go to another host. A registry may write the port that belongs to the scheme; what authenticates
// requests compares hosts as they are written, so the address gets the registry's own host.
func (b *blobUpload) follow(answer *http.Response) error {
	next, err := answer.Location()
	if errors.Is(err, http.ErrNoLocation) && b.location != "" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the address of the upload: %w", err)
	}
	registry := b.upload.repository.Registry
	if next.Scheme != registry.Scheme() || !registrylogin.IsAt(registry.RegistryStr(), next) {
		return errElsewhere
	}
	next.Host, next.User = registry.RegistryStr(), nil
	b.location = next.String()
	return nil
}
