package hash

import (
	"os"
	"testing"

	"imagecache.dev/test/bench/figure"
)

func TestRunMeasures(t *testing.T) {
	if testing.Short() {
		t.Skip("writes half a gigabyte of files: not in short mode")
	}
	figures, err := Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := figure.WriteTable(os.Stdout, figures); err != nil {
		t.Fatal(err)
	}
}
