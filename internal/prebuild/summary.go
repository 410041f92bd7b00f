package prebuild

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// WriteSummary writes rows as a table in GitHub's Markdown, for the page of a CI job.
func WriteSummary(out io.Writer, project string, rows []Row) error {
	var text strings.Builder
	fmt.Fprintf(&text, "### Dev container images of %s\n\n", cell(project))
	text.WriteString("| Configuration | Result | Hash | Expires | Time | |\n|---|---|---|---|---|---|\n")
	for _, row := range rows {
		hash, expires, took := "", "", ""
		if row.Result != nil {
			hash = row.Result.Hash[:min(len(row.Result.Hash), shownHash)]
			took = fmt.Sprintf("%.0f s", row.Result.Seconds.Total)
			if row.Result.ExpiresAt != nil {
				expires = row.Result.ExpiresAt.UTC().Format(time.DateOnly)
			}
		}
		fmt.Fprintf(&text, "| %s | %s | `%s` | %s | %s | %s |\n",
			cell(row.Name()), row.Outcome(), hash, expires, took, cell(row.Reason()))
	}
	if _, err := io.WriteString(out, text.String()+"\n"); err != nil {
		return fmt.Errorf("write summary: %w", err)
	}
	return nil
}

// shownHash is how many characters of a hash a person sees.
const shownHash = 12

// cell writes a text into a cell of a table: no character of it ends the cell, or is read as markup.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;", "`", "'", "\n", " ", "[", `\[`).Replace(text)
}
