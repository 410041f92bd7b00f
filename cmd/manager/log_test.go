package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"go.uber.org/zap"
)

func TestTheLogHasNoPresignedAddress(t *testing.T) {
	for _, format := range []string{"json", "console"} {
		var out bytes.Buffer
		logger, err := newLogger(&out, "info", format)
		if err != nil {
			t.Fatal(err)
		}
		failure := errors.New(`Get "https://storage/layer?X-Amz-Date=1&X-Amz-Signature=SECRET": EOF`)
		logger.Named("images").Error("Reconciler error", zap.Error(failure), zap.String("project", "p"))
		logger.Debug("not shown")
		got := out.String()
		if strings.Contains(got, "SECRET") || !strings.Contains(got, "https://storage/layer?REDACTED") {
			t.Errorf("%s: %s", format, got)
		}
		if !strings.Contains(got, "Reconciler error") || !strings.Contains(got, "project") || strings.Contains(got, "not shown") {
			t.Errorf("%s: the entry is not whole: %s", format, got)
		}
	}
}
