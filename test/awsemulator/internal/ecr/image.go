package ecr

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
)

type imageID struct {
	Digest string `json:"imageDigest,omitempty"`
	Tag    string `json:"imageTag,omitempty"`
}

func (id imageID) String() string {
	tag, digest := id.Tag, id.Digest
	if tag == "" {
		tag = "null"
	}
	if digest == "" {
		digest = "null"
	}
	return "{imageDigest:'" + digest + "', imageTag:'" + tag + "'}"
}

type imageJSON struct {
	RegistryID     string  `json:"registryId"`
	RepositoryName string  `json:"repositoryName"`
	ImageID        imageID `json:"imageId"`
	Manifest       string  `json:"imageManifest"`
	MediaType      string  `json:"imageManifestMediaType"`
}

type putImageIn struct {
	RegistryID     string `json:"registryId"`
	RepositoryName string `json:"repositoryName"`
	Manifest       string `json:"imageManifest"`
	MediaType      string `json:"imageManifestMediaType"`
	Tag            string `json:"imageTag"`
	Digest         string `json:"imageDigest"`
}

type putImageOut struct {
	Image imageJSON `json:"image"`
}

// DigestOf is the digest of a manifest or layer: that of its bytes.
func DigestOf(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (r *Registry) putImage(c *caller.Caller, in *putImageIn) (*putImageOut, error) {
	if in.Tag != "" {
		if err := checkImageTag(in.Tag); err != nil {
			return nil, err
		}
	}
	img, err := r.push(c, in.RegistryID, in.RepositoryName, []byte(in.Manifest), in.MediaType, imageID{in.Digest, in.Tag}, false)
	if err != nil {
		return nil, err
	}
	return &putImageOut{imageJSON{
		RegistryID: r.settings.Account, RepositoryName: in.RepositoryName, ImageID: imageID{img.digest, in.Tag}, Manifest: in.Manifest, MediaType: img.mediaType,
	}}, nil
}

// push stores a manifest, and replicates it as the registry's configuration says.
func (r *Registry) push(c *caller.Caller, registryID, name string, body []byte, mediaType string, id imageID, again bool) (*image, error) {
	img, err := r.store(c, registryID, name, body, mediaType, id, again)
	if err == nil {
		r.replicate(name, img.digest, id.Tag)
	}
	return img, err
}

// store keeps a manifest and, where id has a tag, moves the tag to it. again says that pushing what is there already is
// no error, as in the distribution protocol of a repository whose tag may move.
func (r *Registry) store(c *caller.Caller, registryID, name string, body []byte, mediaType string, id imageID, again bool) (*image, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.open(c, "PutImage", registryID, name)
	if err != nil {
		return nil, err
	}
	img, err := parseManifest(body, mediaType)
	if err != nil {
		return nil, err
	}
	img.digest = DigestOf(body)
	if id.Digest != "" && id.Digest != img.digest {
		return nil, registryError(400, "DIGEST_INVALID", "ImageDigestDoesNotMatchException",
			"The provided digest '%s' does not match the calculated digest '%s'", id.Digest, img.digest)
	}
	if err := r.checkParts(p, img); err != nil {
		return nil, err
	}
	known := p.images[img.digest]
	if err := r.checkTag(p, known, img, id.Tag, again); err != nil {
		return nil, err
	}
	if known == nil {
		if len(p.images) >= maxImages {
			return nil, apierror.New("LimitExceededException", "The repository with name '%s' in registry with id '%s' already has the maximum of %d images", name, r.settings.Account, maxImages)
		}
		img.pushed = c.Now
		if r.scansPushes(p) && img.mediaType != ociIndex && img.mediaType != dockerList {
			img.scanned = c.Now
		}
		p.add(img)
		for _, d := range img.layers {
			p.layers[d].refs++
		}
		known = img
	}
	p.restore(known, c.Now)
	if id.Tag != "" {
		p.point(id.Tag, known)
	}
	return known, nil
}

// checkParts refuses an image whose layers, or an index whose images, are not in the repository.
func (r *Registry) checkParts(p *repository, img *image) error {
	var missing []string
	for _, d := range img.layers {
		if p.layers[d] == nil {
			missing = append(missing, d)
		}
	}
	if len(missing) > 0 {
		return layersNotFound(missing, p.name, r.settings.Account)
	}
	for _, d := range img.children {
		if p.images[d] == nil {
			missing = append(missing, d)
		}
	}
	if len(missing) > 0 {
		return registryError(404, "MANIFEST_BLOB_UNKNOWN", "ReferencedImagesNotFoundException",
			"Images with digests '[%s]' required for pushing image into repository with name '%s' in the registry with id '%s' do not exist",
			strings.Join(missing, ", "), p.name, r.settings.Account)
	}
	return nil
}

// checkTag tells the two ways apart in which a push can find that something is there already: the same image under the same
// tag (or without one) is ImageAlreadyExists, another image under an immutable tag is ImageTagAlreadyExists. An archived image is
// restored by pushing it again: https://docs.aws.amazon.com/AmazonECR/latest/userguide/restore-image.html
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutImage.html#API_PutImage_Errors
func (r *Registry) checkTag(p *repository, known, img *image, tag string, again bool) error {
	restores := known != nil && !known.archived.IsZero()
	if tag == "" {
		if known != nil && !again && !restores {
			return imageExists(img.digest, "", p.name, r.settings.Account)
		}
		return nil
	}
	holder := p.tagged[tag]
	switch {
	case holder == nil:
		if known != nil && len(known.tags) >= maxTagsPerImage {
			return apierror.New("LimitExceededException", "The image with digest '%s' already has the maximum of %d tags", img.digest, maxTagsPerImage)
		}
		return nil
	case restores && holder == known:
		return nil
	case again && p.immutableTag(tag):
		return tagImmutable(tag, p.name)
	case holder.digest == img.digest && again:
		return nil
	case holder.digest == img.digest:
		return imageExists(img.digest, tag, p.name, r.settings.Account)
	case p.immutableTag(tag):
		return tagImmutable(tag, p.name)
	}
	return nil
}

func (p *repository) point(tag string, img *image) {
	if old := p.tagged[tag]; old != nil {
		if old == img {
			return
		}
		old.untag(tag)
	} else {
		p.addTag(tag)
	}
	p.tagged[tag] = img
	i, _ := slices.BinarySearch(img.tags, tag)
	img.tags = slices.Insert(slices.Clone(img.tags), i, tag)
}

func (i *image) untag(tag string) {
	i.tags = slices.DeleteFunc(slices.Clone(i.tags), func(t string) bool { return t == tag })
}

// remove deletes an image and its tags. Its layers stay, without an image that names them.
func (p *repository) remove(img *image) {
	for _, t := range img.tags {
		p.dropTag(t)
	}
	if !img.archived.IsZero() {
		p.archived--
	}
	p.drop(img)
	p.orphan(img.digest)
	for _, d := range img.layers {
		if l := p.layers[d]; l != nil {
			l.refs--
		} else if p.lost[d] > 0 {
			p.lost[d]--
		}
	}
}

// find looks an image up by tag, digest or both. The code is one of the failure codes of ECR's batch operations, "" when found.
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageFailure.html
func (p *repository) find(id imageID) (img *image, code, reason string) {
	switch {
	case id.Digest == "" && id.Tag == "":
		return nil, "MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null"
	case id.Digest != "" && !digestPattern.MatchString(id.Digest):
		return nil, "InvalidImageDigest", "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"
	case id.Tag != "" && !tagPattern.MatchString(id.Tag):
		return nil, "InvalidImageTag", "Invalid request parameters: image tag should satisfy the regex '[a-zA-Z0-9-_.]{1,300}'"
	case id.Tag != "":
		img = p.tagged[id.Tag]
		if img != nil && id.Digest != "" && img.digest != id.Digest {
			return nil, "ImageTagDoesNotMatchDigest", "Image tag does not match digest"
		}
	default:
		img = p.images[id.Digest]
	}
	if img == nil {
		return nil, "ImageNotFound", "Requested image not found"
	}
	return img, "", ""
}

type imageFailure struct {
	ImageID imageID `json:"imageId"`
	Code    string  `json:"failureCode"`
	Reason  string  `json:"failureReason"`
}

type batchGetImageIn struct {
	RegistryID     string    `json:"registryId"`
	RepositoryName string    `json:"repositoryName"`
	ImageIDs       []imageID `json:"imageIds"`
	Accepted       []string  `json:"acceptedMediaTypes"`
}

type batchGetImageOut struct {
	Images   []imageJSON    `json:"images"`
	Failures []imageFailure `json:"failures"`
}

func checkIDs(n int) error {
	if n < 1 || n > maxIDs {
		return invalid("Invalid parameter at 'imageIds' failed to satisfy constraint: 'must have between 1 and %d members'", maxIDs)
	}
	return nil
}

// batchGetImage counts as a pull, as in ECR.
func (r *Registry) batchGetImage(c *caller.Caller, in *batchGetImageIn) (*batchGetImageOut, error) {
	if err := checkIDs(len(in.ImageIDs)); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := r.read(c, "BatchGetImage", in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	out := &batchGetImageOut{Images: []imageJSON{}, Failures: []imageFailure{}}
	seen := map[imageID]bool{}
	for _, id := range in.ImageIDs {
		if seen[id] {
			continue
		}
		seen[id] = true
		img, code, reason := p.find(id)
		switch {
		case img == nil:
		case !r.visible(c.Now, img.pushed), len(in.Accepted) > 0 && !slices.Contains(in.Accepted, img.mediaType):
			code, reason = "ImageNotFound", "Requested image not found"
		case !img.archived.IsZero():
			code, reason = "ImageInaccessible", "The image is archived: restore it before it is pulled"
		}
		if code != "" {
			out.Failures = append(out.Failures, imageFailure{id, code, reason})
			continue
		}
		r.recordPull(c, img)
		out.Images = append(out.Images, imageJSON{
			RegistryID: r.settings.Account, RepositoryName: p.name, ImageID: imageID{img.digest, id.Tag}, Manifest: string(img.manifest), MediaType: img.mediaType,
		})
	}
	return out, nil
}
