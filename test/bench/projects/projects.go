package projects

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/awsemulator"
	"imagecache.dev/test/bench/figure"
	"imagecache.dev/test/bench/world"
)

// What the ECR controller of AWS Controllers for Kubernetes costs on the same kind of emulator, in calls a repository.
const (
	othersCreate = 19
	othersResync = 8
)

const (
	few  = 1000
	many = 10000
	// perSecond is AWS' bucket for creations in the throttled part.
	perSecond = 10
)

// Run creates projects by the thousand and reads the emulator's call log and the manager's memory. It takes some
// minutes.
func Run(ctx context.Context) (figures []figure.Figure, err error) {
	started, err := world.Start()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, started.Close()) }()
	w := account{started}
	folder, err := os.MkdirTemp("", "bench-projects-")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	m, err := w.StartProcess(folder)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, m.Stop()) }()
	if err := w.apply(ctx); err != nil {
		return nil, err
	}
	for _, part := range []func(context.Context, *world.Process) ([]figure.Figure, error){w.throttled, w.unthrottled} {
		measured, err := part(ctx, m)
		figures = append(figures, measured...)
		if err != nil {
			return figures, err
		}
	}
	if err := m.Stop(); err != nil {
		return figures, err
	}
	restarted, err := w.StartProcess(folder)
	if err != nil {
		return figures, err
	}
	defer func() { err = errors.Join(err, restarted.Stop()) }()
	measured, err := w.atRest(ctx, restarted)
	return append(figures, measured...), err
}

// throttled creates a thousand projects where AWS lets ten through a second.
func (w account) throttled(ctx context.Context, _ *world.Process) ([]figure.Figure, error) {
	w.AWS.Faults().Limit(awsemulator.Rate{Operation: "ecr:CreateRepository", PerSecond: perSecond})
	defer w.AWS.Faults().Clear()
	alarms, err := w.watchAlarms(ctx)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := w.createProjects(ctx, "throttled", few); err != nil {
		return nil, err
	}
	if err := w.allReady(ctx, few, few); err != nil {
		return nil, err
	}
	took := time.Since(began).Seconds()
	refused := float64(w.AWS.Calls().Errors("ecr:CreateRepository"))
	figures := []figure.Figure{
		figure.Figure{
			Name: "projects: 1,000 where AWS allows 10 creations a second", Value: took, Unit: "s", Goal: 1.3, Better: figure.Lower,
		}.Against(few / perSecond),
		{Name: "projects: creations that AWS throttled meanwhile", Value: refused, Unit: "calls", Better: figure.Lower},
	}
	if failed := alarms(); failed > 0 {
		return figures, fmt.Errorf("%d times a condition failed that a person would have looked at", failed)
	}
	return figures, nil
}

// watchAlarms counts, until its result is called, how often a condition fails that isn't an ordinary wait.
func (w account) watchAlarms(ctx context.Context) (stop func() int, err error) {
	stream, err := w.Client.Watch(ctx, &v1alpha1.ProjectImageCacheList{}, client.InNamespace(namespace))
	if err != nil {
		return nil, fmt.Errorf("watch projects: %w", err)
	}
	counted := make(chan int, 1)
	go func() {
		alarms := 0
		for event := range stream.ResultChan() {
			if project, ok := event.Object.(*v1alpha1.ProjectImageCache); ok && event.Type != watch.Deleted {
				alarms += alarmsOf(project)
			}
		}
		counted <- alarms
	}()
	return func() int { stream.Stop(); return <-counted }, nil
}

func alarmsOf(project *v1alpha1.ProjectImageCache) int {
	alarms := 0
	for _, condition := range project.Status.Conditions {
		switch condition.Reason {
		case v1alpha1.ReasonProgressing, v1alpha1.ReasonThrottled, v1alpha1.ReasonWaitingForRunner:
		default:
			if condition.Status == "False" {
				alarms++
			}
		}
	}
	return alarms
}

// unthrottled creates projects up to ten thousand.
func (w account) unthrottled(ctx context.Context, m *world.Process) ([]figure.Figure, error) {
	const count = many - few
	w.AWS.Calls().Reset()
	began := time.Now()
	if err := w.createProjects(ctx, "free", count); err != nil {
		return nil, err
	}
	if err := w.allReady(ctx, count, many); err != nil {
		return nil, err
	}
	took := time.Since(began).Seconds()
	peak, err := m.Memory("VmHWM")
	if err != nil {
		return nil, err
	}
	counts := w.AWS.Calls().Counts()
	// What a drift pass costs, which may fall into this time, is measured by itself.
	creating := counts["ecr:CreateRepository"] + counts["ecr:PutLifecyclePolicy"] + counts["ecr:SetRepositoryPolicy"]
	return []figure.Figure{
		figure.Figure{
			Name: "projects: AWS calls to create a repository", Value: float64(creating) / count, Unit: "calls",
			Goal: (3.0*count + 5) / (othersCreate * count), Better: figure.Lower,
		}.Against(othersCreate),
		{Name: "projects: repositories made a second", Value: count / took, Unit: "1/s", Better: figure.Higher},
		{Name: "projects: most memory while 10,000 were made", Value: peak, Unit: "MB", Better: figure.Lower},
	}, nil
}

// atRest looks at a manager that was started with ten thousand projects as they should be.
func (w account) atRest(ctx context.Context, m *world.Process) ([]figure.Figure, error) {
	w.AWS.Calls().Reset()
	if err := wait(ctx, func() (bool, error) { return w.AWS.Calls().Count("ecr:DescribeRepositories") > 0, nil }); err != nil {
		return nil, err
	}
	if err := w.idle(ctx, 10*time.Second); err != nil {
		return nil, err
	}
	counts := w.AWS.Calls().Counts()
	// Ten thousand repositories are ten pages and a hundred pages of tags; other calls would be of single repositories.
	drift := 0
	for operation, calls := range counts {
		switch operation {
		case "sts:GetCallerIdentity", "sts:AssumeRole", "iam:GetRole", "iam:GetRolePolicy": // the runner's
		default:
			drift += calls
		}
	}
	passes := float64(counts["ecr:DescribeRepositories"]) / (many / 1000)
	memory, err := m.Memory("VmRSS")
	if err != nil {
		return nil, err
	}
	return []figure.Figure{
		figure.Figure{
			Name: "projects: AWS calls of a drift pass over 1,000 repositories", Value: float64(drift) / max(passes, 1) / (many / few), Unit: "calls",
			Goal: 20.0 / (othersResync * few), Better: figure.Lower,
		}.Against(othersResync * few),
		{Name: "projects: the manager's memory at 10,000", Value: memory, Unit: "MB", Goal: 200, Better: figure.Lower},
	}, nil
}
