package environment_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imagecache.dev/internal/environment"
	"imagecache.dev/internal/runner"
)

func TestArgumentsThatMeanSomethingToTheCache(t *testing.T) {
	tests := map[string]environment.Arguments{
		"":                                  {},
		"--skip-post-attach --remote-env=A": {},
		"--id-label a=1 --id-label=b=2 --idLabel c=3":          {IDLabels: []string{"a=1", "b=2", "c=3"}},
		"--remove-existing-container":                          {RemoveExisting: true},
		"--remove-existing-container=false":                    {},
		"--remove-existing-container false":                    {},
		"--removeExistingContainer --prebuild":                 {RemoveExisting: true},
		"--expect-existing-container":                          {ExpectExisting: true},
		"--additional-features {\"./tool\":{}}":                {AdditionalFeatures: true},
		"--additional-features {}":                             {},
		"--build-no-cache":                                     {OtherBuild: "--build-no-cache"},
		"--buildNoCache=false --frozen-lockfile":               {OtherBuild: "--frozen-lockfile"},
		"--update-remote-user-uid-default=off":                 {UserIDs: true},
		"--remote-env --id-label=a=1 --mount workspace-folder": {IDLabels: []string{"a=1"}},
	}
	for words, want := range tests {
		t.Run(words, func(t *testing.T) {
			want.Words = strings.Fields(words)
			got, err := environment.ParseArguments(strings.Fields(words))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
		})
	}
}

func TestArgumentsThatImagecacheSets(t *testing.T) {
	for _, words := range []string{
		"--workspace-folder .", "--workspace-folder=.", "--config x", "--docker-path podman", "--override-config x", "--prebuild --overrideConfig x",
	} {
		_, err := environment.ParseArguments(strings.Fields(words))
		var usage *runner.UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), "can't be passed to devcontainer up") {
			t.Errorf("%s: error %v", words, err)
		}
	}
}

func TestRemovingIsAskedForOnce(t *testing.T) {
	for _, words := range [][]string{{"--prebuild"}, {"--prebuild", "--remove-existing-container"}} {
		given, err := environment.ParseArguments(words)
		if err != nil {
			t.Fatal(err)
		}
		got := given.RemovingExisting()
		if want := []string{"--prebuild", "--remove-existing-container"}; !got.RemoveExisting || !cmp.Equal(want, got.Words) {
			t.Errorf("%q became %q", words, got.Words)
		}
	}
}
