package ecr

import (
	"slices"
	"time"

	"imagecache.dev/test/awsemulator/internal/caller"
)

// archive makes an image one that can't be pulled.
func (p *repository) archive(img *image, now time.Time) {
	if img.archived.IsZero() {
		img.archived = now
		p.archived++
	}
}

// restore makes an archived image active again.
func (p *repository) restore(img *image, now time.Time) {
	if !img.archived.IsZero() {
		img.archived, img.activated = time.Time{}, now
		p.archived--
	}
}

// availability tells whether a layer can be used: one that only archived images name can't, until it is uploaded again.
func (p *repository) availability(digest string) string {
	l := p.layers[digest]
	if p.archived == 0 || l.refs == 0 || l.again {
		return "AVAILABLE"
	}
	for _, img := range p.images {
		if img.archived.IsZero() && slices.Contains(img.layers, digest) {
			return "AVAILABLE"
		}
	}
	return "ARCHIVED"
}

type storageClassIn struct {
	RegistryID     string  `json:"registryId"`
	RepositoryName string  `json:"repositoryName"`
	ImageID        imageID `json:"imageId"`
	Target         string  `json:"targetStorageClass"`
}

type storageClassOut struct {
	RegistryID     string  `json:"registryId"`
	RepositoryName string  `json:"repositoryName"`
	ImageID        imageID `json:"imageId"`
	Status         string  `json:"imageStatus"`
}

// updateImageStorageClass archives an image or restores it. Restoring takes no time here.
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_UpdateImageStorageClass.html
func (r *Registry) updateImageStorageClass(c *caller.Caller, in *storageClassIn) (*storageClassOut, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.open(c, "UpdateImageStorageClass", in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	img, code, reason := p.find(in.ImageID)
	switch {
	case code == "ImageNotFound" || code == "ImageTagDoesNotMatchDigest":
		return nil, imageNotFound(in.ImageID.String(), p.name, r.settings.Account)
	case code != "":
		return nil, invalid("%s", reason)
	}
	switch in.Target {
	case "ARCHIVE":
		p.archive(img, c.Now)
	case "STANDARD":
		p.restore(img, c.Now)
	default:
		return nil, invalid("Invalid parameter at 'targetStorageClass' failed to satisfy constraint: 'must be one of STANDARD, ARCHIVE'")
	}
	return &storageClassOut{r.settings.Account, p.name, imageID{img.digest, in.ImageID.Tag}, img.status()}, nil
}
