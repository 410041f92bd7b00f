// Package hash makes the key of a dev container image: a hash over named
// inputs, of which the devcontainer.json and the Dockerfile are always two.
//
//	Compute(ctx, configuration, Options{…})          the key of a workspace's configuration
//	FromContents(devcontainerJSON, dockerfile, …)    the same from the two contents alone
//	Sum(platform, inputs)                             the hash of a list of inputs
//	Diff(a, b)                                       which inputs differ
//
// With default options the hash depends on nothing but the platform and the
// bytes of the two files; it is the same on every machine, in any folder, at
// any time. docs/hash.md specifies it.
package hash
