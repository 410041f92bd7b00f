//go:build linux

// Package process finds the processes that a program started.
package process

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// Descendants returns the IDs of all living processes below pid.
func Descendants(pid int) ([]int, error) {
	return DescendantsWithout(pid, func(int) bool { return false })
}

// DescendantsWithout returns the IDs of all living processes below pid, without those that left out reports and
// without the processes below these.
func DescendantsWithout(pid int, leftOut func(pid int) bool) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	children := map[int][]int{}
	for _, entry := range entries {
		child, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if parent, ok := livingParent(child); ok {
			children[parent] = append(children[parent], child)
		}
	}
	var found []int
	for next := children[pid]; len(next) > 0; {
		child := next[0]
		next = next[1:]
		if leftOut(child) {
			continue
		}
		found = append(found, child)
		next = append(next, children[child]...)
	}
	return found, nil
}

// livingParent reads the parent's ID of a process that has not ended.
// Its state and parent follow the name, which is in parentheses and may hold any byte:
// https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
func livingParent(pid int) (parent int, ok bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 2 || fields[0][0] == 'Z' {
		return 0, false
	}
	parent, err = strconv.Atoi(string(fields[1]))
	return parent, err == nil
}
