package ecr_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"imagecache.dev/internal/ecr"
	"imagecache.dev/internal/lru"
	"imagecache.dev/test/awsemulator"
)

// An account larger than the budget is not read again for whatever else the manager remembers.
func TestInventoryStaysWhateverElseIsRemembered(t *testing.T) {
	a := start(t, awsemulator.Options{})
	budget := lru.NewBudget(100)
	first := ecr.NewInventory(a.clients, "gitpod-runner-", "imagecache.dev/owner", testClock{}, budget)
	second := ecr.NewInventory(a.clients, "gitpod-runner-", "imagecache.dev/owner", testClock{}, budget)
	fresh := func() {
		t.Helper()
		if err := first.Fresh(context.Background(), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	a.Calls().Reset()
	fresh()
	alone := budget.Bytes()
	second.Note(ecr.Repository{Name: "gitpod-runner-r2/x", Tags: map[string]string{"t": strings.Repeat("x", 1000)}})
	lru.In[string, string](budget).Set("fact", "of an image", 50)
	fresh()
	if n := a.Calls().Count("ecr:DescribeRepositories"); n != 1 || first.Get(repository) == nil {
		t.Fatalf("%d reads of a fresh inventory, want 1", n)
	}
	if alone == 0 || budget.Bytes() < alone+1000 {
		t.Errorf("the budget has %d bytes, %d of the first inventory", budget.Bytes(), alone)
	}
	first.Close()
	if second.Close(); budget.Bytes() > 50 || first.Get(repository) == nil {
		t.Errorf("closed inventories take %d bytes, or a pass under way takes a repository for removed", budget.Bytes())
	}
}

// What was noted just before a read, and what the read does not show yet, stays.
func TestReadKeepsWhatWasJustNoted(t *testing.T) {
	a := start(t, awsemulator.Options{})
	inventory := ecr.NewInventory(a.clients, "gitpod-runner-", "imagecache.dev/owner", testClock{}, lru.NewBudget(1<<20))
	const made = "gitpod-runner-r1/projects/made/image-build"
	inventory.Note(ecr.Repository{Name: made})
	inventory.Forget(repository)
	if err := inventory.Fresh(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if inventory.Get(made) == nil {
		t.Error("a repository that was made a moment ago is forgotten")
	}
	if inventory.Get(repository) != nil {
		t.Error("a repository that was removed a moment ago is shown")
	}
}
