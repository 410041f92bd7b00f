// Package files finds the files that a build takes from a folder, and digests
// them. All access goes through an os.Root.
//
//	Ignored(root, dockerfile)     the ignore rules of a build context
//	Tree.Select(sources)          the entries that sources of a Dockerfile name
//	Tree.All()                    all entries
//	Digest(ctx, root, entries, …) their digests, in parallel
package files
