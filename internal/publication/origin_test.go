package publication

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imagecache.dev/internal/imagelabel"
)

var origin = Origin{
	Hash: expected.Hash, HashVersion: 1, Platform: "linux/amd64", Environment: "e-17", BuildSeconds: 225,
	Inputs: []Input{{"devcontainer.json", layerDigest}, {`BuildContext src/"<a>" &.txt`, layerDigest}},
}

func TestAnnotatedImageTellsItsOrigin(t *testing.T) {
	image, rejection := Check(reportOf(t, nil, nil), expected)
	if rejection != nil {
		t.Fatal(rejection)
	}
	annotated, err := image.Annotate(origin)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(origin, OriginIn(annotated.Manifest)); diff != "" {
		t.Error(diff)
	}
	again, err := image.Annotate(origin)
	if err != nil || string(again.Manifest) != string(annotated.Manifest) {
		t.Errorf("the second time, the manifest is another: %v", err)
	}
}

func TestAnnotatedImageTellsItsService(t *testing.T) {
	image, rejection := Check(reportOf(t, nil, nil), expected)
	if rejection != nil {
		t.Fatal(rejection)
	}
	of := origin
	of.Service = "web-1.api_x"
	annotated, err := image.Annotate(of)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(of, OriginIn(annotated.Manifest)); diff != "" {
		t.Error(diff)
	}
	plain, err := image.Annotate(origin)
	if err != nil || strings.Contains(string(plain.Manifest), imagelabel.Service) {
		t.Errorf("the image of no service has the annotation: %v\n%s", err, plain.Manifest)
	}
}

func TestLongestOriginIsRead(t *testing.T) {
	longest := origin
	longest.Inputs = nil
	for n := range maxInputs { // control characters are the longest in JSON
		longest.Inputs = append(longest.Inputs, Input{Name: fmt.Sprintf("%c%s", rune('A'+n), strings.Repeat("\x01", maxInputNameChars-1)), Digest: layerDigest})
	}
	image := &Image{Manifest: reportOf(t, nil, nil).Manifest}
	annotated, err := image.Annotate(longest)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(longest, OriginIn(annotated.Manifest)); diff != "" {
		t.Error(diff)
	}
}

func TestOriginLeavesOutWhatTheControllerDoesNotWrite(t *testing.T) {
	list := func(count int, edit func(*Input)) string {
		var inputs []Input
		for n := range count {
			input := Input{Name: fmt.Sprint("input ", n), Digest: layerDigest}
			edit(&input)
			inputs = append(inputs, input)
		}
		return string(marshal(t, inputs))
	}
	same := func(*Input) {}
	for name, test := range map[string]struct {
		inputs string
		want   int
	}{
		"as it is":        {list(2, same), 2},
		"as many as may":  {list(maxInputs, same), maxInputs},
		"too many":        {list(maxInputs+1, same), 0},
		"a long name":     {list(1, func(i *Input) { i.Name = strings.Repeat("x", maxInputNameChars+1) }), 0},
		"no name":         {list(1, func(i *Input) { i.Name = "" }), 0},
		"one name twice":  {list(2, func(i *Input) { i.Name = "same" }), 0},
		"no digest":       {list(1, func(i *Input) { i.Digest = "sha256:12" }), 0},
		"no list":         {`{"name":"Dockerfile"}`, 0},
		"no JSON":         {"[", 0},
		"nothing":         {"", 0},
		"more than bytes": {"[" + strings.Repeat(" ", maxInputsBytes) + "]", 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := OriginOf(map[string]string{imagelabel.Inputs: test.inputs}); len(got.Inputs) != test.want {
				t.Errorf("%d inputs, want %d", len(got.Inputs), test.want)
			}
		})
	}
	odd := OriginOf(map[string]string{
		imagelabel.Hash: "ab", imagelabel.Version: "-1", imagelabel.Platform: "linux", imagelabel.Environment: "e-1) and \x1b[2J",
		imagelabel.Service: "web (\x1b[2J)", imagelabel.BuildSeconds: "-5",
	})
	if diff := cmp.Diff(Origin{}, odd); diff != "" {
		t.Error(diff)
	}
}

func FuzzOriginIn(f *testing.F) {
	f.Add([]byte(`{"annotations":{"dev.imagecache.inputs":"[{\"name\":\"Dockerfile\",\"digest\":\"` + layerDigest + `\"}]","dev.imagecache.environment":"e-1"}}`))
	f.Fuzz(func(t *testing.T, manifest []byte) {
		origin := OriginIn(manifest)
		if len(origin.Inputs) > maxInputs || len(origin.Environment) > 128 {
			t.Errorf("beyond its bounds: %+v", origin)
		}
		for _, input := range origin.Inputs {
			if len([]rune(input.Name)) > maxInputNameChars || len(input.Digest) != len(layerDigest) {
				t.Errorf("beyond its bounds: %+v", input)
			}
		}
	})
}
