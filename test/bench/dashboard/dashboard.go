// Package dashboard measures imagecache dashboard with many projects and requests: how soon a browser paints each page, and
// how much memory the program holds.
package dashboard

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"imagecache.dev/test/bench/figure"
	"imagecache.dev/test/bench/world"
	"imagecache.dev/test/browser"
)

const (
	namespace = "many"
	projects  = 10_000
	requests  = 100_000
)

// pages are measured, by their address below the dashboard's own.
var pages = []string{
	"working", "savings", "requests", "images", "toggle", "requests?q=env-099999", "requests?page=2000", "images?q=project-09999",
}

// Run fills a cluster, starts the dashboard, and opens its pages while it still reads and after.
func Run(ctx context.Context) (figures []figure.Figure, err error) {
	w, err := world.Start()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	if err := fill(ctx, w); err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "bench-dashboard-")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	tabs, err := browser.Start(filepath.Join("hack", "tools", "browser"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, tabs.Close()) }()
	began := time.Now()
	program, err := w.StartProgram(folder, "imagecache", "dashboard", "--all-namespaces", "--no-browser")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, program.Stop()) }()
	address, err := printed(ctx, filepath.Join(folder, "imagecache.log"))
	if err != nil {
		return nil, err
	}
	m := &measurement{}
	defer m.close()
	return m.run(tabs, address, began, program)
}

// printed waits for the address that the dashboard prints.
func printed(ctx context.Context, log string) (address string, err error) {
	err = wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) {
		content, err := os.ReadFile(log)
		if err != nil {
			return false, err
		}
		_, rest, found := strings.Cut(string(content), "The dashboard is at ")
		address, _, _ = strings.Cut(rest, "\n")
		return found && strings.Contains(rest, "\n"), nil
	})
	if err != nil {
		return "", fmt.Errorf("wait for the dashboard: %w", err)
	}
	return address, nil
}

// measurement is the test of the browser's pages: what ends them ends the measurement.
type measurement struct{ ends []func() }

// failure is how Fatalf ends a measurement.
type failure struct{ error }

func (m *measurement) Helper() {}

func (m *measurement) Fatalf(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }

func (m *measurement) Cleanup(what func()) { m.ends = append(m.ends, what) }

func (m *measurement) close() {
	for _, end := range m.ends {
		end()
	}
}

func (m *measurement) run(
	tabs *browser.Browser, address string, began time.Time, program *world.Process,
) (figures []figure.Figure, err error) {
	defer func() {
		if failed, ok := recover().(failure); ok {
			err = failed
		}
	}()
	page := tabs.Open(m, browser.Look{})
	page.Goto(address)
	figures = append(figures, painted(page, "dashboard: first paint while 100,000 requests are read"))
	for page.Count(".loading") > 0 {
		time.Sleep(time.Second)
		page.Goto(page.Address())
	}
	figures = append(figures, figure.Figure{
		Name: "dashboard: start to all of 10,000 projects and 100,000 requests read", Value: time.Since(began).Seconds(), Unit: "s", Goal: 60, Better: figure.Lower,
	})
	base := strings.TrimSuffix(page.Address(), "working")
	for _, name := range pages {
		page.Goto(base + name)
		figures = append(figures, painted(page, "dashboard: first paint of "+name))
	}
	for _, read := range []struct{ name, line string }{{"at rest", "VmRSS"}, {"at most", "VmHWM"}} {
		memory, err := program.Memory(read.line)
		if err != nil {
			return figures, err
		}
		figures = append(figures, figure.Figure{Name: "dashboard: memory " + read.name, Value: memory, Unit: "MB", Goal: 400, Better: figure.Lower})
	}
	return figures, nil
}

// painted is how long after the navigation the browser painted something of the page.
func painted(page *browser.Page, name string) figure.Figure {
	var milliseconds float64
	page.Evaluate(&milliseconds, `new Promise((done) => new PerformanceObserver((list) => list.getEntriesByName("first-contentful-paint")
		.forEach((paint) => done(paint.startTime))).observe({ type: "paint", buffered: true }))`)
	return figure.Figure{Name: name, Value: milliseconds / 1000, Unit: "s", Goal: 1, Better: figure.Lower}
}
