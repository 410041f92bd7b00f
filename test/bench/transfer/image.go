package transfer

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// programsImage makes an image of what is there on every machine that runs the benchmarks: a layer of each program of
// Kubernetes. They compress as programs in images do.
func programsImage(dir string) (v1.Image, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make folder: %w", err)
	}
	programs, err := filepath.Glob(filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "*"))
	if err != nil || len(programs) == 0 {
		return nil, errors.Join(errors.New("KUBEBUILDER_ASSETS names no folder with programs"), err)
	}
	image := empty.Image
	for _, program := range programs {
		file := filepath.Join(dir, filepath.Base(program)+".tar")
		if err := archive(file, program); err != nil {
			return nil, fmt.Errorf("make layer: %w", err)
		}
		layer, err := tarball.LayerFromFile(file)
		if err != nil {
			return nil, fmt.Errorf("make layer: %w", err)
		}
		if image, err = mutate.AppendLayers(image, layer); err != nil {
			return nil, fmt.Errorf("make image: %w", err)
		}
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("make image: %w", err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	return mutate.ConfigFile(image, config)
}

// archive writes a program into a tar file.
func archive(file, program string) (err error) {
	in, err := os.Open(program)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	writer := tar.NewWriter(out)
	header := &tar.Header{Name: "bin/" + filepath.Base(program), Typeflag: tar.TypeReg, Mode: 0o755, Size: info.Size()}
	if err := writer.WriteHeader(header); err != nil {
		return err
	}
	if _, err := io.Copy(writer, in); err != nil {
		return err
	}
	return writer.Close()
}

func podman(ctx context.Context, args ...string) error {
	if output, err := exec.CommandContext(ctx, "podman", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("podman %s: %w: %s", args[0], err, strings.TrimSpace(string(output)))
	}
	return nil
}
