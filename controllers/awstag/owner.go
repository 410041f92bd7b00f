package awstag

import (
	"crypto/sha256"
	"encoding/hex"
)

// Tags that the controller sets on what it makes in AWS.
const (
	// Owner names the object that a role or repository belongs to.
	Owner = "imagecache.dev/owner"
	// Origin says whether the controller made a repository or took it over.
	Origin = "imagecache.dev/origin"
)

// maxValue is AWS' bound on a tag's value: https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html
const maxValue = 256

// MaxCount is how many tags a repository or a role can have:
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-using-tags.html
const MaxCount = 50

// OwnerOf returns the value of the tag Owner: cluster, namespace and name. It hashes an object whose name is too long.
func OwnerOf(clusterUID, namespace, name string) string {
	object := namespace + "/" + name
	if len(clusterUID)+1+len(object) > maxValue {
		sum := sha256.Sum256([]byte(object))
		object = hex.EncodeToString(sum[:])
	}
	return clusterUID + "/" + object
}
