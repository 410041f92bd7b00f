package cache

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/catalog"
	"imagecache.dev/internal/cli"
	kube "imagecache.dev/internal/cluster"
	"imagecache.dev/internal/gitrev"
	"imagecache.dev/internal/hash"
	"imagecache.dev/internal/inspect"
	"imagecache.dev/internal/tempfolder"
)

// Prefixes of the sources of --diff that are not folders.
const (
	gitPrefix    = "git:"
	cachedPrefix = "cached:"
)

// keysOf returns the keys of a workspace, or with --diff also of a commit or a cached image.
func (h *hashCommand) keysOf(ctx context.Context, source string) (*keySet, error) {
	if revision, isCommit := strings.CutPrefix(source, gitPrefix); isCommit && h.diff {
		return h.keysOfCommit(ctx, revision)
	}
	if wanted, isCached := strings.CutPrefix(source, cachedPrefix); isCached && h.diff {
		key, err := h.keyOfCached(ctx, wanted)
		return &keySet{keys: []*hashed{key}}, err
	}
	return h.compute(ctx, source)
}

func (h *hashCommand) keysOfCommit(ctx context.Context, revision string) (*keySet, error) {
	tempfolder.RemoveAbandoned()
	folder, err := tempfolder.New(tempfolder.Commit)
	if err != nil {
		return nil, fmt.Errorf("read commit: %w", err)
	}
	defer func() { _ = folder.Remove() }()
	// Variables, and the project of Docker Compose, have the folder's name.
	name, err := gitrev.FolderName(ctx, ".", revision)
	if err != nil {
		return nil, err
	}
	workspace := filepath.Join(folder.Path, name)
	if err := os.Mkdir(workspace, 0o700); err != nil {
		return nil, fmt.Errorf("read commit: %w", err)
	}
	if err := gitrev.Extract(ctx, ".", revision, workspace); err != nil {
		return nil, err
	}
	return h.compute(ctx, workspace)
}

// keyOfCached returns the key of a cached image from its request or, if the request is removed, from the image.
func (h *hashCommand) keyOfCached(ctx context.Context, wanted string) (*hashed, error) {
	if h.project == "" {
		return nil, cli.UsageError("a cached image belongs to a project: set --project")
	}
	connection, namespace, err := h.cluster.Connect()
	if err != nil {
		return nil, err
	}
	project, err := kube.FindProject(ctx, connection, namespace, h.project)
	if err != nil {
		return nil, err
	}
	requests := &v1alpha1.DevcontainerImageList{}
	if err := connection.List(
		ctx, requests, client.InNamespace(namespace), client.MatchingFields{"spec.projectRef.name": project.Name},
	); err != nil {
		return nil, kube.Describe(err)
	}
	found, err := cachedKey(keysOfRequests(requests.Items), wanted)
	if found != nil || err != nil {
		return found, err
	}
	images, notice, err := inspect.Images(ctx, connection, project, false)
	if err != nil {
		return nil, err
	}
	if found, err = cachedKey(keysOfImages(images), wanted); found != nil || err != nil {
		return found, err
	}
	if notice != "" {
		notice = "; " + notice
	}
	return nil, fmt.Errorf(
		"no request and no cached image of project %s has inputs for a hash that begins with %s%s", project.Name, wanted,
		notice,
	)
}

// cachedKey returns the key of the one hash that begins with wanted, or nil if there is none.
func cachedKey(keys []*hashed, wanted string) (*hashed, error) {
	var found *hashed
	for _, key := range keys {
		if !strings.HasPrefix(key.Hash, wanted) || len(key.Inputs) == 0 {
			continue
		}
		if found != nil && found.Hash != key.Hash {
			return nil, fmt.Errorf("several cached images have a hash that begins with %s; give more characters", wanted)
		}
		found = key
	}
	return found, nil
}

func keysOfRequests(requests []v1alpha1.DevcontainerImage) []*hashed {
	keys := make([]*hashed, 0, len(requests))
	for i := range requests {
		spec := &requests[i].Spec
		keys = append(
			keys,
			&hashed{
				Service: spec.Service, Hash: spec.ConfigHash, Version: hash.Version, Platform: spec.Platform,
				Inputs: toldInputs(spec.Inputs), told: true,
			},
		)
	}
	return keys
}

func keysOfImages(images []catalog.Image) []*hashed {
	keys := make([]*hashed, 0, len(images))
	for _, image := range images {
		key := &hashed{Service: image.Service, Hash: image.Hash, Version: hash.Version, Platform: image.Platform, told: true}
		for _, input := range image.Inputs {
			key.Inputs = append(key.Inputs, hash.Input{Name: input.Name, Digest: input.Digest})
		}
		keys = append(keys, key)
	}
	return keys
}

// toldInputs are inputs from a request: only names and digests.
func toldInputs(told []v1alpha1.KeyInput) []hash.Input {
	inputs := make([]hash.Input, 0, len(told))
	for _, input := range told {
		inputs = append(inputs, hash.Input{Name: input.Name, Digest: input.Digest})
	}
	return inputs
}

// readProject reads the project, and adds its key inputs.
func (h *hashCommand) readProject(ctx context.Context) error {
	if h.project == "" {
		return nil
	}
	connection, namespace, err := h.cluster.Connect()
	if err != nil {
		return err
	}
	project, err := kube.FindProject(ctx, connection, namespace, h.project)
	if err != nil {
		return err
	}
	h.cached = project
	for _, input := range project.Spec.KeyInputs {
		h.options.Inputs = append(h.options.Inputs, string(input))
	}
	return nil
}
