package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/environment"
	"imagecache.dev/internal/runner"
)

// waitingEngine is an engine whose devcontainer up ends when it is told to.
type waitingEngine struct {
	builder.Containers
	end   chan error
	calls int
}

func (e *waitingEngine) Name() string { return "fake" }

func (e *waitingEngine) Up(ctx context.Context, _ builder.UpRequest) (*builder.UpAnswer, error) {
	e.calls++
	select {
	case err := <-e.end:
		return &builder.UpAnswer{Outcome: "success", ContainerID: "c-1"}, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (e *waitingEngine) Config(context.Context, string) (*builder.ImageConfig, error) {
	return &builder.ImageConfig{}, nil
}

// texts records what is emitted.
type texts struct {
	mu       sync.Mutex
	all      []string
	finished chan struct{} // gets a value when the container is ready before the image is published
}

func (s *texts) Emit(event runner.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, event.Text)
	if event.Text == stillPublishing {
		s.finished <- struct{}{}
	}
}

func newStarter(t *testing.T) (*starter, *waitingEngine, *texts) {
	t.Helper()
	engine, events := &waitingEngine{end: make(chan error, 1)}, &texts{finished: make(chan struct{}, 1)}
	place, err := environment.New(engine, events, t.TempDir(), "", environment.Arguments{})
	if err != nil {
		t.Fatal(err)
	}
	return &starter{place: place, events: events}, engine, events
}

func TestContainerThatIsReadyWhileTheImageIsPublished(t *testing.T) {
	start, engine, events := newStarter(t)
	start.begin(t.Context(), runner.Result{Outcome: runner.OutcomeBuilt})
	engine.end <- nil
	<-events.finished
	run, err := start.finish(t.Context(), &runner.Result{Outcome: runner.OutcomePublished}, nil)
	if err != nil || run.result.Outcome != runner.OutcomePublished || run.answer.ContainerID != "c-1" {
		t.Errorf("%+v, %v", run, err)
	}
	if engine.calls != 1 {
		t.Errorf("the container was started %d times", engine.calls)
	}
}

func TestContainerThatIsReadyAfterTheImageIsPublished(t *testing.T) {
	start, engine, events := newStarter(t)
	start.begin(t.Context(), runner.Result{Outcome: runner.OutcomeBuilt})
	go func() {
		<-start.prepared
		engine.end <- nil
	}()
	run, err := start.finish(t.Context(), &runner.Result{Outcome: runner.OutcomePublished}, nil)
	if err != nil || run.answer.ContainerID != "c-1" {
		t.Errorf("%+v, %v", run, err)
	}
	if slices.Contains(events.all, stillPublishing) {
		t.Errorf("said %q", events.all)
	}
}

func TestPublicationThatIsInterruptedLeavesTheContainer(t *testing.T) {
	start, engine, events := newStarter(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	start.begin(ctx, runner.Result{Outcome: runner.OutcomeBuilt, Image: "i"})
	engine.end <- nil
	<-events.finished
	cancel(runner.ErrInterrupted)
	run, err := start.finish(ctx, nil, runner.ErrInterrupted)
	if !errors.Is(err, runner.ErrInterrupted) || run.result.Image != "i" || run.answer == nil || run.answer.Outcome != "success" {
		t.Errorf("%+v, %v", run, err)
	}
}

func TestContainerThatFailsWhileTheImageIsPublished(t *testing.T) {
	start, engine, _ := newStarter(t)
	start.begin(t.Context(), runner.Result{Outcome: runner.OutcomeBuilt})
	failed := &builder.UpError{Message: "no"}
	engine.end <- failed
	run, err := start.finish(t.Context(), &runner.Result{Outcome: runner.OutcomePublished}, nil)
	if !errors.Is(err, failed) || run.result.Outcome != runner.OutcomePublished {
		t.Errorf("%+v, %v", run, err)
	}
}

func TestNothingIsStartedWithoutAnImage(t *testing.T) {
	start, engine, _ := newStarter(t)
	_, err := start.finish(t.Context(), nil, errors.New("the build failed"))
	if err == nil || engine.calls != 0 {
		t.Errorf("%v, started %d times", err, engine.calls)
	}
}
