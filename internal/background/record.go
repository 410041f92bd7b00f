// Package background carries publications on after the process that built the image has ended: it starts a process for
// each, hands it what it needs, and keeps a record of it that others can list and wait for.
package background

import "time"

// State is what became of a publication.
type State string

// States. Abandoned is a record that says Running, and whose process is gone.
const (
	Running   State = "Running"
	Published State = "Published"
	Failed    State = "Failed"
	Abandoned State = "Abandoned"
)

// Record is one publication. Its JSON form is the file of a record, and what `imagecache publications -o json`
// prints. It holds no credential.
type Record struct {
	// Name is the name of the request, too. It is at most 63 characters, as in a label's value.
	Name        string `json:"name"`
	Namespace   string `json:"namespace"`
	Project     string `json:"project"`
	Hash        string `json:"hash"`
	Environment string `json:"environment"`

	State State      `json:"state"`
	Began time.Time  `json:"began"`
	Ended *time.Time `json:"ended,omitempty"`

	// Image is the image's name on this machine, and Reference the published image.
	Image     string `json:"image"`
	Reference string `json:"reference,omitempty"`
	// Reason tells why the image was not published.
	Reason string `json:"reason,omitempty"`
	// Log is the path of the log file.
	Log string `json:"log"`

	// Engine is the name of the engine whose store has the image, and KeptName the name that keeps it there. It is empty
	// as soon as nothing keeps the image.
	Engine   string `json:"engine"`
	KeptName string `json:"keptName,omitempty"`
}

// finished reports whether nothing will change any more.
func (r Record) finished() bool { return r.State != Running }
