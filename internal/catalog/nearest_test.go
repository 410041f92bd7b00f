package catalog

import (
	"testing"

	"imagecache.dev/internal/publication"
)

func TestTheNearestImageHasMostInputsInCommon(t *testing.T) {
	input := func(name, digest string) publication.Input { return publication.Input{Name: name, Digest: digest} }
	images := []Image{
		{Hash: "far", Platform: "linux/amd64", Inputs: []publication.Input{input("a", "9"), input("b", "9")}},
		{Hash: "near", Platform: "linux/amd64", Inputs: []publication.Input{input("a", "1"), input("b", "2")}},
		{Hash: "same", Platform: "linux/amd64", Inputs: []publication.Input{input("a", "1"), input("b", "3")}},
		{Hash: "other", Platform: "linux/arm64", Inputs: []publication.Input{input("a", "1"), input("b", "3")}},
		{Hash: "unknown", Platform: "linux/amd64"},
	}
	asked := []publication.Input{input("a", "1"), input("b", "3"), input("c", "4")}
	nearest, differences := Nearest(images, "same", "linux/amd64", asked)
	if nearest == nil || nearest.Hash != "near" || len(differences) != 2 {
		t.Fatalf("nearest %+v, differences %v", nearest, differences)
	}
	if differences[0].Name != "b" || differences[0].Before == nil || differences[1].Name != "c" || differences[1].Before != nil {
		t.Errorf("differences %v", differences)
	}
	if nearest, _ := Nearest(nil, "same", "linux/amd64", asked); nearest != nil {
		t.Errorf("without an image %+v is the nearest", nearest)
	}
}
