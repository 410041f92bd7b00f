// Package environment brings up the dev container of an environment with the reference CLI: from the image that the
// cache provided, or as if the cache did not exist.
package environment
