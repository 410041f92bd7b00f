package lru_test

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"imagecache.dev/internal/lru"
)

type kind string

func TestTextsAreStoredOnce(t *testing.T) {
	texts := lru.NewTexts(10_000)
	first := lru.Shared(texts, strings.Clone("sha256:00"))
	second := lru.Shared(texts, kind(strings.Clone("sha256:00")))
	if first != string(second) || unsafe.StringData(first) != unsafe.StringData(string(second)) {
		t.Error("two copies of one text are kept")
	}
	for n := range 100 { // more than fit
		if text := fmt.Sprint(n); lru.Shared(texts, text) != text {
			t.Errorf("%s is another text", text)
		}
	}
	if third := lru.Shared(texts, strings.Clone("sha256:00")); unsafe.StringData(first) == unsafe.StringData(third) {
		t.Error("a text that was used long ago is kept")
	}
}
