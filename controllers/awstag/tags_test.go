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
	if owner := OwnerWithUID("cluster-1", "ns", "p1", "uid-1"); owner != "cluster-1/ns/p1/uid-1" || WithoutUID(owner) != OwnerOf("cluster-1", "ns", "p1") {
		t.Errorf("owner %q, want cluster-1/ns/p1/uid-1", owner)
	}
	uid := "1f0c3a52-93a5-4b52-8f8c-0d3a4a0c6d3e"
	one, other := OwnerWithUID("0190f1a2-7b3c-7d4e-8f5a-6b7c8d9e0f1a", long[:63], long, uid), OwnerWithUID("0190f1a2-7b3c-7d4e-8f5a-6b7c8d9e0f1a", long[:62], long, uid)
	if len(one) > maxValue || one == other {
		t.Errorf("owners of %d characters, or the same for two objects", len(one))
	}
}
