// Package console shows what happens while an image is prepared: to a person on a terminal, as plain lines in a pipe, or
// as JSON lines to a program.
package console

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"imagecache.dev/internal/runner"
)

// Style is what the place that is written to can show.
type Style struct {
	// Terminal says that a line can be written over.
	Terminal bool
	// Color says that colours are wanted.
	Color bool
	// Width of the terminal in columns; lines that are written over are cut to it.
	Width int
}

// Log writes events as lines. It is safe for concurrent use.
type Log struct {
	out   io.Writer
	style Style
	now   func() time.Time

	mu sync.Mutex
	// shown is whether the last line is one that will be written over.
	shown bool
	// drawn is when it was last written, so that progress does not flood the terminal.
	drawn time.Time
	texts map[string]string
}

// NewLog makes a log of lines.
func NewLog(out io.Writer, style Style) *Log {
	return &Log{out: out, style: style, now: time.Now, texts: map[string]string{}}
}

// brief are the steps that end so soon that plain lines tell of their end alone.
var brief = map[string]bool{"Read": true, "Lookup": true, "Save": true, "Publish": true}

// Emit shows an event.
func (l *Log) Emit(event runner.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch event.Kind {
	case runner.EventSection:
		l.line(l.style.Title(event.Text))
	case runner.EventStarted:
		l.texts[event.Step] = event.Text
		if !l.style.Terminal && !brief[event.Step] {
			l.line("  " + event.Text)
		}
		l.redraw(event.Text, true)
	case runner.EventProgress:
		l.redraw(l.texts[event.Step]+"  "+progressBar(event.DoneBytes, event.TotalBytes), event.DoneBytes == event.TotalBytes)
	case runner.EventOutput:
		l.line(l.style.dim("    │ " + event.Text))
		l.redraw(l.texts[event.Step], false)
	case runner.EventFinished:
		l.line(fmt.Sprintf("  %s %s%s", l.style.Mark(MarkOK), event.Text, l.style.dim(took(event.Seconds))))
	case runner.EventFailed:
		l.line(fmt.Sprintf("  %s %s%s", l.style.Mark(MarkFailed), event.Text, l.style.dim(took(event.Seconds))))
	case runner.EventNotice:
		l.line("  " + l.style.Mark(MarkWarning) + " " + event.Text)
	case runner.EventSaved:
		l.line("  " + event.Text)
	}
}

// Line writes a line that is no event.
func (l *Log) Line(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line(text)
}

func (l *Log) line(text string) {
	l.erase()
	_, _ = fmt.Fprintln(l.out, text)
}

func (l *Log) erase() {
	if l.shown {
		_, _ = io.WriteString(l.out, "\r\x1b[K")
		l.shown = false
	}
}

// redraw shows what is going on in a line that the next one replaces.
func (l *Log) redraw(text string, now bool) {
	const often = 100 * time.Millisecond
	if !l.style.Terminal || text == "" || !now && l.shown && l.now().Sub(l.drawn) < often {
		return
	}
	l.erase()
	_, _ = io.WriteString(l.out, l.style.dim(cut("  … "+text, l.style.Width-1)))
	l.shown, l.drawn = true, l.now()
}

// progressBar draws how far a transfer is.
func progressBar(done, total int64) string {
	const width = 20
	if total <= 0 {
		return megabytes(done)
	}
	done = min(done, total)
	filled := int(width * done / total)
	return fmt.Sprintf("[%s%s] %3d %%  %s / %s", strings.Repeat("█", filled), strings.Repeat("░", width-filled),
		100*done/total, megabytes(done), megabytes(total))
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }

func took(seconds float64) string { return fmt.Sprintf("  %.1f s", seconds) }

// cut shortens a text to a number of columns, counting a character as one.
func cut(text string, columns int) string {
	characters := []rune(text)
	if columns < 2 || len(characters) <= columns {
		return text
	}
	return string(characters[:columns-1]) + "…"
}
