package dashboard

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/cert"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/internal/dashboard/access"
	"imagecache.dev/internal/dashboard/gate"
	"imagecache.dev/internal/dashboard/page"
	"imagecache.dev/internal/dashboard/prometheus"
	"imagecache.dev/internal/dashboard/store"
)

// stopTimeout is how long requests may take to end when the dashboard ends. Streams of events end at once.
const stopTimeout = 3 * time.Second

// Options of a dashboard.
type Options struct {
	Config *rest.Config
	Client client.WithWatch
	// Namespace is the one that is shown, "" for all.
	Namespace string
	ReadOnly  bool
	// Prometheus is the address of one, "" for none.
	Prometheus string
}

// Local serves a dashboard for the user of the configuration, on a port of loopback, until ctx ends. A port of 0 is a
// random one. It calls opened with the address, which holds the token, and with one for the browser, which opens it
// once.
func Local(ctx context.Context, options Options, port int, opened func(address, once string)) error {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return fmt.Errorf("listen on loopback: %w", err)
	}
	guard, err := gate.NewLoopback(listener.Addr())
	if err != nil {
		return err
	}
	person, err := access.NewPerson(ctx, options.Config, options.Client)
	if err != nil {
		return err
	}
	pages, held, err := options.pages(guard.Base, true)
	if err != nil {
		return err
	}
	handler := pages.Handler()
	own := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r.WithContext(gate.WithViewer(r.Context(), person)))
	})
	return serve(ctx, options, held, listener, guard.Wrap(own), func() { opened(guard.Address(), guard.Ticket()) })
}

// InCluster serves a dashboard over TLS for all callers whose token the cluster accepts, until ctx ends. Without a
// certificate it makes one for itself.
func InCluster(
	ctx context.Context, options Options, address string, certificate *tls.Certificate, opened func(),
) error {
	if certificate == nil {
		made, err := selfSigned()
		if err != nil {
			return err
		}
		certificate = made
	}
	listener, err := tls.Listen("tcp", address, &tls.Config{
		Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"}, // in HTTP/2 the streams of many tabs share a connection
	})
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	callers, err := access.NewCallers(options.Config)
	if err != nil {
		return err
	}
	pages, held, err := options.pages("/", false)
	if err != nil {
		return err
	}
	guard := gate.NewCallers(func(ctx context.Context, token string) (access.Viewer, error) {
		return callers.Authenticate(ctx, token)
	}, pages.Login)
	probed := http.NewServeMux()
	probed.Handle("/", guard.Wrap(pages.Handler()))
	probed.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	return serve(ctx, options, held, listener, probed, opened)
}

// pages makes the pages and their store.
func (o *Options) pages(base string, personal bool) (*page.Pages, *store.Store, error) {
	held := store.New()
	settings := page.Options{
		Store: held, Namespace: o.Namespace, Base: base, ReadOnly: o.ReadOnly, AWS: personal, Sessions: !personal,
		Now: time.Now,
	}
	if o.Prometheus != "" {
		reader, err := prometheus.New(o.Prometheus)
		if err != nil {
			return nil, nil, err
		}
		settings.Days = reader.Days
	}
	return page.New(settings), held, nil
}

// serve serves and watches until ctx ends, and then lets open requests end.
func serve(
	ctx context.Context, options Options, held *store.Store, listener net.Listener, handler http.Handler, opened func(),
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var watches sync.WaitGroup
	watches.Go(func() { held.Run(ctx, options.Client, options.Namespace) })
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    log.New(io.Discard, "", 0),
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		shutdown, done := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer done()
		stopped <- server.Shutdown(shutdown)
	}()
	opened()
	err := server.Serve(listener)
	cancel()
	watches.Wait()
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve dashboard: %w", err)
	}
	if err := <-stopped; err != nil {
		_ = server.Close() // requests that did not end in time
	}
	return nil
}

// selfSigned makes a certificate that proves nothing, for a dashboard behind a proxy that does not check it.
func selfSigned() (*tls.Certificate, error) {
	chain, key, err := cert.GenerateSelfSignedCertKey(
		"imagecache-dashboard", []net.IP{net.IPv4(127, 0, 0, 1)}, []string{"localhost"},
	)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	made, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("make certificate: %w", err)
	}
	return &made, nil
}
