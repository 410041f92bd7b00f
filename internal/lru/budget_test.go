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
