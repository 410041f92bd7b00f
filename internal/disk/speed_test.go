package disk

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestMeasureWriteLeavesNothing(t *testing.T) {
	folder := t.TempDir()
	speed, err := MeasureWrite(t.Context(), folder, 3*blockBytes+1, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if speed.Bytes != 3*blockBytes {
		t.Errorf("wrote %d bytes, want %d", speed.Bytes, 3*blockBytes)
	}
	if speed.BytesPerSecond() <= 0 {
		t.Errorf("speed %d bytes a second", speed.BytesPerSecond())
	}
	left, err := os.ReadDir(folder)
	if err != nil || len(left) > 0 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}

func TestMeasureWriteEnds(t *testing.T) {
	ended, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	cancel(stopped)
	if _, err := MeasureWrite(ended, t.TempDir(), 1<<40, time.Hour); !errors.Is(err, stopped) {
		t.Errorf("error %v, want the context's cause", err)
	}
	if _, err := MeasureWrite(t.Context(), filepath.Join(t.TempDir(), "absent"), 1, time.Hour); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want that the folder does not exist", err)
	}
}

func TestSameDisk(t *testing.T) {
	folder := t.TempDir()
	if SameDisk(folder, filepath.Join(folder, "absent")) {
		t.Error("a folder that does not exist is on the same disk")
	}
}
