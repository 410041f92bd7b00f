package runner

import (
	"slices"
	"time"
)

// usable tells everybody that the image is in its destination and can be used. meanwhile tells a person what goes on;
// it may be empty.
func (p *preparation) usable(meanwhile string) {
	p.result.Seconds.Total = seconds(time.Since(p.began))
	if p.result.Image != "" {
		p.steps.events.Emit(Event{Kind: EventUsable, Image: p.result.Image, Text: meanwhile})
	}
	if p.runner.Usable == nil {
		return
	}
	told := *p.result // the run goes on to change its own
	told.Warnings, told.Notices = slices.Clone(told.Warnings), slices.Clone(told.Notices)
	p.runner.Usable(told)
}
