package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int    `json:"size"`
}

// writeImage makes an OCI layout with one image of one file, and says where it is.
func writeImage(dir, content string) (string, error) {
	blobs := filepath.Join(dir, "blobs", "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		return "", err
	}
	put := func(mediaType string, body []byte) (descriptor, error) {
		sum := sha256.Sum256(body)
		name := hex.EncodeToString(sum[:])
		return descriptor{mediaType, "sha256:" + name, len(body)}, os.WriteFile(filepath.Join(blobs, name), body, 0o644)
	}
	plain, packed, err := layer(content)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(plain)
	config, err := json.Marshal(map[string]any{
		"architecture": "amd64", "os": "linux", "config": map[string]any{"Labels": map[string]string{"made-by": "test-clients"}},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(sum[:])}},
	})
	if err != nil {
		return "", err
	}
	configDescriptor, err := put("application/vnd.oci.image.config.v1+json", config)
	if err != nil {
		return "", err
	}
	layerDescriptor, err := put("application/vnd.oci.image.layer.v1.tar+gzip", packed)
	if err != nil {
		return "", err
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": configDescriptor, "layers": []descriptor{layerDescriptor},
	})
	if err != nil {
		return "", err
	}
	manifestDescriptor, err := put("application/vnd.oci.image.manifest.v1+json", manifest)
	if err != nil {
		return "", err
	}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []any{map[string]any{
		"mediaType": manifestDescriptor.MediaType, "digest": manifestDescriptor.Digest, "size": manifestDescriptor.Size,
		"annotations": map[string]string{"org.opencontainers.image.ref.name": "latest"},
	}}})
	if err != nil {
		return "", err
	}
	for name, body := range map[string][]byte{"index.json": index, "oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)} {
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o644); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// layer is a tar of one file, plain and compressed.
func layer(content string) (plain, packed []byte, err error) {
	var archive, compressed bytes.Buffer
	t := tar.NewWriter(&archive)
	if err := t.WriteHeader(&tar.Header{Name: "hello", Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
		return nil, nil, fmt.Errorf("write layer: %w", err)
	}
	if _, err := t.Write([]byte(content)); err != nil {
		return nil, nil, fmt.Errorf("write layer: %w", err)
	}
	if err := t.Close(); err != nil {
		return nil, nil, fmt.Errorf("write layer: %w", err)
	}
	z := gzip.NewWriter(&compressed)
	if _, err := z.Write(archive.Bytes()); err != nil {
		return nil, nil, fmt.Errorf("compress layer: %w", err)
	}
	if err := z.Close(); err != nil {
		return nil, nil, fmt.Errorf("compress layer: %w", err)
	}
	return archive.Bytes(), compressed.Bytes(), nil
}
