package runner

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/validation"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/hash"
)

func TestObjectNamesAreDNSLabels(t *testing.T) {
	const digits = "4f3c21a9b7e04f3c21a9b7e04f3c21a9b7e04f3c21a9b7e04f3c21a9b7e0aaaa"
	tests := map[string]string{
		"env-1":                  "env-1-4f3c21a9-",
		"Env_1.B":                "env-1-b-4f3c21a9-",
		"-._":                    "environment-4f3c21a9-",
		strings.Repeat("a", 128): strings.Repeat("a", 40) + "-4f3c21a9-",
	}
	for environment, prefix := range tests {
		name := objectName(environment, digits)
		if !strings.HasPrefix(name, prefix) || len(name) != len(prefix)+5 {
			t.Errorf("name of %q is %q, want %s and five characters", environment, name, prefix)
		}
		if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
			t.Errorf("name %q: %v", name, problems)
		}
	}
}

func TestValidateRefusesWhatTheAPIRefuses(t *testing.T) {
	good := Request{Environment: "env-1", Trigger: v1alpha1.TriggerRebuild}
	if err := good.Validate(); err != nil {
		t.Errorf("good request: %v", err)
	}
	for _, bad := range []Request{
		{Trigger: v1alpha1.TriggerRebuild},
		{Environment: "-e", Trigger: v1alpha1.TriggerRebuild},
		{Environment: strings.Repeat("a", 129), Trigger: v1alpha1.TriggerRebuild},
		{Environment: "e", Trigger: "Sometimes"},
	} {
		var usage *UsageError
		if err := bad.Validate(); !errors.As(err, &usage) {
			t.Errorf("request %+v: got %v, want a usage error", bad, err)
		}
	}
}

func TestKeyInputsFitTheAPI(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	few := []hash.Input{
		{Name: hash.InputConfiguration, Path: ".devcontainer/devcontainer.json", Digest: digest},
		{Name: hash.InputBuildContext, Path: "main.go", Digest: digest},
	}
	want := []v1alpha1.KeyInput{{Name: "devcontainer.json", Digest: digest}, {Name: "BuildContext main.go", Digest: digest}}
	if diff := cmp.Diff(want, KeyInputs(few)); diff != "" {
		t.Errorf("few inputs (-want +got):\n%s", diff)
	}
	many := few
	for i := range 100 {
		many = append(many, hash.Input{Name: hash.InputBuildContext, Path: fmt.Sprintf("file-%d", i), Digest: digest})
	}
	told := KeyInputs(many)
	if len(told) != 2 || told[1].Name != hash.InputBuildContext || len(told[1].Digest) != len(digest) {
		t.Errorf("many inputs are told as %+v, want one per kind", told)
	}
	many[len(many)-1].Mode = hash.ModeExecutable
	if changed := KeyInputs(many); changed[1].Digest == told[1].Digest || changed[0] != told[0] {
		t.Error("a change of one input has to change the digest of its kind, and no other")
	}
}
