// Package console shows what happens while an image is prepared: to a person on a terminal, as plain lines in a pipe, or
// as JSON lines to a program.
package console

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

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

	mu sync.Mutex
	// shown is whether the last line is one that will be written over.
	shown bool
	// drawn is when it was last written, so that progress does not flood the terminal.
	drawn time.Time
	texts map[string]string
	paces paces
}

// NewLog makes a log of lines.
func NewLog(out io.Writer, style Style) *Log {
	return &Log{out: out, style: style, texts: map[string]string{}, paces: newPaces()}
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
		l.redraw(event.Text, "", true)
	case runner.EventProgress:
		l.progress(event)
	case runner.EventOutput:
		l.line(l.style.dim("    │ " + event.Text))
		l.redraw(l.texts[event.Step], "", false)
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

// progress shows how far a transfer is: as a bar on a terminal, else in a line now and then, so that a reader of the log
// sees that a long one goes on.
func (l *Log) progress(event runner.Event) {
	finished := event.DoneBytes == event.TotalBytes
	if l.style.Terminal {
		l.redraw(l.texts[event.Step], "  "+progressBar(event.DoneBytes, event.TotalBytes), finished)
		return
	}
	if l.paces.due(event, plainPace) && !finished {
		l.line("    " + progressText(event.DoneBytes, event.TotalBytes))
	}
}

// redraw shows what is going on in a line that the next one replaces: a text, cut to the terminal's width, and its end.
func (l *Log) redraw(text, end string, now bool) {
	const often = 100 * time.Millisecond
	if !l.style.Terminal || text == "" || !now && l.shown && l.paces.now().Sub(l.drawn) < often {
		return
	}
	l.erase()
	room := l.style.Width - 1
	if length := utf8.RuneCountInString(end); length < room {
		text = cut("  … "+text, room-length) + end
	} else {
		text = cut("  … "+text, room)
	}
	_, _ = io.WriteString(l.out, l.style.dim(text))
	l.shown, l.drawn = true, l.paces.now()
}

// progressBar draws how far a transfer is.
func progressBar(done, total int64) string {
	const width = 20
	if total <= 0 {
		return megabytes(done)
	}
	filled := int(width * min(done, total) / total)
	return fmt.Sprintf("[%s%s] %s", strings.Repeat("█", filled), strings.Repeat("░", width-filled), progressText(done, total))
}

// progressText says how far a transfer is.
func progressText(done, total int64) string {
	if total <= 0 {
		return megabytes(done)
	}
	done = min(done, total)
	return fmt.Sprintf("%3d %%  %s / %s", 100*done/total, megabytes(done), megabytes(total))
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
