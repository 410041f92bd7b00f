package figure

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGoalIsForTheRatioWhereThereIsOne(t *testing.T) {
	tests := []struct {
		name   string
		figure Figure
		want   bool
	}{
		{"no goal", Figure{Value: 9}, true},
		{"value below", Figure{Value: 1, Goal: 2, Better: Lower}, true},
		{"value above", Figure{Value: 3, Goal: 2, Better: Lower}, false},
		{"rate above", Figure{Value: 3, Goal: 2, Better: Higher}, true},
		{"rate below", Figure{Value: 1, Goal: 2, Better: Higher}, false},
		{"ratio below", Figure{Value: 30, Goal: 2, Better: Lower}.Against(20), true},
		{"ratio above", Figure{Value: 1, Goal: 2, Better: Lower}.Against(0.25), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.figure.Met(); got != test.want {
				t.Errorf("met: %t, want %t", got, test.want)
			}
		})
	}
}

func TestTableIsAligned(t *testing.T) {
	var table bytes.Buffer
	err := WriteTable(&table, []Figure{
		{Name: "start", Value: 3.14159, Unit: "s", Goal: 3, Better: Lower},
		Figure{Name: "hash of 5,000 files", Value: 0.0125, Unit: "s", Goal: 1.35, Better: Lower}.Against(0.01),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "" +
		"WHAT                 VALUE   UNIT  REFERENCE  RATIO  GOAL           \n" +
		"start                3.14    s                       ≤ 3.00 missed  \n" +
		"hash of 5,000 files  0.0125  s     0.0100     1.25   ≤ 1.35 met     \n"
	if diff := cmp.Diff(want, table.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

func TestNoFiguresAreAnEmptyList(t *testing.T) {
	var list bytes.Buffer
	if err := WriteJSON(&list, nil); err != nil {
		t.Fatal(err)
	}
	if got := list.String(); got != "[]\n" {
		t.Errorf("wrote %q", got)
	}
}

func TestFiguresAreWrittenWithAllTheirKeys(t *testing.T) {
	var list bytes.Buffer
	err := WriteJSON(&list, []Figure{
		{Name: "calls", Value: 0, Unit: "calls", Better: Lower},
		Figure{Name: "rate", Value: 3, Unit: "1/s", Goal: 1.5, Better: Higher}.Against(2),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := json.Unmarshal(list.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := []map[string]any{
		{"name": "calls", "value": 0.0, "unit": "calls", "reference": nil, "ratio": nil, "goal": nil, "better": "lower"},
		{"name": "rate", "value": 3.0, "unit": "1/s", "reference": 2.0, "ratio": 1.5, "goal": 1.5, "better": "higher"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("figures (-want +got):\n%s", diff)
	}
}
