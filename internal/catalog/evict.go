package catalog

// AnnotationEvict on a ProjectImageCache names hashes, separated by commas, whose images the controller is to remove
// from the repository. It takes each out of the annotation when its image is gone.
const AnnotationEvict = "imagecache.dev/evict"
