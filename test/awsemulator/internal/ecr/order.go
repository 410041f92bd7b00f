package ecr

import (
	"slices"
	"strings"
	"time"

	"imagecache.dev/test/awsemulator/internal/page"
)

// add puts an image into the repository, and keeps the order of its pages. Callers hold the write lock.
func (p *repository) add(img *image) {
	p.images[img.digest] = img
	i, _ := slices.BinarySearchFunc(p.order, img.digest, func(x *image, digest string) int { return strings.Compare(x.digest, digest) })
	p.order = slices.Insert(p.order, i, img)
	for _, child := range img.children {
		if p.parents == nil {
			p.parents = map[string]int{}
		}
		p.parents[child]++
	}
}

// drop takes an image out of the repository. The order keeps a gap for it until half of it are gaps, so that removing many images costs
// no more than removing each.
func (p *repository) drop(img *image) {
	delete(p.images, img.digest)
	for _, child := range img.children {
		if p.parents[child]--; p.parents[child] <= 0 {
			delete(p.parents, child)
		}
	}
	img.gone = true
	if p.gaps++; 2*p.gaps > len(p.order) {
		p.order = slices.DeleteFunc(p.order, func(x *image) bool { return x.gone })
		p.gaps = 0
	}
}

// addTag puts a tag that the repository does not have into the order of tags.
func (p *repository) addTag(tag string) {
	i, gap := slices.BinarySearch(p.tagOrder, tag)
	if gap {
		p.tagGaps--
		return
	}
	p.tagOrder = slices.Insert(p.tagOrder, i, tag)
}

func (p *repository) dropTag(tag string) {
	delete(p.tagged, tag)
	if p.tagGaps++; 2*p.tagGaps > len(p.tagOrder) {
		p.tagOrder = slices.DeleteFunc(p.tagOrder, func(t string) bool { return p.tagged[t] == nil })
		p.tagGaps = 0
	}
}

// indexed says whether an index in the repository names the image.
func (p *repository) indexed(digest string) bool { return p.parents[digest] > 0 }

// from calls visit for the visible images that a filter takes, by digest, from a digest on, as long as visit wants more.
func (r *Registry) from(now time.Time, p *repository, digest string, f *imageFilter, visit func(*image) (more bool)) {
	i, _ := slices.BinarySearchFunc(p.order, digest, func(x *image, digest string) int { return strings.Compare(x.digest, digest) })
	for _, img := range p.order[i:] {
		if !img.gone && f.takes(img) && r.visible(now, img.pushed) && !visit(img) {
			return
		}
	}
}

// cut collects a page of at most size items of all images after a token; items tells an image's, with their keys, in order.
func cut[T any](r *Registry, now time.Time, p *repository, f *imageFilter, token string, size int, items func(*image) []T, key func(T) string) ([]T, string, error) {
	after, err := page.After(token)
	if err != nil {
		return nil, "", invalid("Invalid parameter at 'nextToken' failed to satisfy constraint: 'must be a token of this operation'")
	}
	out, next := []T{}, ""
	digest, _, _ := strings.Cut(after, " ")
	r.from(now, p, digest, f, func(img *image) bool {
		for _, item := range items(img) {
			if after != "" && key(item) <= after {
				continue
			}
			if len(out) == size {
				next = page.Token(key(out[size-1]))
				return false
			}
			out = append(out, item)
		}
		return true
	})
	return out, next, nil
}
