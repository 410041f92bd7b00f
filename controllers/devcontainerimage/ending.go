package devcontainerimage

import (
	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/controllers/outcome"
	"imagecache.dev/controllers/projects"
)

// ending is what a step came to, and with it the pass. The zero value lets the next step run.
type ending struct {
	// final means that the request is finished. reason and message are then those of Ready.
	final   bool
	reason  string
	message string
	// err is why the request is not ready: it waits, failed for good (terminal), or met an error of AWS or the
	// cluster.
	err error
	// publication is the fate of the builder's image. It may be known before the request is finished.
	publication *fate
}

// fate is whether a builder's image was published, and why.
type fate struct {
	published bool
	reason    string
	message   string
}

// finished ends a request with success: the answer is final.
func finished(reason, message string) ending {
	return ending{final: true, reason: reason, message: message}
}

// failed ends a request without an image: the answer is final.
func failed(reason, message string) ending {
	return ending{final: true, err: &outcome.TerminalError{Reason: reason, Message: message}}
}

// with adds the fate of the builder's image.
func (e ending) with(f fate) ending {
	e.publication = &f
	return e
}

// handOver ends a request that has an image when credentials to pull it exist. A prebuild pulls nothing.
func (p *pass) handOver(reason, message string) (ending, error) {
	if isPrebuild(p.image) {
		return finished(reason, message), nil
	}
	credentials := projects.UsablePullCredentials(p.project, p.awsNow)
	if credentials == nil {
		return ending{}, outcome.Waitingf(v1alpha1.ReasonProgressing, 0,
			"%s; the controller is creating pull credentials", message)
	}
	p.status.PullCredentials = credentials
	p.status.SavedSeconds = savedSeconds(p.status.Image, p.image.Spec.Pull)
	return finished(reason, message), nil
}

// isPrebuild reports whether no environment waits for the answer.
func isPrebuild(image *v1alpha1.DevcontainerImage) bool {
	return image.Spec.Trigger == v1alpha1.TriggerPrebuild
}
