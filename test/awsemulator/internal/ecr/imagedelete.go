package ecr

import (
	"imagecache.dev/test/awsemulator/internal/caller"
)

type batchDeleteImageIn struct {
	RegistryID     string    `json:"registryId"`
	RepositoryName string    `json:"repositoryName"`
	ImageIDs       []imageID `json:"imageIds"`
}

type batchDeleteImageOut struct {
	ImageIDs []imageID      `json:"imageIds"`
	Failures []imageFailure `json:"failures"`

	removed []imageID // a tag, or a digest with all its tags
}

// batchDeleteImage by tag removes the tag, and the image with its last tag; by digest the image with all its tags.
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchDeleteImage.html
func (r *Registry) batchDeleteImage(c *caller.Caller, in *batchDeleteImageIn) (*batchDeleteImageOut, error) {
	out, err := r.removeImages(c, in)
	if err == nil {
		r.replicateDeletion(in.RepositoryName, out.removed)
	}
	return out, err
}

// removeImages also answers what a destination of replication removes.
func (r *Registry) removeImages(c *caller.Caller, in *batchDeleteImageIn) (*batchDeleteImageOut, error) {
	if err := checkIDs(len(in.ImageIDs)); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.open(c, "BatchDeleteImage", in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	out := &batchDeleteImageOut{ImageIDs: []imageID{}, Failures: []imageFailure{}}
	for _, id := range in.ImageIDs {
		img, code, reason := p.find(id)
		if img != nil && (id.Tag == "" || len(img.tags) == 1) && p.indexed(img.digest) {
			img, code, reason = nil, "ImageReferencedByManifestList", "Requested image referenced by manifest list"
		}
		if img == nil {
			out.Failures = append(out.Failures, imageFailure{id, code, reason})
			continue
		}
		switch {
		case id.Tag != "" && len(img.tags) > 1:
			p.dropTag(id.Tag)
			img.untag(id.Tag)
			out.ImageIDs = append(out.ImageIDs, imageID{img.digest, id.Tag})
			out.removed = append(out.removed, imageID{img.digest, id.Tag})
		default:
			out.removed = append(out.removed, imageID{Digest: img.digest})
			out.ImageIDs = append(out.ImageIDs, img.ids()...)
			p.remove(img)
		}
	}
	return out, nil
}
