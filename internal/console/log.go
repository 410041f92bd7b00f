// Package console shows the events of an image's preparation: to a person on a terminal, as plain lines in a pipe, or
// as JSON lines to a program.
package console

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"imagecache.dev/internal/message"
	"imagecache.dev/internal/runner"
)

// Style describes what an output can show.
type Style struct {
	// Terminal means that a line can be overwritten.
	Terminal bool
	// Color means that colors are wanted.
	Color bool
	// Width is the terminal's width in columns. Lines that will be overwritten are cut to it.
	Width int
}

// Log writes events as lines. It is safe for concurrent use.
type Log struct {
	out   io.Writer
	style Style

	mu sync.Mutex
	// shown means that the last line will be overwritten.
	shown bool
	// drawn is when that line was last written, so that progress does not flood the terminal.
	drawn time.Time
	texts map[string]string
	// announced are the steps whose text is a line already. A brief step's is, as soon as it turns out not to be brief.
	announced map[string]bool
	paces     paces
}

// NewLog returns a log of lines.
func NewLog(out io.Writer, style Style) *Log {
	return &Log{out: out, style: style, texts: map[string]string{}, announced: map[string]bool{}, paces: newPaces()}
}

// brief are steps so short that plain lines report only their end.
var brief = map[string]bool{"Read": true, "Lookup": true, "Save": true, "Publish": true}

// Emit shows an event.
func (l *Log) Emit(event runner.Event) {
	event.Text = message.Redact(event.Text)
	if event.Service != "" && event.Text != "" && event.Kind != runner.EventOutput && event.Kind != runner.EventProgress {
		event.Text = event.Service + ": " + event.Text
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch event.Kind {
	case runner.EventSection:
		l.line(l.style.Title(event.Text))
	case runner.EventStarted:
		l.texts[stepOf(event)] = event.Text
		l.announced[stepOf(event)] = false
		if !brief[event.Step] {
			l.announce(stepOf(event))
		}
		l.redraw(event.Text, "", true)
	case runner.EventProgress:
		l.progress(event)
	case runner.EventOutput:
		l.line(l.style.dim("    │ " + event.Text))
		l.redraw(l.texts[stepOf(event)], "", false)
	case runner.EventFinished:
		l.line(fmt.Sprintf("  %s %s%s", l.style.Mark(MarkOK), event.Text, l.style.dim(took(event.Seconds))))
	case runner.EventFailed:
		l.line(fmt.Sprintf("  %s %s%s", l.style.Mark(MarkFailed), event.Text, l.style.dim(took(event.Seconds))))
	case runner.EventNotice:
		l.line("  " + l.style.Mark(MarkWarning) + " " + event.Text)
	case runner.EventUsable, runner.EventSaved:
		if event.Text != "" {
			l.line("  " + event.Text)
		}
	}
}

// stepOf names the step of an event. Services of Docker Compose have steps of the same names.
func stepOf(event runner.Event) string {
	if event.Service == "" {
		return event.Step
	}
	return event.Service + " " + event.Step
}

// announce writes the text of a step, once, where lines stay.
func (l *Log) announce(step string) {
	if !l.style.Terminal && !l.announced[step] {
		l.announced[step] = true
		l.line("  " + l.texts[step])
	}
}

// Line writes a line that is not an event.
func (l *Log) Line(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line(message.Redact(text))
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

// progress shows the progress of a transfer: on a terminal as a bar, otherwise in a line from time to time, so that a
// reader of the log sees that a long transfer continues.
func (l *Log) progress(event runner.Event) {
	finished := event.DoneBytes == event.TotalBytes
	if l.style.Terminal {
		l.redraw(
			l.texts[stepOf(event)], "  "+progressBar(event.DoneBytes, event.TotalBytes)+activity(event),
			finished || event.Text != "",
		)
		return
	}
	if l.paces.due(event, plainPace) && (!finished || event.Text != "") {
		l.announce(stepOf(event))
		l.line("    " + progressText(event.DoneBytes, event.TotalBytes) + activity(event))
	}
}

// activity is what the engine does while no byte is transferred.
func activity(event runner.Event) string {
	if event.Text == "" {
		return ""
	}
	return ", " + event.Text
}

// redraw shows the current activity in a line that the next one replaces: a text, cut to the terminal's width, and a
// suffix.
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

// progressBar returns a bar for the progress of a transfer.
func progressBar(done, total int64) string {
	const width = 20
	if total <= 0 {
		return megabytes(done)
	}
	filled := int(width * min(done, total) / total)
	return fmt.Sprintf(
		"[%s%s] %s", strings.Repeat("█", filled), strings.Repeat("░", width-filled), progressText(done, total),
	)
}

// progressText describes the progress of a transfer.
func progressText(done, total int64) string {
	if total <= 0 {
		return megabytes(done)
	}
	done = min(done, total)
	return fmt.Sprintf("%3d %%  %s / %s", 100*done/total, megabytes(done), megabytes(total))
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }

func took(seconds float64) string { return fmt.Sprintf("  %.1f s", seconds) }

// cut cuts a text to a number of columns, if there is room for any. Each character counts as one.
func cut(text string, columns int) string {
	if columns < 2 {
		return text
	}
	return message.Cut(text, columns)
}
