package page

import (
	"net/url"
	"strconv"
	"strings"
)

// pageLength is how many rows a page has.
const pageLength = 50

// filter is what a list's form asks for. The server filters and pages.
type filter struct {
	Query string
	// Pick is one of the choices of the list, "" for all.
	Pick string
	Page int
}

func filterOf(form url.Values) filter {
	page, err := strconv.Atoi(form.Get("page"))
	if err != nil || page < 1 {
		page = 1
	}
	return filter{Query: strings.TrimSpace(form.Get("q")), Pick: form.Get("pick"), Page: page}
}

// matches reports whether one of some texts has what was searched for.
func (f filter) matches(texts ...string) bool {
	if f.Query == "" {
		return true
	}
	wanted := strings.ToLower(f.Query)
	for _, text := range texts {
		if strings.Contains(strings.ToLower(text), wanted) {
			return true
		}
	}
	return false
}

// excerpt is one page of a list.
type excerpt[T any] struct {
	Filter            filter
	Rows              []T
	Total, From, To   int
	Previous, Next    string // queries of the neighbouring pages, "" without one
	Placeholder, What string
	Choices           []choice
}

// choice is one value of a list's selection.
type choice struct{ Value, Text string }

// cut returns one page of rows.
func cut[T any](rows []T, f filter) excerpt[T] {
	last := max(1, (len(rows)+pageLength-1)/pageLength)
	f.Page = min(f.Page, last)
	from := (f.Page - 1) * pageLength
	to := min(from+pageLength, len(rows))
	e := excerpt[T]{Filter: f, Rows: rows[from:to], Total: len(rows), From: min(from+1, to), To: to}
	if f.Page > 1 {
		e.Previous = f.address(f.Page - 1)
	}
	if f.Page < last {
		e.Next = f.address(f.Page + 1)
	}
	return e
}

// address is the query of another page of the same list.
func (f filter) address(page int) string {
	query := url.Values{"page": {strconv.Itoa(page)}}
	if f.Query != "" {
		query.Set("q", f.Query)
	}
	if f.Pick != "" {
		query.Set("pick", f.Pick)
	}
	return "?" + query.Encode()
}
