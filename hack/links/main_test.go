package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"
)

func TestCheckFindsLinksThatLeadNowhere(t *testing.T) {
	tree := fstest.MapFS{
		"README.md": {Data: []byte("# Name\n\n[a](docs/a.md) [b](docs/a.md#two-words) [c](docs) [d](https://example.com/x)\n" +
			"[gone](docs/gone.md) [section](docs/a.md#gone) `internal/ecr` `internal/gone` `internal/...`\n\n" +
			"```sh\n[not a link](nowhere)\n```\n")},
		"docs/a.md": {Data: []byte("# A\n\n## Two `words`\n\n## Twice\n\n## Twice\n\n[up](../README.md#name) [x](#twice-1) [y](#twice-2)\n" +
			"`[not a link](nowhere)`\n")},
		"docs/adr/1.md":          {Data: []byte("`internal/gone` was removed. [gone](../gone.md)\n")},
		"docs/architecture.md":   {Data: []byte("[`ecr`](../internal/ecr)\n")},
		"internal/ecr/x.go":      {},
		"internal/iam/x.go":      {},
		"internal/sts/x_test.go": {},
	}
	var files []string
	for file := range tree {
		files = append(files, file)
	}
	slices.Sort(files)
	got, err := check(tree, files)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"README.md:4: internal/gone does not exist",
		"README.md:4: the link docs/gone.md leads to docs/gone.md, which does not exist",
		"README.md:4: the link docs/a.md#gone leads to a heading that docs/a.md does not have",
		"docs/a.md:9: the link #twice-2 leads to a heading that docs/a.md does not have",
		"docs/adr/1.md:1: the link ../gone.md leads to docs/gone.md, which does not exist",
		"docs/architecture.md: no link to the package internal/iam",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestLinksOfThisProject checks the pages of this project.
func TestLinksOfThisProject(t *testing.T) {
	root := filepath.Join("..", "..")
	files, err := tracked(root)
	if err != nil {
		t.Skipf("the tree is not a git work tree: %v", err)
	}
	faults, err := check(os.DirFS(root), files)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range faults {
		t.Error(fault)
	}
}
