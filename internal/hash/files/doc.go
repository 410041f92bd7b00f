// Package files finds the files that a build takes from a folder, and digests
// them. All access goes through an os.Root.
//
//	ReadIgnore(root)                         the ignore rules of a build context
//	tree := NewTree(ctx, root, ignore, limits)
//	tree.Take(source)                        adds what a source of a Dockerfile names
//	entries, err := tree.Finish()            all of it, with digests
package files
