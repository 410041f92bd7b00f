package awstag

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
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

// OwnerWithUID returns the value of the tag Owner that names one object and no other of the same name: cluster,
// namespace, name and UID. Nobody knows the UID before the object exists.
func OwnerWithUID(clusterUID, namespace, name, uid string) string {
	object := namespace + "/" + name
	if len(clusterUID)+len(object)+len(uid)+2 > maxValue {
		sum := sha256.Sum256([]byte(object))
		object = hex.EncodeToString(sum[:])
	}
	return clusterUID + "/" + object + "/" + uid
}

// WithoutUID returns what an owner of OwnerWithUID shares with all other objects of the same name.
func WithoutUID(owner string) string {
	return owner[:max(strings.LastIndexByte(owner, '/'), 0)]
}
