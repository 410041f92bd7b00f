package hash

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const featuresBase = `{"image": "a@sha256:0", "features": {`

func TestFeaturesAreFollowedToWhatTheyDependOn(t *testing.T) {
	const digest = "sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d"
	local := func(dependsOn string) string { return `{"id": "x", "dependsOn": {` + dependsOn + `}}` }
	lock := func(entries string) string { return `{"features": {` + entries + `}}` }
	tests := map[string]struct {
		features string
		files    map[string]string
		inputs   []string // beside the configuration's folder and the lockfile
		codes    []string
	}{
		"a local one on a local one, from the configuration's folder": {
			features: `"./one": {}`,
			files:    map[string]string{"one/devcontainer-feature.json": local(`"./two": {}`), "two/install.sh": "", "one/two/install.sh": ""},
			inputs:   []string{"one/devcontainer-feature.json", "one/two", "one/two/install.sh", "two/install.sh"},
		},
		"a circle": {
			features: `"./one": {}`,
			files:    map[string]string{"one/devcontainer-feature.json": local(`"./two": {}`), "two/devcontainer-feature.json": local(`"./one": {}`)},
			inputs:   []string{"one/devcontainer-feature.json", "two/devcontainer-feature.json"},
		},
		"a description that is not strict JSON": {
			features: `"./one": {}`,
			files:    map[string]string{"one/devcontainer-feature.json": "{// a comment\n\"dependsOn\": {\"./two\": {},}}", "two/install.sh": ""},
			inputs:   []string{"one/devcontainer-feature.json", "two/install.sh"},
		},
		"a local one on one that floats": {
			features: `"./one": {}`,
			files:    map[string]string{"one/devcontainer-feature.json": local(`"registry.example/f:1": {}`)},
			inputs:   []string{"one/devcontainer-feature.json"},
			codes:    []string{"FeatureNotCovered::0"},
		},
		"a local one on one that the lockfile pins": {
			features: `"./one": {}`,
			files: map[string]string{
				"one/devcontainer-feature.json": local(`"registry.example/f:1": {}`),
				"devcontainer-lock.json":        lock(`"registry.example/f:1": {"integrity": "sha256:00"}`),
			},
			inputs: []string{"devcontainer-lock.json", "one/devcontainer-feature.json"},
		},
		"a locked one on one that is not": {
			features: `"registry.example/f:1": {}`,
			files:    map[string]string{"devcontainer-lock.json": lock(`"registry.example/f:1": {"integrity": "sha256:00", "dependsOn": ["registry.example/g:1"]}`)},
			inputs:   []string{"devcontainer-lock.json"},
			codes:    []string{"FeatureNotCovered::0"},
		},
		"a locked one on a locked one on a local one": {
			features: `"registry.example/f:1": {}`,
			files: map[string]string{
				"devcontainer-lock.json": lock(`"registry.example/f:1": {"integrity": "sha256:00", "dependsOn": ["registry.example/g:1"]},
					"registry.example/g:1": {"integrity": "sha256:01", "dependsOn": ["./one"]}`),
				"one/install.sh": "",
			},
			inputs: []string{"devcontainer-lock.json", "one/install.sh"},
		},
		"a digest, whose own dependencies are not known": {
			features: `"registry.example/f@` + digest + `": {}`,
			codes:    []string{"FeatureDependenciesUnknown::0"},
		},
		"an entry in another letter case": {
			features: `"registry.example/f:1": {}`,
			files:    map[string]string{"devcontainer-lock.json": lock(`"registry.example/f:1": {"Integrity": "sha256:00"}`)},
			inputs:   []string{"devcontainer-lock.json"},
			codes:    []string{"FeatureNotCovered::0"},
		},
		"a shorthand, locked by its own name": {
			features: `"node": {}`,
			files:    map[string]string{"devcontainer-lock.json": lock(`"node": {"integrity": "sha256:00"}`)},
			inputs:   []string{"devcontainer-lock.json"},
			codes:    []string{"FeatureNotCovered::0"},
		},
		"a shorthand, locked by what it stands for": {
			features: `"golang": {}`,
			files:    map[string]string{"devcontainer-lock.json": lock(`"ghcr.io/devcontainers/features/go:1": {"integrity": "sha256:00"}`)},
			inputs:   []string{"devcontainer-lock.json"},
		},
		"a release of GitHub, which no lockfile pins": {
			features: `"owner/repository/name": {}`,
			files:    map[string]string{"devcontainer-lock.json": lock(`"owner/repository/name": {"integrity": "sha256:00"}`)},
			inputs:   []string{"devcontainer-lock.json"},
			codes:    []string{"FeatureNotCovered::0"},
		},
		"an archive, locked by its normal URL": {
			features: `"https://Host.Example:443/devcontainer-feature-x.tgz": {}`,
			files:    map[string]string{"devcontainer-lock.json": lock(`"https://host.example/devcontainer-feature-x.tgz": {"integrity": "sha256:00"}`)},
			inputs:   []string{"devcontainer-lock.json"},
		},
		"an empty lockfile": {
			features: `"./one": {}`,
			files:    map[string]string{"devcontainer-lock.json": "", "one/install.sh": ""},
			inputs:   []string{"devcontainer-lock.json", "one/install.sh"},
		},
		"a lockfile of spaces": {
			features: `"registry.example/f:1": {}`,
			files:    map[string]string{"devcontainer-lock.json": " \n"},
			inputs:   []string{"devcontainer-lock.json"},
			codes:    []string{"FeatureNotCovered::0"},
		},
		"a lockfile with entries of other types": {
			features: `"registry.example/f:1": {}`,
			files:    map[string]string{"devcontainer-lock.json": lock(`"registry.example/f:1": "sha256:00"`)},
			inputs:   []string{"devcontainer-lock.json"},
			codes:    []string{"FeatureNotCovered::0"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{".devcontainer/devcontainer.json": featuresBase + test.features + "}}"}
			for name, contents := range test.files {
				files[".devcontainer/"+name] = contents
			}
			key := compute(t, workspaceOf(t, files), Options{Inputs: []string{InputFeatures}})
			want := []string{}
			for _, name := range test.inputs {
				want = append(want, ".devcontainer/"+name)
			}
			if diff := cmp.Diff(want, named(key, InputFeatures)); diff != "" {
				t.Errorf("inputs (-want +got):\n%s", diff)
			}
			if test.codes == nil {
				test.codes = []string{}
			}
			if diff := cmp.Diff(test.codes, codes(key)); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			incomplete := len(test.codes) > 0 && test.codes[0] == "FeatureNotCovered::0"
			if key.Complete == incomplete {
				t.Errorf("complete: %v, want %v", key.Complete, !incomplete)
			}
		})
	}
}
