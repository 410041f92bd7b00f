package imageconfig

import (
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// cache is a property that v1.ConfigFile does not know.
const cache = `"moby.buildkit.cache.v0":"bGF5ZXJz"`

func TestEditKeepsWhatItDoesNotKnow(t *testing.T) {
	edit := Edit{Labels: map[string]string{"b": "ours"}, Platform: v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}}
	for name, test := range map[string]struct{ config, want string }{
		"unknown properties": {
			`{"os":"linux","architecture":"amd64",` + cache + `,"rootfs":{"type":"layers","diff_ids":[]},"config":{"User":"dev","Labels":{"a":"1","b":"2"},"New":[1]}}`,
			`{"architecture":"amd64","config":{"Labels":{"a":"1","b":"ours"},"New":[1],"User":"dev"},` + cache + `,"os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`,
		},
		"neither labels nor platform": {
			`{` + cache + `,"config":null,"os":"","extra":1.0e3}`,
			`{"architecture":"arm64","config":{"Labels":{"b":"ours"}},"extra":1.0e3,` + cache + `,"os":"linux","variant":"v8"}`,
		},
		"nothing": {`{}`, `{"architecture":"arm64","config":{"Labels":{"b":"ours"}},"os":"linux","variant":"v8"}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := edit.Apply([]byte(test.config))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
	for _, wrong := range []string{``, `[]`, `{"config":[]}`, `{"config":{"Labels":[]}}`} {
		if got, err := edit.Apply([]byte(wrong)); err == nil {
			t.Errorf("%s became %s, want an error", wrong, got)
		}
	}
}

func TestEditedImageIsWhole(t *testing.T) {
	image, err := random.Image(1000, 3)
	if err != nil {
		t.Fatal(err)
	}
	edited, err := Edit{Labels: map[string]string{"a": "1"}}.Image(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(edited); err != nil {
		t.Error(err)
	}
	config, err := edited.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.Labels["a"] != "1" {
		t.Errorf("labels %v, want the one that was added", config.Config.Labels)
	}
}
