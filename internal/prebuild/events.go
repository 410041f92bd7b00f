package prebuild

import (
	"sync"

	"imagecache.dev/internal/runner"
)

// maxOutput is how many of the last lines of a builder's output a failed build shows.
const maxOutput = 50

// named passes on the events of one of several items that are built at once, each with the item's name. It leaves out
// the progress of transfers, and a builder's output unless the build fails.
type named struct {
	to   runner.Events
	name string

	mu     sync.Mutex
	output []runner.Event // the last lines
}

// Named returns the events of one of several items, for a common log.
func Named(to runner.Events, item Item) runner.Events { return &named{to: to, name: item.Name()} }

// Emit passes an event on.
func (n *named) Emit(event runner.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch event.Kind {
	case runner.EventProgress, runner.EventSection:
		return
	case runner.EventOutput:
		if n.output = append(n.output, event); len(n.output) > maxOutput {
			n.output = n.output[1:]
		}
		return
	case runner.EventFailed:
		for _, line := range n.output {
			n.pass(line)
		}
		n.output = nil
	case runner.EventFinished:
		n.output = nil
	}
	n.pass(event)
}

func (n *named) pass(event runner.Event) {
	if event.Text != "" {
		event.Text = n.name + ": " + event.Text
	}
	n.to.Emit(event)
}
