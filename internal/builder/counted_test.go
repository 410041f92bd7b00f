package builder

import (
	"bytes"
	"io"
	"slices"
	"testing"
)

func TestBytesAreReportedFromTimeToTime(t *testing.T) {
	var told []int64
	counted := &countedReader{Reader: bytes.NewReader(make([]byte, 3*countedStep+5)), progress: func(bytes int64) { told = append(told, bytes) }}
	if n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, counted, make([]byte, countedStep/2)); n != 3*countedStep+5 || err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if want := []int64{countedStep, 2 * countedStep, 3 * countedStep, 3*countedStep + 5}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}
