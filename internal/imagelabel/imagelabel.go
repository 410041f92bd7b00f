// Package imagelabel names the labels that a published image carries in its configuration. The runner writes them after
// the build, and the controller checks them before it publishes the image and before it hands it out.
package imagelabel

// Labels of a published image.
const (
	// Hash is the configuration hash, 64 lowercase hex characters; it equals the image's tag.
	Hash = "dev.imagecache.hash"
	// Version is the version of the hash, a decimal number.
	Version = "dev.imagecache.version"
	// UID is the UID of the DevcontainerImage that the image was built for. It gives every publication a digest of its own.
	UID = "dev.imagecache.uid"
	// BuildSeconds is how long the build took, in whole seconds: what a later hit saves.
	BuildSeconds = "dev.imagecache.build-seconds"
	// Environment is the ID of the environment whose creation built the image.
	Environment = "dev.imagecache.environment"
)
