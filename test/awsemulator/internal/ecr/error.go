package ecr

import (
	"net/http"
	"strconv"

	"imagecache.dev/test/awsemulator/internal/apierror"
)

// Errors of the API, with the words that ECR uses, and what the distribution protocol calls them.
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutImage.html#API_PutImage_Errors and the like

func registryError(status int, registryCode, code, format string, args ...any) error {
	e := apierror.New(code, format, args...)
	e.RegistryCode, e.RegistryStatus = registryCode, status
	return e
}

func invalid(format string, args ...any) error {
	return registryError(http.StatusBadRequest, "UNSUPPORTED", "InvalidParameterException", format, args...)
}

func repositoryNotFound(name, registryID string) error {
	return registryError(http.StatusNotFound, "NAME_UNKNOWN", "RepositoryNotFoundException",
		"The repository with name '%s' does not exist in the registry with id '%s'", name, registryID)
}

func imageNotFound(what, repo, registryID string) error {
	return registryError(http.StatusNotFound, "MANIFEST_UNKNOWN", "ImageNotFoundException",
		"The image with imageId %s does not exist within the repository with name '%s' in the registry with id '%s'", what, repo, registryID)
}

func tagImmutable(tag, repo string) error {
	return registryError(http.StatusBadRequest, "TAG_INVALID", "ImageTagAlreadyExistsException",
		"The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the tag is immutable.", tag, repo)
}

func imageExists(digest, tag, repo, registryID string) error {
	if tag == "" {
		tag = "null"
	}
	return apierror.New("ImageAlreadyExistsException",
		"Image with digest '%s' and tag '%s' already exists in the repository with name '%s' in registry with id '%s'", digest, tag, repo, registryID)
}

func layersNotFound(digests []string, repo, registryID string) error {
	list := ""
	for i, d := range digests {
		if i > 0 {
			list += ", "
		}
		list += d
	}
	return registryError(http.StatusNotFound, "BLOB_UNKNOWN", "LayersNotFoundException",
		"Layers with digests '[%s]' required for pushing image into repository with name '%s' in the registry with id '%s' do not exist", list, repo, registryID)
}

func uploadNotFound(id, repo, registryID string) error {
	return registryError(http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "UploadNotFoundException",
		"The upload with id '%s' in the repository with name '%s' in the registry with id '%s' does not exist", id, repo, registryID)
}

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }
