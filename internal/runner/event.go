package runner

import "time"

// Event is something worth reporting while an image is prepared.
type Event struct {
	Kind EventKind `json:"event"`
	// Step names the step of the event in a few words. It is empty for events of the whole run.
	Step string `json:"step,omitempty"`
	// Service is the service of Docker Compose whose image the event is about; empty for any other event.
	Service string `json:"service,omitempty"`
	// Text is a sentence, or one line of a build's output. Of a progress it is what the engine does while no byte is
	// transferred, and empty otherwise.
	Text string `json:"text,omitempty"`
	// Seconds is how long a finished step took.
	Seconds float64 `json:"seconds,omitempty"`
	// DoneBytes and TotalBytes are the progress of a transfer. TotalBytes is zero until it is known.
	DoneBytes  int64 `json:"doneBytes,omitempty"`
	TotalBytes int64 `json:"totalBytes,omitempty"`
	// Image is the image's name on this machine, for EventUsable.
	Image string `json:"image,omitempty"`
}

// EventKind is the kind of an event.
type EventKind string

// Kinds of events.
const (
	// EventSection begins a part of the log; Text is its title.
	EventSection EventKind = "Section"
	// EventStarted begins a step.
	EventStarted EventKind = "Started"
	// EventFinished ends a step that succeeded; Text is its result.
	EventFinished EventKind = "Finished"
	// EventFailed ends a step that failed; Text tells why.
	EventFailed EventKind = "Failed"
	// EventOutput is one line of a builder's output.
	EventOutput EventKind = "Output"
	// EventProgress is the progress of a step's transfer.
	EventProgress EventKind = "Progress"
	// EventNotice is a sentence for the reader: what the cache could not do, and what happens instead.
	EventNotice EventKind = "Notice"
	// EventUsable tells that the image can be used, and names it. It comes as soon as the destination has the image; the
	// run may go on to publish it. Text, if any, tells that. It comes for each image, and does not for a Compose
	// configuration that is not cached.
	EventUsable EventKind = "Usable"
	// EventSaved is the line that reports the use of a pre-built image.
	EventSaved EventKind = "Saved"
)

// Events receives the events of a run. It is called from several goroutines.
type Events interface {
	Emit(event Event)
}

// steps names the steps for a person and measures them.
type steps struct {
	events Events
}

// start begins a step and returns a value that ends it.
func (s steps) start(name, text string) *running {
	s.events.Emit(Event{Kind: EventStarted, Step: name, Text: text})
	return &running{steps: s, name: name, began: time.Now()}
}

func (s steps) section(title string) { s.events.Emit(Event{Kind: EventSection, Text: title}) }

func (s steps) notice(text string) { s.events.Emit(Event{Kind: EventNotice, Text: text}) }

// running is a step that has begun.
type running struct {
	steps steps
	name  string
	began time.Time
}

func (r *running) finished(text string) time.Duration { return r.end(EventFinished, text) }

func (r *running) failed(text string) time.Duration { return r.end(EventFailed, text) }

func (r *running) progress(done, total int64) {
	r.steps.events.Emit(Event{Kind: EventProgress, Step: r.name, DoneBytes: done, TotalBytes: total})
}

// extracting is the progress of a transfer that waits for the engine.
func (r *running) extracting(done, total int64) {
	r.steps.events.Emit(Event{Kind: EventProgress, Step: r.name, Text: "extracting", DoneBytes: done, TotalBytes: total})
}

func (r *running) end(kind EventKind, text string) time.Duration {
	took := time.Since(r.began)
	r.steps.events.Emit(Event{Kind: kind, Step: r.name, Text: text, Seconds: took.Seconds()})
	return took
}
