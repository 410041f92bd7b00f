package engine

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// hubName is the file with the address of the registry that dockerd asks before Docker Hub, as host:port.
const hubName = "hub"

// serveHub serves an empty registry, in this process's memory and until it ends, and returns its URL. dockerd asks
// mirrors of Docker Hub without a login, and those on loopback over plain HTTP.
//
// https://docs.docker.com/docker-hub/image-library/mirror/
func serveHub(dir string) (url string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("serve images of Docker Hub: %w", err)
	}
	host := listener.Addr().String()
	if err := os.WriteFile(filepath.Join(dir, hubName), []byte(host), 0o600); err != nil {
		return "", fmt.Errorf("serve images of Docker Hub: %w", err)
	}
	server := http.Server{
		Handler:           registry.New(registry.Logger(log.New(io.Discard, "", 0))),
		ReadHeaderTimeout: time.Minute,
	}
	go func() { _ = server.Serve(listener) }()
	return "http://" + host, nil
}

// fillHub pushes images to the registry that the keeper serves.
func fillHub(ctx context.Context, dir string, images map[string]v1.Image) error {
	if len(images) == 0 {
		return nil
	}
	host, err := os.ReadFile(filepath.Join(dir, hubName))
	if err != nil {
		return fmt.Errorf("find the registry with Docker Hub's images: %w", err)
	}
	for tag, image := range images {
		official, err := name.NewTag(tag, name.WithDefaultRegistry(name.DefaultRegistry))
		if err != nil {
			return fmt.Errorf("push %s: %w", tag, err)
		}
		own, err := name.NewTag(fmt.Sprintf("%s/%s:%s", host, official.RepositoryStr(), official.TagStr()), name.Insecure)
		if err != nil {
			return fmt.Errorf("push %s: %w", tag, err)
		}
		if err := remote.Write(own, image, remote.WithContext(ctx)); err != nil {
			return fmt.Errorf("push %s: %w", tag, err)
		}
	}
	return nil
}
