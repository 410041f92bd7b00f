package projectimagecache

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/fixture"
)

// pages answers each list with the next of its pages, as the API server does: in JSON.
type pages struct {
	client.Reader
	pages []v1alpha1.DevcontainerImageList
}

func (p *pages) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	if len(p.pages) == 0 {
		return errors.New("the last page was read")
	}
	answer, err := json.Marshal(p.pages[0])
	if err != nil {
		return err
	}
	p.pages = p.pages[1:]
	return utiljson.Unmarshal(answer, list)
}

func requestFor(hash string, change ...func(*v1alpha1.DevcontainerImage)) v1alpha1.DevcontainerImage {
	made := v1alpha1.DevcontainerImage{}
	made.Spec.ConfigHash, made.Status.ConfigHash = hash, hash
	for _, c := range change {
		c(&made)
	}
	return made
}

// What the second page says about its requests changes nothing of what the first page said about others.
func TestRequestsOfEachPageKeepTheirImages(t *testing.T) {
	open := requestFor(hashNamed("a"), func(r *v1alpha1.DevcontainerImage) {
		r.Status.FinishedAt, r.Status.LayersFrom = stampOf(daysAgo(1)), &v1alpha1.LayerSource{ConfigHash: hashNamed("b")}
	})
	old := requestFor(hashNamed("c"), func(r *v1alpha1.DevcontainerImage) {
		r.Status.FinishedAt, r.Status.LayersFrom = stampOf(daysAgo(30)), &v1alpha1.LayerSource{ConfigHash: hashNamed("d")}
	})
	first := v1alpha1.DevcontainerImageList{Items: []v1alpha1.DevcontainerImage{open}}
	first.Continue = "more"
	r := &Reconciler{Live: &pages{pages: []v1alpha1.DevcontainerImageList{first, {Items: []v1alpha1.DevcontainerImage{old}}}}}
	demand := newDemand(nil, daysAgo(99), daysAgo(8), fixture.Noon)
	err := r.readRequests(t.Context(), testProject(), demand.add)
	want := map[string]bool{hashNamed("a"): true, hashNamed("b"): true}
	if diff := cmp.Diff(want, demand.hashes); err != nil || diff != "" {
		t.Errorf("asked for (-want +got), %v:\n%s", err, diff)
	}
}
