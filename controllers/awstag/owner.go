package awstag

import (
	"crypto/sha256"
	"encoding/hex"
)

// Tags that the controller sets on the roles and repositories that it creates or adopts.
const (
	// Owner names the object that a role or repository belongs to.
	Owner = "imagecache.dev/owner"
	// Origin reports whether the controller created a repository or adopted it.
	Origin = "imagecache.dev/origin"
)

// maxValue is AWS' limit for the length of a tag's value:
// https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html
const maxValue = 256

// MaxCount is the largest number of tags that a repository or a role can have:
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-using-tags.html
const MaxCount = 50

// OwnerOf returns the value of the tag Owner: cluster, namespace and name. If that is too long, a SHA-256 stands for
// namespace and name.
func OwnerOf(clusterUID, namespace, name string) string {
	object := namespace + "/" + name
	if len(clusterUID)+1+len(object) > maxValue {
		sum := sha256.Sum256([]byte(object))
		object = hex.EncodeToString(sum[:])
	}
	return clusterUID + "/" + object
}
