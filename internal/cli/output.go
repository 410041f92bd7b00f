package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/yaml"
)

// Output formats of commands that show something. The zero value is a table.
const (
	FormatWide = "wide" // a table with all columns
	FormatJSON = "json"
	FormatYAML = "yaml"
)

// Output holds the output flags of a command.
type Output struct {
	Format    string
	NoHeaders bool // a table without its first line
}

// AddFlags adds -o and --no-headers to a command.
func (o *Output) AddFlags(flags *pflag.FlagSet) {
	flags.StringVarP(&o.Format, "output", "o", "", "output format: wide, json or yaml")
	flags.BoolVar(&o.NoHeaders, "no-headers", false, "don't print the table's headers")
}

// Validate returns a usage error if the format is not known.
func (o *Output) Validate() error {
	switch o.Format {
	case "", FormatWide, FormatJSON, FormatYAML:
		return nil
	}
	return UsageError("--output must be wide, json or yaml, not %q", o.Format)
}

// IsTable reports whether the output is a table for a person.
func (o *Output) IsTable() bool { return o.Format == "" || o.Format == FormatWide }

// Encode writes a value as YAML, or as JSON in any other format.
func (o *Output) Encode(out io.Writer, value any) error {
	if o.Format == FormatYAML {
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

// Column is a column of a table. Wide columns are shown only with -o wide.
type Column struct {
	Name string
	Wide bool
}

// Table writes rows as kubectl does.
func (o *Output) Table(out io.Writer, columns []Column, rows [][]any) error {
	table := &metav1.Table{}
	for _, column := range columns {
		priority := int32(0)
		if column.Wide {
			priority = 1
		}
		table.ColumnDefinitions = append(
			table.ColumnDefinitions, metav1.TableColumnDefinition{Name: column.Name, Type: "string", Priority: priority},
		)
	}
	for _, cells := range rows {
		table.Rows = append(table.Rows, metav1.TableRow{Cells: cells, Object: runtime.RawExtension{}})
	}
	printer := printers.NewTablePrinter(printers.PrintOptions{Wide: o.Format == FormatWide, NoHeaders: o.NoHeaders})
	if err := printer.PrintObj(table, out); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}
