package ecr

import (
	"slices"
	"strings"

	"imagecache.dev/test/awsemulator/internal/caller"
)

// Manifest is a manifest as the distribution protocol answers it.
type Manifest struct {
	Digest, MediaType string
	Body              []byte
}

func reference(ref string) imageID {
	if strings.Contains(ref, ":") {
		return imageID{Digest: ref}
	}
	return imageID{Tag: ref}
}

// PushManifest stores a manifest under a tag or digest. Putting the same bytes again is no error, but under an immutable tag it is.
// It also returns the digest of the manifest's subject, "" without one.
func (r *Registry) PushManifest(c *caller.Caller, name, ref, mediaType string, body []byte) (digest, subject string, err error) {
	id := reference(ref)
	if id.Tag != "" {
		if err := checkImageTag(id.Tag); err != nil {
			return "", "", err
		}
	}
	img, err := r.push(c, "", name, body, mediaType, id, true)
	if err != nil {
		return "", "", err
	}
	return img.digest, img.subject, nil
}

// DeleteManifest removes an image by its digest, or a tag and with the last tag the image, as BatchDeleteImage does.
func (r *Registry) DeleteManifest(c *caller.Caller, name, ref string) error {
	out, err := r.batchDeleteImage(c, &batchDeleteImageIn{RepositoryName: name, ImageIDs: []imageID{reference(ref)}})
	if err != nil || len(out.Failures) == 0 {
		return err
	}
	if failure := out.Failures[0]; failure.Code != "ImageNotFound" {
		return registryError(400, "UNSUPPORTED", failure.Code+"Exception", "%s", failure.Reason)
	}
	return imageNotFound(reference(ref).String(), name, r.settings.Account)
}

// Manifest finds a manifest by tag or digest; that counts as a pull.
func (r *Registry) Manifest(c *caller.Caller, name, ref string) (Manifest, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.open(c, "BatchGetImage", "", name)
	if err != nil {
		return Manifest{}, err
	}
	img, _, _ := p.find(reference(ref))
	if img == nil {
		return Manifest{}, imageNotFound(reference(ref).String(), name, r.settings.Account)
	}
	if !img.archived.IsZero() {
		// https://docs.aws.amazon.com/AmazonECR/latest/userguide/archive-image.html
		return Manifest{}, imageNotFound(reference(ref).String(), name, r.settings.Account)
	}
	r.recordPull(c, img)
	return Manifest{img.digest, img.mediaType, img.manifest}, nil
}

// TagNames lists at most size of a repository's tags after one, sorted, and says whether there are more.
func (r *Registry) TagNames(c *caller.Caller, name, after string, size int) (tags []string, more bool, err error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	p, err := r.open(c, "ListImages", "", name)
	if err != nil {
		return nil, false, err
	}
	tags = []string{}
	i, found := slices.BinarySearch(p.tagOrder, after)
	if found {
		i++
	}
	for _, tag := range p.tagOrder[i:] {
		img := p.tagged[tag]
		if img == nil || !img.archived.IsZero() || !r.visible(c.Now, img.pushed) {
			continue
		}
		if len(tags) == size {
			return tags, true, nil
		}
		tags = append(tags, tag)
	}
	return tags, false, nil
}
