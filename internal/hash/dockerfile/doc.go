// Package dockerfile says what a Dockerfile takes from outside of itself:
// files of its build context, images, and remote sources. It follows BuildKit
// (github.com/moby/buildkit/frontend/dockerfile), whose parser it uses:
// arguments and variables are expanded, heredocs and stages that the target
// does not reach are left out.
//
//	Analyze(contents, Options{…}) → Recipe
//
// Where a value can't be known from the Dockerfile alone, as a variable that
// the base image may set, the recipe says that the whole context is used:
// never less than a build reads.
package dockerfile
