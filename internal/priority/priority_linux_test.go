package priority

import (
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// priorityOf returns nice value and IO priority of the calling thread.
func priorityOf(t *testing.T) string {
	t.Helper()
	nice, err := threadNice()
	io, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, ioWhoProcess, 0, 0)
	if err != nil || errno != 0 {
		t.Errorf("read priority: %v, %v", err, errno)
	}
	return fmt.Sprintf("nice %d, class %d, level %d", nice, io>>ioClassShift, io&7)
}

// childNice returns the nice value of a program that the calling goroutine starts.
func childNice(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "nice").Output()
	if err != nil {
		t.Error(err)
	}
	return strings.TrimSpace(string(out))
}

func TestLowWorkAndItsProgramsAreLow(t *testing.T) {
	usual, usualChild := priorityOf(t), childNice(t)
	low, lowChild := "", ""
	Do(Low(t.Context()), func() { low, lowChild = priorityOf(t), childNice(t) })
	if want := fmt.Sprintf("nice %d, class 2, level 7", max(lowNice, niceOf(usual))); low != want {
		t.Errorf("the work runs at %s, want %s", low, want)
	}
	if want := fmt.Sprint(max(lowNice, niceOf(usual))); lowChild != want {
		t.Errorf("its program runs at nice %s, want %s", lowChild, want)
	}
	Do(t.Context(), func() { low, lowChild = priorityOf(t), childNice(t) })
	if low != usual || lowChild != usualChild {
		t.Errorf("other work runs at %s, its program at %s; want %s, %s", low, lowChild, usual, usualChild)
	}
}

func niceOf(text string) (nice int) {
	_, _ = fmt.Sscanf(text, "nice %d", &nice)
	return nice
}

// What a process starts for a person must never inherit the low priority, also not by a thread of the runtime.
func TestLowWorkLowersNothingElse(t *testing.T) {
	usual, usualChild := priorityOf(t), childNice(t)
	ctx := Low(t.Context())
	var released atomic.Bool
	var busy sync.WaitGroup
	for range 4 * runtime.GOMAXPROCS(0) {
		busy.Add(1)
		Go(ctx, func() {
			defer busy.Done()
			for !released.Load() { // keep the processors busy, so that the runtime starts threads
			}
		})
	}
	var found sync.Map
	var others sync.WaitGroup
	for range 50 {
		others.Go(func() {
			runtime.LockOSThread() // takes a thread, and ends it
			found.Store(priorityOf(t), true)
			found.Store("child "+childNice(t), true)
		})
	}
	others.Wait()
	released.Store(true)
	busy.Wait()
	for range 50 {
		others.Go(func() {
			runtime.LockOSThread()
			found.Store(priorityOf(t), true)
		})
	}
	others.Wait()
	found.Range(func(priority, _ any) bool {
		if priority != usual && priority != "child "+usualChild {
			t.Errorf("something else runs at %s, want %s", priority, usual)
		}
		return true
	})
}

func TestPriorityIsNeverRaised(t *testing.T) {
	const lowest = 19
	done := make(chan string)
	go func() {
		runtime.LockOSThread()
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, lowest)
		_, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, ioWhoProcess, 0, ioClassIdle<<ioClassShift)
		lowerThread()
		done <- priorityOf(t)
	}()
	if got, want := <-done, "nice 19, class 3, level 0"; got != want {
		t.Errorf("priority %s, want %s", got, want)
	}
}
