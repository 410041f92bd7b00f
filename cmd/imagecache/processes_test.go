//go:build linux

package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// processesWith are the processes of the machine that have a mark in their command line or in their environment.
func processesWith(t *testing.T, mark string) []string {
	return processesIn(t, mark, "cmdline", "environ")
}

// processesIn are the processes that have a mark in these files of theirs:
// https://man7.org/linux/man-pages/man5/proc_pid_cmdline.5.html
func processesIn(t *testing.T, mark string, files ...string) []string {
	t.Helper()
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, folder := range folders {
		for _, file := range files {
			content, err := os.ReadFile(filepath.Join(folder, file))
			if err != nil || !bytes.Contains(content, []byte(mark)) {
				continue // it ended in the meantime, or has no mark
			}
			line, _ := os.ReadFile(filepath.Join(folder, "cmdline"))
			found = append(found, filepath.Base(folder)+" "+strings.ReplaceAll(string(line), "\x00", " "))
			break
		}
	}
	return found
}

// processList prints the processes with a mark that run now.
type processList struct {
	t    *testing.T
	mark string
}

func (l *processList) String() string {
	return fmt.Sprintf("processes: %q", processesWith(l.t, l.mark))
}

// safeBuffer is a buffer that can be read while a program writes to it.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// noise is content that no compression makes small.
func noise(t *testing.T) string {
	t.Helper()
	content := make([]byte, 512<<10)
	if _, err := rand.Read(content); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(content)
}
