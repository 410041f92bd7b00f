package aws

import (
	"context"
	"fmt"
	"io"

	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// PlainBodies hides WriteTo of the requests' bodies, so that no connection is closed under an answer that is being read.
//
// smithy-go closes a request's body as soon as the answer's headers are there, and the body's WriteTo returns io.EOF from
// then on (safeWriteToReadCloser in transport/http/internal/io/safe.go, as of v1.28.9), where io.WriterTo wants nil:
// io.Copy passes it on. net/http writes Content-Length bytes and then copies what is left of the body, to see that there
// is nothing (writeBody in net/http/transfer.go, as of Go 1.26). An answer that comes between these two makes the copy
// fail with io.EOF, and writeLoop in net/http/transport.go closes the connection for it. An answer that has already been
// read into the buffer of 4 KiB survives that; of a longer one the rest fails with "deserialization failed, ... use of
// closed network connection", after the operation took effect. A retry hides it from reads only.
//
// Without WriteTo, io.Copy uses the body's Read, whose io.EOF is an end and no error.
func PlainBodies(stack *middleware.Stack) error {
	plain := middleware.BuildMiddlewareFunc("imagecache:PlainBody",
		func(ctx context.Context, in middleware.BuildInput, next middleware.BuildHandler) (
			middleware.BuildOutput, middleware.Metadata, error,
		) {
			if request, ok := in.Request.(*smithyhttp.Request); ok {
				// The SDK's own bodies all can seek. One that can't is left as it is, for it may know its length.
				if body, ok := request.GetStream().(io.ReadSeeker); ok {
					request, err := request.SetStream(struct{ io.ReadSeeker }{body})
					if err != nil {
						return middleware.BuildOutput{}, middleware.Metadata{}, fmt.Errorf("wrap the request's body: %w", err)
					}
					in.Request = request
				}
			}
			return next.HandleBuild(ctx, in)
		})
	if err := stack.Build.Add(plain, middleware.After); err != nil {
		return fmt.Errorf("install plain bodies: %w", err)
	}
	return nil
}
