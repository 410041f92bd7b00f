package builder

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestTheLockLetsOneBuildInAStore(t *testing.T) {
	store := t.Name() + t.TempDir()
	unlock, err := lockStore(t.Context(), store, nil)
	if err != nil {
		t.Fatal(err)
	}
	other, err := lockStore(t.Context(), store+" another", nil)
	if err != nil {
		t.Fatalf("the lock of another store: %v", err)
	}
	other()

	var logs bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := lockStore(ctx, store, &logs); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("lock while another holds it: %v", err)
	}
	if got := logs.String(); strings.Count(got, "Waiting for another build") != 1 {
		t.Errorf("said %q, want once that it waits", got)
	}

	time.AfterFunc(50*time.Millisecond, unlock)
	again, err := lockStore(t.Context(), store, nil)
	if err != nil {
		t.Fatalf("lock after the other: %v", err)
	}
	again()
}
