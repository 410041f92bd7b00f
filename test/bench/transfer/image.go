package transfer

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"
)

// imageLayers are Debian packages, a list for each layer: together about 1 GB unpacked, many small files, and one fat
// layer. They are unpacked and not installed, so no dependency is needed. Changing a list makes the image anew.
var imageLayers = [][]string{
	{"coreutils", "bash", "libc6", "perl-modules-5.36", "libperl5.36", "libpython3.11-stdlib", "git", "vim-runtime", "libicu72"},
	{"golang-1.19-go", "golang-1.19-src"},
	{"gcc-12", "cpp-12", "g++-12", "libstdc++-12-dev", "libgcc-12-dev", "libc6-dev", "linux-libc-dev"},
	{"libboost1.74-dev"},
	{"libnode108", "node-typescript"},
	{"cmake", "cmake-data", "manpages-dev"},
}

// cacheFolder keeps the image between runs, below the folder in which make runs the benchmarks.
const cacheFolder = "bin/bench-transfer"

// storedLayer is a layer in the cache folder: plain as a tar file, and as the gzip file that an engine would push.
type storedLayer struct {
	Plain, Gzip     string
	DiffID, Digest  v1.Hash
	PlainSize, Size int64
}

// debianImage returns the layers of the image, which it makes once: about 2 minutes.
func debianImage(ctx context.Context) ([]storedLayer, error) {
	list, err := json.Marshal(imageLayers)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(list)
	folder := filepath.Join(cacheFolder, hex.EncodeToString(sum[:6]))
	index := filepath.Join(folder, "layers.json")
	var layers []storedLayer
	content, err := os.ReadFile(index)
	if err == nil {
		err = json.Unmarshal(content, &layers)
	}
	if err == nil {
		return layers, nil
	}
	if err := errors.Join(os.RemoveAll(cacheFolder), os.MkdirAll(folder, 0o755)); err != nil {
		return nil, fmt.Errorf("make image: %w", err)
	}
	fmt.Fprintln(os.Stderr, "    making an image of Debian packages, once ...")
	layers = make([]storedLayer, len(imageLayers))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(2)
	for n, packages := range imageLayers {
		group.Go(func() (err error) {
			layers[n], err = makeLayer(ctx, filepath.Join(folder, fmt.Sprintf("layer-%d", n+1)), packages)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("make image: %w", err)
	}
	if content, err = json.MarshalIndent(layers, "", "  "); err != nil {
		return nil, fmt.Errorf("make image: %w", err)
	}
	return layers, os.WriteFile(index, content, 0o600)
}

// makeLayer writes a layer of Debian packages, plain and compressed as docker compresses.
func makeLayer(ctx context.Context, file string, packages []string) (layer storedLayer, err error) {
	downloads, err := os.MkdirTemp(filepath.Dir(file), "packages-")
	if err != nil {
		return layer, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(downloads)) }()
	if err := download(ctx, downloads, packages); err != nil {
		return layer, err
	}
	layer.Plain, layer.Gzip = file+".tar", file+".tar.gz"
	plain, err := newHashedFile(layer.Plain)
	if err != nil {
		return layer, err
	}
	packed, err := newHashedFile(layer.Gzip)
	if err != nil {
		return layer, err
	}
	compressor := gzip.NewWriter(packed)
	out := tar.NewWriter(io.MultiWriter(plain, compressor))
	debs, err := filepath.Glob(filepath.Join(downloads, "*.deb"))
	if err != nil {
		return layer, err
	}
	written := map[string]bool{}
	for _, deb := range debs {
		if err := appendPackage(ctx, out, deb, written); err != nil {
			return layer, fmt.Errorf("unpack %s: %w", filepath.Base(deb), err)
		}
	}
	if err := errors.Join(out.Close(), compressor.Close(), plain.file.Close(), packed.file.Close()); err != nil {
		return layer, err
	}
	layer.DiffID, layer.PlainSize = plain.sum()
	layer.Digest, layer.Size = packed.sum()
	return layer, nil
}

// updating is held while the lists of packages are refreshed: old ones name packages that are gone.
var updating sync.Mutex

// download gets Debian packages into a folder.
func download(ctx context.Context, folder string, packages []string) error {
	get := func() ([]byte, error) {
		arguments := append([]string{"download", "-q", "-o", "APT::Sandbox::User=root"}, packages...)
		command := exec.CommandContext(ctx, "apt-get", arguments...)
		command.Dir = folder
		return command.CombinedOutput()
	}
	if _, err := get(); err == nil {
		return nil
	}
	updating.Lock()
	defer updating.Unlock()
	said, err := get()
	if err != nil {
		_ = exec.CommandContext(ctx, "apt-get", "update", "-q").Run()
		said, err = get()
	}
	if err != nil {
		return fmt.Errorf("get packages of Debian 12: %w: %s", err, said)
	}
	return nil
}

// appendPackage adds the files of a package, except those that are written: engines refuse a layer that has a path twice.
func appendPackage(ctx context.Context, out *tar.Writer, deb string, written map[string]bool) (err error) {
	unpack := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	content, err := unpack.StdoutPipe()
	if err != nil {
		return err
	}
	if err := unpack.Start(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unpack.Wait()) }()
	for reader := tar.NewReader(content); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, content)
			return err
		}
		if err != nil {
			return err
		}
		if written[path.Clean(header.Name)] {
			continue
		}
		written[path.Clean(header.Name)] = true
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.Copy(out, reader); err != nil {
			return err
		}
	}
}

// plainFiles are the layers' tar files.
func plainFiles(layers []storedLayer) []string {
	var files []string
	for _, layer := range layers {
		files = append(files, layer.Plain)
	}
	return files
}

// configOf returns a configuration of an image with these layers.
func configOf(layers []storedLayer) ([]byte, error) {
	config := v1.ConfigFile{
		OS: "linux", Architecture: "amd64", RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}, Cmd: []string{"bash"}},
	}
	for n, layer := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, layer.DiffID)
		config.History = append(config.History, v1.History{CreatedBy: "unpack " + strings.Join(slices.Clone(imageLayers[n]), " ")})
	}
	return json.Marshal(config)
}

// hashedFile is a file that is being written, with its SHA-256.
type hashedFile struct {
	io.Writer
	file  *os.File
	total func() (v1.Hash, int64)
}

func newHashedFile(name string) (*hashedFile, error) {
	file, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	return &hashedFile{Writer: io.MultiWriter(file, sum), file: file, total: func() (v1.Hash, int64) {
		info, err := os.Stat(name)
		if err != nil {
			return v1.Hash{}, 0
		}
		return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum.Sum(nil))}, info.Size()
	}}, nil
}

func (f *hashedFile) sum() (v1.Hash, int64) { return f.total() }
