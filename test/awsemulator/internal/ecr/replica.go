package ecr

import (
	"io"
	"slices"

	"imagecache.dev/test/awsemulator/internal/blob"
)

// Connect makes another registry of the account a destination for the replication of this one.
func (r *Registry) Connect(other *Registry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.peers[other.settings.Region] = other
}

// targets returns the registries that rules replicate a repository to. With deletions, only those rules count that replicate deletions.
func (r *Registry) targets(name string, deletions bool) []*Registry {
	r.mu.RLock()
	defer r.mu.RUnlock()
	var to []*Registry
	for i := range r.replication {
		rule := &r.replication[i]
		if !rule.takes(name) || (deletions && (rule.DeleteReplication == nil || !rule.DeleteReplication.Enabled)) {
			continue
		}
		for _, d := range rule.Destinations {
			if peer := r.peers[d.Region]; peer != nil && !slices.Contains(to, peer) {
				to = append(to, peer)
			}
		}
	}
	return to
}

// replicate copies an image that was just pushed. ECR does that within seconds, itself: it asks neither the rights of who pushed nor the
// policy of the destination's repository.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/replication.html
func (r *Registry) replicate(name, digest, tag string) {
	for _, peer := range r.targets(name, false) {
		r.send(peer, name, digest, tag)
	}
}

// replicateDeletion removes from the destinations what was removed here.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/replication-delete.html
func (r *Registry) replicateDeletion(name string, removed []imageID) {
	if len(removed) == 0 {
		return
	}
	for _, peer := range r.targets(name, true) {
		peer.removeReplicas(name, removed)
	}
}

func (r *Registry) removeReplicas(name string, removed []imageID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.repos[name]
	if p == nil {
		return
	}
	for _, id := range removed {
		img := p.images[id.Digest]
		switch {
		case img == nil:
		case id.Tag == "":
			p.remove(img)
		case p.tagged[id.Tag] == img:
			p.dropTag(id.Tag)
			img.untag(id.Tag)
		}
	}
}

// parcel is an image on its way, with what it is made of.
type parcel struct {
	manifest  []byte
	mediaType string
	layers    map[string]*blob.Blob
}

// send copies one image, and before it the images of an index, and notes what came of it. Neither registry is locked while the bytes of
// layers are copied, so two registries may replicate to each other.
func (r *Registry) send(peer *Registry, name, digest, tag string) {
	r.mu.RLock()
	p := r.repos[name]
	if p == nil || p.images[digest] == nil {
		r.mu.RUnlock()
		return
	}
	img := p.images[digest]
	children := slices.Clone(img.children)
	goods := parcel{img.manifest, img.mediaType, map[string]*blob.Blob{}}
	for _, d := range img.layers {
		if l := p.layers[d]; l != nil {
			r.blobs.Retain(l.blob)
			goods.layers[d] = l.blob
		}
	}
	r.mu.RUnlock()
	for _, child := range children {
		r.send(peer, name, child, "")
	}
	err := peer.receive(name, tag, goods)
	for _, b := range goods.layers {
		r.blobs.Release(b)
	}
	status := replicaStatus{Region: peer.settings.Region, RegistryID: peer.settings.Account, Status: "COMPLETE"}
	if err != nil {
		status.Status, status.FailureCode = "FAILED", "InternalFailure"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	img.replicas = append(slices.DeleteFunc(slices.Clone(img.replicas), func(s replicaStatus) bool { return s.Region == status.Region }), status)
}

// receive stores a replica. A repository that does not exist is made by the template for replication, or with ECR's defaults.
// A tag that an immutable repository has already stays where it is, and the replica comes without it.
func (r *Registry) receive(name, tag string, goods parcel) error {
	copies := map[string]*blob.Blob{}
	for digest, from := range goods.layers {
		made, err := r.copyBlob(from)
		if err != nil {
			return err
		}
		copies[digest] = made
	}
	img, err := parseManifest(goods.manifest, goods.mediaType)
	if err != nil {
		return err
	}
	img.digest = DigestOf(goods.manifest)
	now := r.settings.Clock.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.repos[name]
	if p == nil {
		if p, err = r.fromTemplate(name, r.template(name, onReplication), now); err != nil {
			return err
		}
	}
	for digest, made := range copies {
		if p.layers[digest] != nil {
			r.blobs.Release(made)
			continue
		}
		p.layers[digest] = &layer{blob: made, uploaded: now, refs: p.lost[digest]}
		delete(p.lost, digest)
	}
	if known := p.images[img.digest]; known != nil {
		img = known
	} else {
		if err := r.checkParts(p, img); err != nil {
			return err
		}
		img.pushed = now
		p.add(img)
		for _, d := range img.layers {
			p.layers[d].refs++
		}
	}
	if holder := p.tagged[tag]; tag != "" && (holder == nil || !p.immutableTag(tag)) {
		p.point(tag, img)
	}
	return nil
}

// copyBlob writes another registry's blob into the store.
func (r *Registry) copyBlob(from *blob.Blob) (*blob.Blob, error) {
	content, err := from.Open()
	if err != nil {
		return nil, err
	}
	defer content.Close()
	upload := r.blobs.NewUpload()
	if _, err := io.Copy(upload, content); err != nil {
		upload.Cancel()
		return nil, err
	}
	return upload.Finish()
}
