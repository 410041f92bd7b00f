package projects

import (
	"os"
	"testing"

	"imagecache.dev/test/bench/figure"
)

func TestTmp(t *testing.T) {
	os.Chdir("/tmp/benchroot")
	f, err := Run(t.Context())
	figure.WriteTable(os.Stdout, f)
	if err != nil {
		t.Fatal(err)
	}
}
