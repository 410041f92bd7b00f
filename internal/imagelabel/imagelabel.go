// Package imagelabel names the labels that a published image carries in its configuration, and the annotations of its
// manifest. The runner writes the labels after the build, and the controller checks them before it publishes the
// image and before it hands it out. The annotations are the controller's own.
package imagelabel

// Labels of a published image.
const (
	// Hash is the configuration hash, 64 lowercase hex characters; it equals the image's tag.
	Hash = "dev.imagecache.hash"
	// Version is the version of the hash, a decimal number.
	Version = "dev.imagecache.version"
	// UID is the UID of the DevcontainerImage that the image was built for. It gives every publication a digest of its
	// own.
	UID = "dev.imagecache.uid"
	// BuildSeconds is how long the image takes to build, in whole seconds: what a later hit saves.
	BuildSeconds = "dev.imagecache.build-seconds"
	// Environment is the ID of the environment whose creation built the image.
	Environment = "dev.imagecache.environment"
)

// Annotations of a published image's manifest: the signed statement, and for explaining other environments' misses
// Hash, Version, BuildSeconds and Environment, as above, and Inputs and Platform. The controller writes them when it
// publishes, from the builder's request; a report that has one of them is refused.
const (
	// Inputs are the inputs of the hash with their digests: a JSON list of objects with name and digest.
	Inputs = "dev.imagecache.inputs"
	// Trigger is the trigger of the request that the image was built for.
	Trigger = "dev.imagecache.trigger"
	// Service is the Docker Compose service that the image is of. Images of other configurations have none.
	Service = "dev.imagecache.service"
	// Platform is the platform that the image was asked for, as linux/amd64.
	Platform = "dev.imagecache.platform"
	// UncompressedBytes is how many bytes a layer has when it is decompressed, a decimal number. It is an annotation of
	// the layer, and the only one of ours that a report may have: only the runner knows the number. A wrong number fails
	// a pull, and the digest of the decompressed layer is in the configuration.
	UncompressedBytes = "dev.imagecache.uncompressed-bytes"
	// Provenance is the signed statement about the image: a DSSE envelope as JSON. It decides what is a hit.
	Provenance = "dev.imagecache.provenance"
	// Prefix begins all of our labels and annotations.
	Prefix = "dev.imagecache."
)
