package page

import "testing"

func TestAListIsCutIntoPages(t *testing.T) {
	rows := make([]int, 120)
	for _, test := range []struct {
		page, from, to int
		previous, next string
	}{
		{1, 1, 50, "", "?page=2&q=x"}, {2, 51, 100, "?page=1&q=x", "?page=3&q=x"}, {3, 101, 120, "?page=2&q=x", ""},
		{99, 101, 120, "?page=2&q=x", ""}, // after the last
	} {
		got := cut(rows, filter{Query: "x", Page: test.page})
		if got.From != test.from || got.To != test.to || got.Previous != test.previous || got.Next != test.next || got.Total != 120 {
			t.Errorf("page %d: %d to %d, previous %q, next %q", test.page, got.From, got.To, got.Previous, got.Next)
		}
	}
	if got := cut([]int{}, filter{Page: 1}); got.From != 0 || got.To != 0 || got.Next != "" {
		t.Errorf("an empty list: %+v", got)
	}
}
