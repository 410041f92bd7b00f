package hash

import "testing"

func TestEveryFigureIsMeasured(t *testing.T) {
	figures, err := measure(t.Context(), 10, 250)
	if err != nil {
		t.Fatal(err)
	}
	if len(figures) != 3 {
		t.Fatalf("%d figures, want 3: %+v", len(figures), figures)
	}
	for _, f := range figures {
		if f.Value <= 0 || f.Goal <= 0 {
			t.Errorf("%s is %v, with the goal %v", f.Name, f.Value, f.Goal)
		}
	}
}
