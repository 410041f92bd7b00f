package aws

import (
	"context"
	"fmt"
	"io"

	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// PlainBodies hides WriteTo of the requests' bodies. Without that, an early answer would close the connection while
// its body is being read.
//
// smithy-go closes a request's body when the answer's headers arrive. From then on the body's WriteTo returns io.EOF
// (safeWriteToReadCloser in transport/http/internal/io/safe.go, as of v1.28.9), although io.WriterTo requires nil.
// io.Copy returns that error. net/http writes Content-Length bytes and then copies the rest of the body, to check
// that it is empty (writeBody in net/http/transfer.go, as of Go 1.26). If an answer arrives between these two, the
// copy fails with io.EOF, and writeLoop in net/http/transport.go closes the connection. An answer that is already in
// the buffer of 4 KiB survives. The rest of a longer answer fails with "deserialization failed, ... use of closed
// network connection", after the operation took effect. Only for reads does a retry hide that.
//
// Without WriteTo, io.Copy uses the body's Read, whose io.EOF is an end and not an error.
func PlainBodies(stack *middleware.Stack) error {
	plain := middleware.BuildMiddlewareFunc("imagecache:PlainBody",
		func(ctx context.Context, in middleware.BuildInput, next middleware.BuildHandler) (
			middleware.BuildOutput, middleware.Metadata, error,
		) {
			if request, ok := in.Request.(*smithyhttp.Request); ok {
				// All of the SDK's own bodies can seek. Another body stays unchanged, because it may know its length.
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
