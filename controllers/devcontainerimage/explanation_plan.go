package devcontainerimage

import (
	"cmp"
	"fmt"
	"strings"
	"time"
	"unicode"

	"k8s.io/apimachinery/pkg/api/meta"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/inputs"
	"imagecache.dev/internal/hash"
	"imagecache.dev/internal/publication"
)

// nearest explains a miss of asked by the cached image with the most similar inputs. It returns "" if there is no
// image to compare with. It ignores images that could not be handed out any more, and images of the same hash: such
// an image is gone, even if a read of some minutes ago still lists it.
func nearest(asked publication.Origin, cached []publication.Stored, policy publication.Policy, now time.Time) string {
	var best *publication.Stored
	var bestLikeness likeness
	for i := range cached {
		image := &cached[i]
		if hasNoInputs(*image) || image.Origin.Hash == asked.Hash || !current(image, policy, now) {
			continue
		}
		found := likenessOf(asked, image.Origin)
		if best == nil || found.compare(bestLikeness) > 0 || found == bestLikeness && newer(image, best) {
			best, bestLikeness = image, found
		}
	}
	if best == nil || len(asked.Inputs) == 0 {
		return ""
	}
	difference := differenceSentence(asked, best.Origin)
	if difference == "" {
		return ""
	}
	about := publication.About{Environment: best.Origin.Environment, Service: best.Origin.Service}
	return fmt.Sprintf("%s the image of %s; %d of %d inputs equal", difference, madeBy(about, best.PushedAt, now), bestLikeness.equal, len(asked.Inputs))
}

func hasNoInputs(image publication.Stored) bool { return len(image.Origin.Inputs) == 0 }

// current reports whether the image is young enough to be handed out.
func current(image *publication.Stored, policy publication.Policy, now time.Time) bool {
	return policy.Judge(image.PushedAt, now) == publication.Usable
}

func newer(a, b *publication.Stored) bool {
	return cmp.Or(a.PushedAt.Compare(b.PushedAt), cmp.Compare(b.Digest, a.Digest)) > 0
}

// likeness measures how similar an image is to a request: first whether it is of the same service, or like the request of
// none; then the number of equal inputs, then how few other inputs the image has, then the platform. The services of a
// Docker Compose configuration share files, and are still built from different ones.
type likeness struct {
	service       bool
	equal, others int
	platform      bool
}

func likenessOf(asked, has publication.Origin) likeness {
	equal := len(asked.Inputs) - len(changedInputs(asked.Inputs, has.Inputs))
	return likeness{
		service: asked.Service == has.Service, equal: equal, others: len(has.Inputs) - equal, platform: !otherPlatform(asked, has),
	}
}

func (l likeness) compare(other likeness) int {
	return cmp.Or(
		compareBools(l.service, other.service), cmp.Compare(l.equal, other.equal), cmp.Compare(other.others, l.others),
		compareBools(l.platform, other.platform),
	)
}

// compareBools orders false before true.
func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}

func otherPlatform(a, b publication.Origin) bool {
	return a.Platform != "" && b.Platform != "" && a.Platform != b.Platform
}

// differenceSentence returns the beginning of a sentence that names the differences between a request and an image,
// or "" if they are unknown.
func differenceSentence(asked, has publication.Origin) string {
	names := differingInputs(asked.Inputs, has.Inputs)
	if otherPlatform(asked, has) {
		names = append([]string{"platform"}, names...)
	}
	switch {
	case len(names) == 0 && asked.HashVersion != has.HashVersion && has.HashVersion != 0:
		return "the version of the hash differs from that of"
	case len(names) == 0:
		return ""
	case len(names) == 1:
		return list(names) + " differs from"
	}
	return list(names) + " differ from"
}

// differingInputs returns the names of the inputs that differ: first changed and added ones, then those that only the
// image has.
func differingInputs(a, b []publication.Input) []string {
	names := changedInputs(a, b)
	have := map[string]bool{}
	for _, input := range a {
		have[input.Name] = true
	}
	for _, input := range b {
		if !have[input.Name] {
			names = append(names, input.Name)
		}
	}
	return names
}

// changedInputs returns the names of a's inputs that b lacks or has with another digest.
func changedInputs(a, b []publication.Input) []string {
	digests := map[string]string{}
	for _, input := range b {
		digests[input.Name] = input.Digest
	}
	var names []string
	for _, input := range a {
		if digests[input.Name] != input.Digest {
			names = append(names, input.Name)
		}
	}
	return names
}

// list joins names into an enumeration and stops after three. The names come from files of a workspace, so it
// replaces characters that are not printable with U+FFFD: none can write on a terminal.
func list(names []string) string {
	const most = 3
	shown := make([]string, 0, most)
	for _, name := range names[:min(len(names), most)] {
		shown = append(shown, printable(name))
	}
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(shown, ", "), len(names)-most)
	}
	if len(names) < 2 {
		return strings.Join(shown, "")
	}
	return strings.Join(shown[:len(shown)-1], ", ") + " and " + shown[len(shown)-1]
}

func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, name)
}

// withRequests adds to the images of a read the inputs that requests know of. Images that were published without
// inputs have none of their own.
func withRequests(images, told []publication.Stored) []publication.Stored {
	origins := make(map[string]publication.Origin, len(told))
	for _, image := range told {
		origins[image.Digest] = image.Origin
	}
	all := make([]publication.Stored, 0, len(images))
	for _, image := range images {
		if hasNoInputs(image) {
			image.Origin = origins[image.Digest]
		}
		all = append(all, image)
	}
	return all
}

// toldBy returns the images that requests report as published.
func toldBy(requests []v1alpha1.DevcontainerImage) []publication.Stored {
	var images []publication.Stored
	for i := range requests {
		request := &requests[i]
		if len(request.Spec.Inputs) > 0 && published(request) {
			images = append(images, publication.Stored{
				Digest: request.Status.Image.Digest, PushedAt: request.Status.Image.PushedAt.Time, Origin: imageOrigin(request, nil),
			})
		}
	}
	return images
}

func published(request *v1alpha1.DevcontainerImage) bool {
	return request.Status.Image != nil && request.Status.Image.PushedAt != nil &&
		meta.IsStatusConditionTrue(request.Status.Conditions, v1alpha1.ConditionPublished)
}

// imageOrigin returns the origin of a request, or of the image that it published. known are its inputs if it does not hold
// them itself.
func imageOrigin(request *v1alpha1.DevcontainerImage, known []publication.Input) publication.Origin {
	origin := publication.Origin{
		Hash: request.Status.ConfigHash, HashVersion: hash.Version, Platform: request.Spec.Platform,
		Environment: request.Spec.EnvironmentID, Service: request.Spec.Service, Trigger: string(request.Spec.Trigger), Inputs: known,
	}
	if len(request.Spec.Inputs) > 0 {
		origin.Inputs = inputs.Convert(request.Spec.Inputs)
	}
	return origin
}

func inputsOfKey(key *hash.Key) []publication.Input {
	computed := make([]publication.Input, 0, len(key.Inputs))
	for _, input := range key.Inputs {
		computed = append(computed, publication.Input{Name: input.String(), Digest: input.Digest})
	}
	return computed
}
