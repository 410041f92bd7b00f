// Package figure is what benchmarks report.
package figure

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
)

// Direction says which values of a figure are better.
type Direction string

const (
	// Lower values are better, as of times and calls.
	Lower Direction = "lower"
	// Higher values are better, as of rates.
	Higher Direction = "higher"
)

// Figure is one thing measured.
type Figure struct {
	// Name tells what was measured, in words.
	Name  string
	Value float64
	// Unit of value and reference: "s", "ms", "MB", "calls", …
	Unit string
	// Reference is what the value is compared with, measured in the same run or known from elsewhere. 0: nothing.
	Reference float64
	// Ratio is value divided by reference. 0: there is no reference.
	Ratio float64
	// Goal is for the ratio where there is one, else for the value. 0: none.
	Goal   float64
	Better Direction
}

// MarshalJSON writes the figure with all its keys; null is what there isn't.
func (f Figure) MarshalJSON() ([]byte, error) {
	given := func(value float64) *float64 {
		if value == 0 {
			return nil
		}
		return &value
	}
	return json.Marshal(struct {
		Name      string    `json:"name"`
		Value     float64   `json:"value"`
		Unit      string    `json:"unit"`
		Reference *float64  `json:"reference"`
		Ratio     *float64  `json:"ratio"`
		Goal      *float64  `json:"goal"`
		Better    Direction `json:"better"`
	}{f.Name, f.Value, f.Unit, given(f.Reference), given(f.Ratio), given(f.Goal), f.Better})
}

// Against returns the figure with a reference and the ratio to it.
func (f Figure) Against(reference float64) Figure {
	f.Reference = reference
	if reference != 0 {
		f.Ratio = f.Value / reference
	}
	return f
}

// Met reports whether the goal is reached. A figure without a goal has reached it.
func (f Figure) Met() bool {
	reached := f.Value
	if f.Ratio != 0 {
		reached = f.Ratio
	}
	switch {
	case f.Goal == 0:
		return true
	case f.Better == Higher:
		return reached >= f.Goal
	default:
		return reached <= f.Goal
	}
}

// WriteJSON writes the figures as a list, for programs.
func WriteJSON(w io.Writer, figures []Figure) error {
	if figures == nil {
		figures = []Figure{}
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(figures); err != nil {
		return fmt.Errorf("write figures: %w", err)
	}
	return nil
}

// WriteTable writes the figures in aligned columns, for people.
func WriteTable(w io.Writer, figures []Figure) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WHAT\tVALUE\tUNIT\tREFERENCE\tRATIO\tGOAL\t")
	for _, f := range figures {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t\n",
			f.Name, number(f.Value), f.Unit, optional(f.Reference), optional(f.Ratio), f.goal())
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("write table of figures: %w", err)
	}
	return nil
}

func (f Figure) goal() string {
	if f.Goal == 0 {
		return ""
	}
	sign := "≤"
	if f.Better == Higher {
		sign = "≥"
	}
	verdict := "met"
	if !f.Met() {
		verdict = "missed"
	}
	return fmt.Sprintf("%s %s %s", sign, number(f.Goal), verdict)
}

func optional(value float64) string {
	if value == 0 {
		return ""
	}
	return number(value)
}

// number keeps three significant digits and never an exponent.
func number(value float64) string {
	switch {
	case value >= 100 || value <= -100:
		return strconv.FormatFloat(value, 'f', 0, 64)
	case value >= 1 || value <= -1:
		return strconv.FormatFloat(value, 'f', 2, 64)
	default:
		return strconv.FormatFloat(value, 'f', 4, 64)
	}
}
