package awstag

import (
	"testing"
)

func TestOwnerFitsATagValue(t *testing.T) {
	long := string(make([]byte, 253))
	if owner := OwnerOf("cluster-1", "ns", "p1"); owner != "cluster-1/ns/p1" {
		t.Errorf("owner %q, want cluster-1/ns/p1", owner)
	}
	if owner := OwnerOf("0190f1a2-7b3c-7d4e-8f5a-6b7c8d9e0f1a", long[:63], long); len(owner) > maxValue {
		t.Errorf("owner of %d characters, more than a tag takes", len(owner))
	}
}
