// Package v1alpha1 holds the API of the dev container image cache: what a runner's projects share
// (RunnerImageCache), one project's cache (ProjectImageCache) and one environment's request for an image
// (DevcontainerImage).
//
// A bad object is refused by the schema and its CEL rules when it is applied; there is no webhook.
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +groupName=imagecache.dev
package v1alpha1
