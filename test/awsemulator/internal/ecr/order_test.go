package ecr

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"
	"time"

	"imagecache.dev/test/awsemulator/clock"
	"imagecache.dev/test/awsemulator/internal/caller"
)

const testAccount = "123456789012"

// call runs an operation as the root user.
func call(r *Registry, operation string, in any, out any) error {
	got, err := r.Operations()[operation](&caller.Caller{Account: testAccount, Region: "us-east-1", Now: r.settings.Clock.Now()}, func(into any) error {
		body, err := json.Marshal(in)
		if err != nil {
			return err
		}
		return json.Unmarshal(body, into)
	})
	if err != nil || out == nil {
		return err
	}
	body, err := json.Marshal(got)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, out)
}

// filled is a registry with one repository of n images without layers, each with a tag.
func filled(tb testing.TB, n int) *Registry {
	tb.Helper()
	r := New(Settings{Account: testAccount, Region: "us-east-1", Clock: clock.Frozen(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))})
	tb.Cleanup(func() {
		if err := r.Close(); err != nil {
			tb.Error(err)
		}
	})
	if err := call(r, "CreateRepository", map[string]any{"repositoryName": "app"}, nil); err != nil {
		tb.Fatal(err)
	}
	for i := range n {
		manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"n":"%d"}}`, i)
		if err := call(r, "PutImage", map[string]any{"repositoryName": "app", "imageManifest": manifest, "imageTag": fmt.Sprintf("t%d", i)}, nil); err != nil {
			tb.Fatal(err)
		}
	}
	return r
}

type pageOut struct {
	Details   []struct{ ImageDigest string }           `json:"imageDetails"`
	IDs       []struct{ ImageDigest, ImageTag string } `json:"imageIds"`
	NextToken string                                   `json:"nextToken"`
}

func BenchmarkPageOfImages(b *testing.B) {
	r := filled(b, 100_000)
	for _, operation := range []string{"DescribeImages", "ListImages"} {
		for _, size := range []int{100, 1000} {
			b.Run(fmt.Sprintf("%s/%d", operation, size), func(b *testing.B) {
				token := ""
				for b.Loop() {
					in := map[string]any{"repositoryName": "app", "maxResults": size}
					if token != "" {
						in["nextToken"] = token
					}
					var out pageOut
					if err := call(r, operation, in, &out); err != nil {
						b.Fatal(err)
					}
					token = out.NextToken
				}
			})
		}
	}
}

// The cost of a page depends on its own images alone: the rest of the repository is neither sorted nor copied.
func TestPagesOfManyImagesCostNoMore(t *testing.T) {
	bytes := func(images int, operation string) uint64 {
		r := filled(t, images)
		var before, after runtime.MemStats
		const pages = 10
		token := ""
		runtime.ReadMemStats(&before)
		for range pages {
			in := map[string]any{"repositoryName": "app", "maxResults": 10}
			if token != "" {
				in["nextToken"] = token
			}
			var out pageOut
			if err := call(r, operation, in, &out); err != nil {
				t.Fatal(err)
			}
			token = out.NextToken
		}
		runtime.ReadMemStats(&after)
		return (after.TotalAlloc - before.TotalAlloc) / pages
	}
	for _, operation := range []string{"DescribeImages", "ListImages"} {
		few, many := bytes(200, operation), bytes(5000, operation)
		if many > few*3/2 {
			t.Errorf("%s: a page of 5,000 images takes %d bytes, and one of 200 takes %d", operation, many, few)
		}
	}
}

// Whatever comes and goes between pages: each image that is there all the time is on one page, once.
func TestPagesOfImagesWhileTheyChange(t *testing.T) {
	r := filled(t, 300)
	p := r.repos["app"]
	stays := map[string]bool{}
	for digest := range p.images {
		stays[digest] = true
	}
	for _, operation := range []string{"DescribeImages", "ListImages"} {
		seen := map[string]int{}
		token := ""
		for n := 0; n == 0 || token != ""; n++ {
			in := map[string]any{"repositoryName": "app", "maxResults": 7}
			if token != "" {
				in["nextToken"] = token
			}
			var out pageOut
			if err := call(r, operation, in, &out); err != nil {
				t.Fatal(err)
			}
			token = out.NextToken
			if size := len(out.Details) + len(out.IDs); size != 7 && token != "" {
				t.Fatalf("%s: a page of %d", operation, size)
			}
			for _, d := range out.Details {
				seen[d.ImageDigest]++
			}
			for _, id := range out.IDs {
				seen[id.ImageDigest]++
			}
			for digest := range stays { // one goes
				delete(stays, digest)
				if err := call(r, "BatchDeleteImage", map[string]any{"repositoryName": "app", "imageIds": []map[string]string{{"imageDigest": digest}}}, nil); err != nil {
					t.Fatal(err)
				}
				break
			}
			fresh := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"fresh":"%s %d"}}`, operation, n)
			if err := call(r, "PutImage", map[string]any{"repositoryName": "app", "imageManifest": fresh}, nil); err != nil {
				t.Fatal(err)
			}
		}
		for digest := range stays {
			if seen[digest] != 1 {
				t.Errorf("%s: image %s is on %d pages", operation, digest, seen[digest])
			}
		}
	}
	if gaps := len(p.order) - len(p.images); gaps != p.gaps || 2*gaps > len(p.order) {
		t.Errorf("%d gaps in an order of %d, counted as %d", gaps, len(p.order), p.gaps)
	}
}
