// Package timeline tells what an environment waited for: the steps of its request, with the times that the request's
// status and reports hold. It is pure.
package timeline

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/display"
)

// unreported is how long after the answer a pull may go on that nobody reported.
const unreported = 10 * time.Minute

// State is how a step is doing.
type State string

// States of a step.
const (
	Done    State = "done"
	Running State = "running"
	Failed  State = "failed"
)

// Step is one part of the way from the question to the container.
type Step struct {
	Name  string
	State State
	// From and To bound the step. Of a running one, To is now.
	From, To time.Time
	// Text tells in words what happened.
	Text string
}

// Took returns how long a step took, or has taken so far.
func (s Step) Took() time.Duration { return max(0, s.To.Sub(s.From)) }

// Of returns the steps of a request, in order.
func Of(request *v1alpha1.DevcontainerImage, now time.Time) []Step {
	w := &walk{request: request, now: now, at: request.CreationTimestamp.Time}
	w.asked()
	if !w.answered() {
		return w.steps
	}
	switch request.Status.Role {
	case v1alpha1.RoleBuilder:
		w.built()
		w.uploaded()
		w.published()
	case v1alpha1.RoleWaiter:
		w.waited()
	case v1alpha1.RoleLocalBuild:
		w.builtForItself()
	}
	w.pulled()
	w.ready()
	return w.steps
}

// walk goes through a request. at is the end of the last step.
type walk struct {
	request *v1alpha1.DevcontainerImage
	now, at time.Time
	steps   []Step
}

func (w *walk) add(name string, state State, from, to time.Time, text string) {
	if state == Running || to.IsZero() {
		to = w.now
	}
	if to.Before(from) { // clocks of the runner and of the cluster differ, and times are whole seconds
		to = from
	}
	w.steps = append(w.steps, Step{Name: name, State: state, From: from, To: to, Text: text})
	if to.After(w.at) {
		w.at = to
	}
}

func (w *walk) condition(kind string) *metav1.Condition {
	return meta.FindStatusCondition(w.request.Status.Conditions, kind)
}

func (w *walk) asked() {
	spec := &w.request.Spec
	text := "environment " + spec.EnvironmentID + " asked"
	switch spec.Trigger {
	case v1alpha1.TriggerRebuild:
		text += " for a rebuild"
	case v1alpha1.TriggerPrebuild:
		text = "prebuild " + spec.EnvironmentID + " asked"
	}
	if spec.CachePolicy == v1alpha1.CachePolicyRefresh {
		text += ", and wants a new image"
	}
	w.add("Asked", Done, w.at, w.at, text)
}

func (w *walk) answered() bool {
	status := &w.request.Status
	found := w.condition(v1alpha1.ConditionLookedUp)
	switch {
	case status.CacheResult == "" && found != nil && found.Status == metav1.ConditionFalse:
		w.add("Answered", Running, w.at, w.now, "the lookup failed and is tried again: "+found.Message)
		return false
	case status.CacheResult == "":
		w.add("Answered", Running, w.at, w.now, "waits for the manager's answer")
		return false
	}
	at := w.at
	if found != nil && found.Status == metav1.ConditionTrue {
		at = found.LastTransitionTime.Time
	}
	text := string(status.CacheResult)
	if status.Reason != "" {
		text += " (" + status.Reason + ")"
	}
	w.add("Answered", Done, w.at, at, text)
	return true
}

func (w *walk) built() {
	from := w.at
	builder := w.request.Status.Builder
	if builder != nil && builder.StartedAt != nil {
		from = builder.StartedAt.Time
	}
	report := w.request.Spec.Build
	switch {
	case report == nil && !w.request.Status.FinishedAt.IsZero():
		w.add("Built", Failed, from, w.request.Status.FinishedAt.Time, "the builder reported no build")
	case report == nil:
		text := "builds for all environments with this hash"
		if builder != nil && builder.ExpectedSeconds != nil {
			text += ", about " + display.Seconds(builder.ExpectedSeconds) + " as earlier builds"
		}
		w.add("Built", Running, from, w.now, text)
	case report.Outcome == v1alpha1.BuildFailed:
		w.add("Built", Failed, from, from.Add(seconds(report.DurationSeconds)), "the build failed: "+report.Message)
	default:
		w.add("Built", Done, from, from.Add(seconds(report.DurationSeconds)), "built the image")
	}
}

func (w *walk) uploaded() {
	report := w.request.Spec.Build
	if report == nil || report.Outcome == v1alpha1.BuildFailed {
		return
	}
	upload, published := w.request.Status.Upload, w.condition(v1alpha1.ConditionPublished)
	ended := published != nil &&
		(published.Status == metav1.ConditionTrue || !w.request.Status.FinishedAt.IsZero())
	if upload == nil {
		return // refused before any upload, or every layer was there
	}
	text := fmt.Sprintf("uploads the layers that the registry lacks; %d are missing", upload.MissingLayers)
	if !ended {
		w.add("Uploaded", Running, upload.StartedAt.Time, w.now, text)
		return
	}
	w.add("Uploaded", Done, upload.StartedAt.Time, published.LastTransitionTime.Time,
		"uploaded the layers that the registry lacked")
}

func (w *walk) published() {
	published := w.condition(v1alpha1.ConditionPublished)
	if published == nil {
		return
	}
	at := published.LastTransitionTime.Time
	switch {
	case published.Status == metav1.ConditionTrue:
		w.add("Published", Done, at, at, "the image is in the cache, for all environments of the project")
	case !w.request.Status.FinishedAt.IsZero():
		w.add("Published", Failed, at, at, published.Reason+": "+published.Message)
	}
}

func (w *walk) waited() {
	text := "waits for the environment that builds"
	if builder := w.request.Status.Builder; builder != nil {
		text = "waits for environment " + display.Or(builder.EnvironmentID, builder.Name) + ", which builds the same image"
		if builder.UploadingSince != nil {
			text += " and uploads it since " + builder.UploadingSince.UTC().Format(time.TimeOnly) + " UTC"
		} else if builder.ExpectedSeconds != nil {
			text += ", about " + display.Seconds(builder.ExpectedSeconds)
		}
	}
	ready := w.condition(v1alpha1.ConditionReady)
	if ready != nil && ready.Status == metav1.ConditionTrue {
		w.add("Waited", Done, w.at, ready.LastTransitionTime.Time, "another environment built the image")
		return
	}
	if !w.request.Status.FinishedAt.IsZero() {
		w.add("Waited", Failed, w.at, w.request.Status.FinishedAt.Time, "did not get the builder's image")
		return
	}
	w.add("Waited", Running, w.at, w.now, text)
}

func (w *walk) builtForItself() {
	text := "builds for itself and publishes nothing"
	report := w.request.Spec.Build
	if report == nil {
		w.add("Built", Done, w.at, w.at, text)
		return
	}
	state := Done
	if report.Outcome == v1alpha1.BuildFailed {
		state, text = Failed, "the build failed: "+report.Message
	}
	w.add("Built", state, w.at, w.at.Add(seconds(report.DurationSeconds)), text)
}

func (w *walk) pulled() {
	image, report := w.request.Status.Image, w.request.Spec.Pull
	switch {
	case report != nil:
		to := w.at.Add(seconds(report.DurationSeconds))
		if pulled := w.condition(v1alpha1.ConditionPulled); pulled != nil {
			to = pulled.LastTransitionTime.Time
		}
		from := to.Add(-seconds(report.DurationSeconds))
		if report.Outcome == v1alpha1.PullFailed {
			w.add("Pulled", Failed, from, to, "the pull failed, and the environment builds for itself: "+report.Message)
			return
		}
		w.add("Pulled", Done, from, to, "pulled the image")
	case image == nil || w.request.Status.Role == v1alpha1.RoleBuilder:
	case w.now.Sub(w.at) < unreported:
		w.add("Pulled", Running, w.at, w.now, "the environment pulls the image")
	default:
		w.add("Pulled", Done, w.at, w.at, "the runner reported no pull")
	}
}

// ready ends the way. A hit is finished for the cluster with its answer; its environment is when it has pulled.
func (w *walk) ready() {
	if w.request.Status.FinishedAt.IsZero() || w.steps[len(w.steps)-1].State == Running {
		return
	}
	at := w.request.Status.FinishedAt.Time
	if w.at.After(at) {
		at = w.at
	}
	if ready := w.condition(v1alpha1.ConditionReady); ready != nil && ready.Status == metav1.ConditionFalse {
		w.add("Ended", Failed, at, at, ready.Reason+": "+ready.Message)
		return
	}
	text := "nothing more to wait for"
	if saved := w.request.Status.SavedSeconds; saved != nil && *saved > 0 && w.request.Spec.Pull != nil {
		text = "saved " + display.Seconds(saved) + " of build time"
	}
	w.add("Ready", Done, at, at, text)
}

func seconds(n *int64) time.Duration {
	if n == nil {
		return 0
	}
	return time.Duration(*n) * time.Second
}
