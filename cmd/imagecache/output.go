package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/yaml"
)

// output holds the output flags of a command.
type output struct {
	format    string
	noHeaders bool
}

func (o *output) addFlags(flags *pflag.FlagSet) {
	flags.StringVarP(&o.format, "output", "o", "", "output format: wide, json or yaml")
	flags.BoolVar(&o.noHeaders, "no-headers", false, "don't print the table's headers")
}

func (o *output) validate() error {
	switch o.format {
	case "", "wide", "json", "yaml":
		return nil
	}
	return usageError("--output must be wide, json or yaml, not %q", o.format)
}

// isTable reports whether the output is a table for a person.
func (o *output) isTable() bool { return o.format == "" || o.format == "wide" }

// encode writes a value as JSON or YAML.
func (o *output) encode(out io.Writer, value any) error {
	if o.format == "yaml" {
		content, err := yaml.Marshal(value)
		if err != nil {
			return fmt.Errorf("write output: %w", err)
		}
		if _, err := out.Write(content); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
		return nil
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// column is a column of a table. Wide columns are shown only with -o wide.
type column struct {
	name string
	wide bool
}

// table writes rows as kubectl does.
func (o *output) table(out io.Writer, columns []column, rows [][]any) error {
	table := &metav1.Table{}
	for _, column := range columns {
		priority := int32(0)
		if column.wide {
			priority = 1
		}
		table.ColumnDefinitions = append(
			table.ColumnDefinitions, metav1.TableColumnDefinition{Name: column.name, Type: "string", Priority: priority},
		)
	}
	for _, cells := range rows {
		table.Rows = append(table.Rows, metav1.TableRow{Cells: cells, Object: runtime.RawExtension{}})
	}
	printer := printers.NewTablePrinter(printers.PrintOptions{Wide: o.format == "wide", NoHeaders: o.noHeaders})
	if err := printer.PrintObj(table, out); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// unknown is what a table shows for an unknown value.
const unknown = "<unknown>"

func sizeText(bytes *int64) string {
	switch {
	case bytes == nil:
		return unknown
	case *bytes >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(*bytes)/1e9)
	default:
		return fmt.Sprintf("%.1f MB", float64(*bytes)/1e6)
	}
}

func ageText(at *time.Time, now time.Time) string {
	if at == nil {
		return unknown
	}
	return duration.HumanDuration(now.Sub(*at))
}

func untilText(at *time.Time, now time.Time) string {
	switch {
	case at == nil:
		return unknown
	case !at.After(now):
		return "expired"
	}
	return duration.HumanDuration(at.Sub(now))
}

func secondsText(seconds *int64) string {
	if seconds == nil {
		return unknown
	}
	return duration.HumanDuration(time.Duration(*seconds) * time.Second)
}

func textOr(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
