package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

// partBytes is the size of ECR's parts: https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html
const partBytes = 10 << 20

// resumedUpload begins an upload with one password, and ends it with another one, as an upload over two grants does.
func resumedUpload(ctx context.Context, w *world) (string, error) {
	first, err := w.login(ctx, w.push, w.own.project, sessionpolicyPush(w, w.own))
	if err != nil {
		return "", err
	}
	second, err := w.login(ctx, w.push, w.own.project, sessionpolicyPush(w, w.own))
	if err != nil {
		return "", err
	}
	content := make([]byte, 2*partBytes+1000)
	_, _ = rand.Read(content) // never fails
	repository, err := name.NewRepository(w.own.uri)
	if err != nil {
		return "", err
	}
	u := &uploading{address: repository.Scheme() + "://" + repository.RegistryStr() + "/v2/" + repository.RepositoryStr() + "/blobs/uploads/"}
	if err := u.send(ctx, http.MethodPost, first, "", nil); err != nil {
		return "", fmt.Errorf("begin: %w", err)
	}
	if err := u.part(ctx, first, content, 0, partBytes); err != nil {
		return "", fmt.Errorf("first part: %w", err)
	}
	status := u.send(ctx, http.MethodGet, second, "", nil)
	var answered *registryError
	if err := u.part(ctx, second, content, 0, partBytes); !errors.As(err, &answered) || answered.status != http.StatusRequestedRangeNotSatisfiable {
		return "", fmt.Errorf("a part that is there already: %w", err)
	}
	if !strings.Contains(answered.message, fmt.Sprintf("instead of %d", partBytes)) {
		return "", fmt.Errorf("the answer does not tell the byte that is expected: %w", answered)
	}
	if err := u.part(ctx, second, content, partBytes, len(content)); err != nil {
		return "", fmt.Errorf("second part, with another password: %w", err)
	}
	sum := sha256.Sum256(content)
	u.address += "?digest=" + url.QueryEscape("sha256:"+hex.EncodeToString(sum[:]))
	if err := u.send(ctx, http.MethodPut, second, "", nil); err != nil {
		return "", fmt.Errorf("complete: %w", err)
	}
	return fmt.Sprintf("it does; the status of an upload: %v", status), nil
}

// uploading is an upload of the distribution protocol.
type uploading struct{ address string }

func (u *uploading) part(ctx context.Context, l login, content []byte, from, to int) error {
	return u.send(ctx, http.MethodPatch, l, fmt.Sprintf("%d-%d", from, to-1), content[from:to])
}

func (u *uploading) send(ctx context.Context, method string, l login, contentRange string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, method, u.address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.SetBasicAuth(l.user, l.password)
	request.Header.Set("Content-Type", "application/octet-stream")
	if contentRange != "" {
		request.Header.Set("Content-Range", contentRange)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest {
		content, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
		return errors.Join(&registryError{response.StatusCode, string(content)}, err)
	}
	if next, err := response.Location(); err == nil && method != http.MethodPut {
		u.address = next.String()
	}
	return nil
}
