package lru_test

import (
	"fmt"
	"sync"
	"testing"

	"imagecache.dev/internal/lru"
)

func TestCachesOfOneBudgetDropTheLeastRecentlyUsedOfAll(t *testing.T) {
	budget := lru.NewBudget(30)
	first, second := lru.In[string, int](budget), lru.In[string, int](budget)
	first.Set("a", 1, 10)
	second.Set("b", 1, 10)
	second.Set("c", 1, 10)
	first.Get("a")
	second.Set("d", 1, 5)
	holds(t, first, 10, "a")
	holds(t, second, 15, "c", "d")
	if budget.Bytes() != 25 {
		t.Errorf("the budget has %d bytes, want those of both", budget.Bytes())
	}
	second.Get("c")
	second.Set("c", 1, 100) // more than all: it stays alone
	holds(t, first, 0)
	holds(t, second, 100, "c")
}

func TestSharesLeaveCachesAQuarter(t *testing.T) {
	budget := lru.NewBudget(40)
	cache, share := lru.In[string, int](budget), budget.Share()
	for _, key := range []string{"a", "b", "c", "d"} {
		cache.Set(key, 1, 10)
	}
	share.Set(15)
	holds(t, cache, 20, "c", "d")
	share.Set(100)
	holds(t, cache, 10, "d")
	if budget.Bytes() != 110 {
		t.Errorf("the budget has %d bytes, want those of the share and of one value", budget.Bytes())
	}
	share.Close()
	share.Set(100) // by somebody who still has it
	cache.Set("e", 1, 30)
	holds(t, cache, 40, "d", "e")
}

func TestClosedCacheGivesItsBytesBack(t *testing.T) {
	budget := lru.NewBudget(30)
	first, second := lru.In[string, int](budget), lru.In[string, int](budget)
	first.Set("a", 1, 10)
	second.Set("a", 2, 10)
	first.Close()
	first.Set("b", 1, 10) // by somebody who still has it
	holds(t, first, 0)
	holds(t, second, 10, "a")
	if budget.Bytes() != 10 {
		t.Errorf("the budget has %d bytes, want those of the other cache", budget.Bytes())
	}
}

func TestCachesAreUsedConcurrently(t *testing.T) {
	budget := lru.NewBudget(100)
	var group sync.WaitGroup
	for n := range 4 {
		cache := lru.In[string, int](budget)
		group.Go(func() {
			for i := range 1000 {
				key := fmt.Sprint(i % 20)
				cache.Set(key, i, 10)
				cache.Get(key)
				if i%7 == n {
					cache.Remove(key)
				}
			}
			cache.Close()
		})
	}
	group.Wait()
	if budget.Bytes() != 0 {
		t.Errorf("%d bytes are left of closed caches", budget.Bytes())
	}
}
