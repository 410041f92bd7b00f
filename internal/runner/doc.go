// Package runner is what a runner does to give an environment its dev container image: ask the cache, then pull the
// image, or build it and publish it.
//
// It meets the controller only in the Kubernetes API: it creates a DevcontainerImage, watches its status, and reports
// back into its spec. What to do next is decided by pure functions over that object (decision.go). The cache never stops
// an environment: whatever fails between the request and the image, the image is built here, and the reason is said once.
package runner
