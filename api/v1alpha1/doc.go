// Package v1alpha1 holds the API of the dev container image cache: what a runner's projects share
// (RunnerImageCache), one project's cache (ProjectImageCache) and one environment's request for an image
// (DevcontainerImage).
//
// The API server rejects an invalid object by its schema and CEL rules when it is applied. No webhook exists.
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +groupName=imagecache.dev
package v1alpha1
