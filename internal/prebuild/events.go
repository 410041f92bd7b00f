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
	output map[string][]runner.Event // the last lines, by service of Docker Compose
}

// Named returns the events of one of several items, for a common log.
func Named(to runner.Events, item Item) runner.Events {
	return &named{to: to, name: item.Name(), output: map[string][]runner.Event{}}
}

// Emit passes an event on.
func (n *named) Emit(event runner.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch event.Kind {
	case runner.EventProgress, runner.EventSection:
		return
	case runner.EventOutput:
		lines := append(n.output[event.Service], event)
		n.output[event.Service] = lines[max(0, len(lines)-maxOutput):]
		return
	case runner.EventFailed:
		for _, line := range n.output[event.Service] {
			n.pass(line)
		}
		delete(n.output, event.Service)
	case runner.EventFinished:
		delete(n.output, event.Service)
	}
	n.pass(event)
}

func (n *named) pass(event runner.Event) {
	if event.Text != "" {
		event.Text = n.name + ": " + event.Text
	}
	n.to.Emit(event)
}
