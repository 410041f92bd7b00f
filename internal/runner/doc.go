// Package runner does what a runner does to provide an environment with its dev container image: it asks the cache,
// and then pulls the image, or builds and publishes it.
//
// It talks to the controller only through the Kubernetes API: it creates a DevcontainerImage, watches its status, and
// writes reports into its spec. Pure functions over that object decide what to do next (decision.go). The cache never
// stops an environment: if anything fails between the request and the image, the runner builds the image here and
// prints the reason once.
package runner
