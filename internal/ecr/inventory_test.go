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

// An inventory that is dropped for the sake of another is read again, and shows nothing meanwhile.
func TestDroppedInventoryIsReadAgain(t *testing.T) {
	a := start(t, awsemulator.Options{})
	budget := lru.NewBudget(1000)
	newInventory := func() *ecr.Inventory {
		return ecr.NewInventory(a.clients, "gitpod-runner-", "imagecache.dev/owner", testClock{}, budget)
	}
	first, second := newInventory(), newInventory()
	fresh := func(inventory *ecr.Inventory) {
		t.Helper()
		if err := inventory.Fresh(context.Background(), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	a.Calls().Reset()
	fresh(first)
	fresh(first)
	if n := a.Calls().Count("ecr:DescribeRepositories"); n != 1 || first.Get(repository) == nil {
		t.Fatalf("%d reads of a fresh inventory, want 1", n)
	}
	second.Note(ecr.Repository{Name: "gitpod-runner-r2/x", Tags: map[string]string{"t": strings.Repeat("x", 1000)}})
	if first.Get(repository) != nil {
		t.Fatal("both inventories are kept beyond their budget")
	}
	fresh(first)
	if n := a.Calls().Count("ecr:DescribeRepositories"); n != 2 || first.Get(repository) == nil {
		t.Errorf("%d reads after it was dropped, want 2", n)
	}

	first.Close()
	if first.Get(repository) != nil || budget.Bytes() > 1000 {
		t.Errorf("a closed inventory keeps what it read; the budget has %d bytes", budget.Bytes())
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
