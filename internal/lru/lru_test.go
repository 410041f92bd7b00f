package lru_test

import (
	"testing"

	"imagecache.dev/internal/lru"
)

// holds compares a cache's keys and bytes, without using the keys.
func holds(t *testing.T, cache *lru.Cache[string, int], bytes int, want ...string) {
	t.Helper()
	for _, key := range want {
		if _, ok := cache.Peek(key); !ok {
			t.Errorf("%s was dropped", key)
		}
	}
	if cache.Len() != len(want) || cache.Bytes() != bytes {
		t.Errorf("%d values of %d bytes, want %d of %d", cache.Len(), cache.Bytes(), len(want), bytes)
	}
}

func TestTheLeastRecentlyUsedAreDropped(t *testing.T) {
	cache := lru.New[string, int](30)
	for _, key := range []string{"a", "b", "c"} {
		cache.Set(key, 1, 10)
	}
	holds(t, cache, 30, "a", "b", "c")
	if value, ok := cache.Get("a"); value != 1 || !ok {
		t.Errorf("a is %d, %v", value, ok)
	}
	cache.Set("d", 2, 15) // in place of two
	holds(t, cache, 25, "a", "d")
}

func TestAKnownKeyKeepsItsPlace(t *testing.T) {
	cache := lru.New[string, int](30)
	cache.Set("a", 1, 10)
	cache.Set("b", 1, 10)
	cache.Peek("a")
	cache.Set("a", 2, 12)
	if value, _ := cache.Peek("a"); value != 2 {
		t.Errorf("a is %d, want the second value", value)
	}
	holds(t, cache, 22, "a", "b")
	cache.Set("c", 1, 10)
	holds(t, cache, 20, "b", "c")
}

func TestAValueThatGrowsDropsOthers(t *testing.T) {
	cache := lru.New[string, int](30)
	cache.Set("a", 1, 10)
	cache.Set("b", 1, 10)
	cache.Set("b", 1, 100)
	holds(t, cache, 100, "b") // one stays, however large
}

func TestRemovedKeysTakeNoBytes(t *testing.T) {
	cache := lru.New[string, int](30)
	cache.Set("a", 1, 10)
	cache.Remove("a")
	cache.Remove("a")
	if _, ok := cache.Get("a"); ok {
		t.Error("a is still known")
	}
	holds(t, cache, 0)
}
