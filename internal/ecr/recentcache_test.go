package ecr

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"imagecache.dev/internal/lru"
	"imagecache.dev/internal/publication"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func TestRecentCacheKeepsTheRepositoriesAskedAboutLast(t *testing.T) {
	one := map[string]publication.Stored{"d": {Digest: "d"}}
	three := 3 * (repositoryBytes + sizeOfStored(one["d"]))
	cache := newRecentCache(lru.NewBudget(three))
	for n := range 4 {
		repository := fmt.Sprint(n)
		cache.begin(repository)
		cache.set(repository, noon, map[string]publication.Stored{"d": {Digest: "d"}})
		if _, fresh, _ := cache.get("0", noon); !fresh { // asked about again and again
			t.Errorf("after %d repositories the first is forgotten", n+1)
		}
	}
	if _, fresh, _ := cache.get("1", noon); fresh {
		t.Error("the one that was asked about longest ago is still there")
	}
	if bytes := cache.repositories.Bytes(); bytes > three || cache.repositories.Len() != 3 {
		t.Errorf("%d bytes, %d repositories, want 3", bytes, cache.repositories.Len())
	}
}

func TestRecentCacheKeepsWhatIsPutDuringAReading(t *testing.T) {
	cache := newRecentCache(lru.NewBudget(1 << 20))
	cache.begin("r")
	cache.put("r", publication.Stored{Digest: "new", PushedAt: noon.Add(time.Second)})
	cache.put("other", publication.Stored{Digest: "new", PushedAt: noon})
	read := cache.set("r", noon, map[string]publication.Stored{"old": {Digest: "old"}})
	if len(read) != 2 {
		t.Errorf("%d images after the reading, want the one read and the one put: %v", len(read), read)
	}
	// A later reading that doesn't show it says that it is gone.
	if read = cache.set("r", noon.Add(10*time.Minute), map[string]publication.Stored{"old": {Digest: "old"}}); len(read) != 1 {
		t.Errorf("%d images, want 1: %v", len(read), read)
	}
	if images, fresh, _ := cache.get("other", noon); fresh || images != nil {
		t.Errorf("a repository that nobody asked about is known: %v", images)
	}
}

// A read takes seconds, and the budget is shared: what begin made may be gone when the read fails.
func TestRecentCacheKnowsThatAReadingFailedAlsoUnderPressure(t *testing.T) {
	budget := lru.NewBudget(repositoryBytes)
	cache, others := newRecentCache(budget), lru.In[string, int](budget)
	cache.begin("r")
	others.Set("large", 1, repositoryBytes)
	if cache.repositories.Len() != 0 {
		t.Fatal("the repository was not evicted")
	}
	failure := errors.New("throttled")
	cache.fail("r", noon, failure)
	if _, fresh, err := cache.get("r", noon.Add(recentRetry-time.Second)); !fresh || !errors.Is(err, failure) {
		t.Errorf("a minute's reading is due (%v), %v; want the failure", !fresh, err)
	}
	if _, fresh, _ := cache.get("r", noon.Add(recentRetry)); fresh {
		t.Error("the failure is known for longer than a minute")
	}
}
