// Package shaped serves HTTP over loopback as slowly as a registry in a cloud answers: a delay before the first byte of
// each answer, and a bound on the bytes a second of each connection.
package shaped

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"golang.org/x/time/rate"
)

// Link is how slow a server is to its clients.
type Link struct {
	// BytesPerSecond bounds each connection in each direction.
	BytesPerSecond int
	// FirstByte is the time until the answer to a request begins.
	FirstByte time.Duration
}

// S3 is about what one connection to Amazon S3 carries within a region.
var S3 = Link{BytesPerSecond: 80e6, FirstByte: 25 * time.Millisecond}

// burstBytes pass at once. It is what a connection sends between two waits.
const burstBytes = 256 << 10

// Server is a server behind a link.
type Server struct {
	listener net.Listener
	server   *http.Server
}

// Serve serves on a free port of 127.0.0.1 until Close.
func Serve(ctx context.Context, link Link, handler http.Handler) (*Server, error) {
	inner, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	s := &Server{listener: &listener{Listener: inner, link: link}}
	s.server = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(link.FirstByte)
			handler.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0), // engines try TLS first
	}
	go func() { _ = s.server.Serve(s.listener) }() // ends with Close
	return s, nil
}

// Address is the server's host and port.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Close ends the server and its connections.
func (s *Server) Close() error { return s.server.Close() }

type listener struct {
	net.Listener
	link Link
}

func (l *listener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	bound := func() *rate.Limiter { return rate.NewLimiter(rate.Limit(l.link.BytesPerSecond), burstBytes) }
	return &conn{Conn: accepted, in: bound(), out: bound()}, nil
}

// conn hides ReadFrom of a TCP connection, which would pass the bounds.
type conn struct {
	net.Conn
	in, out *rate.Limiter
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:min(len(p), burstBytes)])
	if n > 0 {
		_ = c.in.WaitN(context.Background(), n) // n is within the burst
	}
	return n, err
}

func (c *conn) Write(p []byte) (written int, err error) {
	for len(p) > 0 && err == nil {
		part := p[:min(len(p), burstBytes)]
		_ = c.out.WaitN(context.Background(), len(part)) // the part is within the burst
		var n int
		n, err = c.Conn.Write(part)
		written += n
		p = p[n:]
	}
	return written, err
}
