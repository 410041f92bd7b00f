// Package awsemulator measures the AWS emulator: how soon it serves, how fast it answers, how much memory a large account takes.
package awsemulator

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"imagecache.dev/test/awsemulator"
	"imagecache.dev/test/bench/figure"
)

// The size of the account whose memory is measured.
const (
	repositories = 10_000
	images       = 100_000
)

// Goals of the emulator: a test must never wait for it, nor its machine run out of memory.
const (
	goalStartSeconds      = 0.5
	goalDescribePerSecond = 3_000
	goalMegabytes         = 500
)

// clients call at once when throughput is measured. They share the machine's processors with the emulator.
const clients = 8

// Run measures. It takes about a minute.
func Run(ctx context.Context) ([]figure.Figure, error) {
	var figures []figure.Figure
	for _, measure := range []func(context.Context) (figure.Figure, error){start, throughput, memory} {
		f, err := measure(ctx)
		if err != nil {
			return figures, err
		}
		figures = append(figures, f)
	}
	return figures, nil
}

func client(s *awsemulator.Server) *ecr.Client {
	return ecr.New(ecr.Options{
		Region: s.Region(), BaseEndpoint: aws.String(s.URL()),
		Credentials: credentials.NewStaticCredentialsProvider(s.AccessKeyID(), s.SecretAccessKey(), ""),
	})
}

// start is the time from Start to the first answered call.
func start(ctx context.Context) (figure.Figure, error) {
	began := time.Now()
	s, err := awsemulator.Start(awsemulator.Options{})
	if err != nil {
		return figure.Figure{}, err
	}
	defer func() { _ = s.Close() }()
	if _, err := client(s).DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{}); err != nil {
		return figure.Figure{}, fmt.Errorf("first call: %w", err)
	}
	return figure.Figure{
		Name: "emulator: start to first answer", Value: time.Since(began).Seconds(), Unit: "s", Goal: goalStartSeconds, Better: figure.Lower,
	}, nil
}

// throughput is how many DescribeRepositories of one repository are answered in a second.
func throughput(ctx context.Context) (figure.Figure, error) {
	s, err := awsemulator.Start(awsemulator.Options{})
	if err != nil {
		return figure.Figure{}, err
	}
	defer func() { _ = s.Close() }()
	c := client(s)
	for i := range 100 {
		if err := create(ctx, c, i); err != nil {
			return figure.Figure{}, err
		}
	}
	call, err := signed(ctx, s, repositoryName(42))
	if err != nil {
		return figure.Figure{}, err
	}
	const long = 3 * time.Second
	var n atomic.Int64
	errs := make(chan error, clients)
	began := time.Now()
	for range clients {
		go func() {
			for time.Since(began) < long {
				if err := call(); err != nil {
					errs <- err
					return
				}
				n.Add(1)
			}
			errs <- nil
		}()
	}
	for range clients {
		if err := <-errs; err != nil {
			return figure.Figure{}, fmt.Errorf("call while measuring: %w", err)
		}
	}
	return figure.Figure{
		Name: "emulator: DescribeRepositories a second", Value: float64(n.Load()) / time.Since(began).Seconds(), Unit: "calls/s",
		Goal: goalDescribePerSecond, Better: figure.Higher,
	}, nil
}

// memory is what the heap grows by when the account is filled through the API.
func memory(ctx context.Context) (figure.Figure, error) {
	before := heap()
	s, err := awsemulator.Start(awsemulator.Options{})
	if err != nil {
		return figure.Figure{}, err
	}
	defer func() { _ = s.Close() }()
	if err := fill(ctx, s); err != nil {
		return figure.Figure{}, err
	}
	used := heap() - before
	runtime.KeepAlive(s)
	return figure.Figure{
		Name:  fmt.Sprintf("emulator: memory of %d repositories and %d images", repositories, images),
		Value: float64(used) / 1e6, Unit: "MB", Goal: goalMegabytes, Better: figure.Lower,
	}, nil
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func repositoryName(i int) string {
	return fmt.Sprintf("gitpod-runner-0193e2b4/projects/project-%05d/image-build", i)
}

func create(ctx context.Context, c *ecr.Client, i int) error {
	name := repositoryName(i)
	if _, err := c.CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &name}); err != nil {
		return fmt.Errorf("create repository %d: %w", i, err)
	}
	return nil
}

// fill makes repositories with images that share the layers of their repository, as builds of one project do.
func fill(ctx context.Context, s *awsemulator.Server) error {
	const workers = 4
	c := client(s)
	var group sync.WaitGroup
	errs := make(chan error, workers)
	for w := range workers {
		group.Go(func() {
			for i := w; i < repositories; i += workers {
				if err := fillOne(ctx, c, i); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	group.Wait()
	close(errs)
	return <-errs
}

func fillOne(ctx context.Context, c *ecr.Client, i int) error {
	if err := create(ctx, c, i); err != nil {
		return err
	}
	name := repositoryName(i)
	layer := []byte("layer of " + name)
	if err := upload(ctx, c, name, layer); err != nil {
		return err
	}
	for n := range images / repositories {
		manifest := manifestOf(layer, n)
		tag := digest([]byte(manifest))[len("sha256:"):]
		if _, err := c.PutImage(ctx, &ecr.PutImageInput{RepositoryName: &name, ImageManifest: &manifest, ImageTag: &tag}); err != nil {
			return fmt.Errorf("put image %d of repository %d: %w", n, i, err)
		}
	}
	return nil
}

func upload(ctx context.Context, c *ecr.Client, name string, layer []byte) error {
	up, err := c.InitiateLayerUpload(ctx, &ecr.InitiateLayerUploadInput{RepositoryName: &name})
	if err != nil {
		return fmt.Errorf("initiate layer upload: %w", err)
	}
	last := int64(len(layer)) - 1
	if _, err := c.UploadLayerPart(ctx, &ecr.UploadLayerPartInput{
		RepositoryName: &name, UploadId: up.UploadId, LayerPartBlob: layer, PartFirstByte: aws.Int64(0), PartLastByte: &last,
	}); err != nil {
		return fmt.Errorf("upload layer part: %w", err)
	}
	if _, err := c.CompleteLayerUpload(ctx, &ecr.CompleteLayerUploadInput{RepositoryName: &name, UploadId: up.UploadId, LayerDigests: []string{digest(layer)}}); err != nil {
		return fmt.Errorf("complete layer upload: %w", err)
	}
	return nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// manifestOf is about as long as the manifest of a dev container's image with ten layers.
func manifestOf(layer []byte, n int) string {
	one := fmt.Sprintf(`{"mediaType":"application/vnd.docker.image.rootfs.diff.tar.gzip","size":%d,"digest":%q}`, len(layer), digest(layer))
	layers := one
	for range 9 {
		layers += "," + one
	}
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":%d,"digest":%q},"layers":[%s],"annotations":{"n":"%d"}}`,
		len(layer), digest(layer), layers, n)
}
