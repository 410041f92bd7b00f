package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

// One line on stdout when the emulator is ready, and a clean end when the context is done.
func TestCommandSaysWhereItListensAndEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	read, write := io.Pipe()
	c := command()
	c.SetArgs([]string{"--listen", "127.0.0.1:0", "--region", "eu-west-1", "--account", "999999999999", "--access-key-id", "AKIAOWN0000000000000", "--secret-access-key", "own"})
	c.SetOut(write)
	ended := make(chan error, 1)
	go func() {
		ended <- c.ExecuteContext(ctx)
		_ = write.Close()
	}()
	lines := bufio.NewScanner(read)
	if !lines.Scan() {
		t.Fatal("no line on stdout")
	}
	url, ok := strings.CutPrefix(lines.Text(), "listening on ")
	if !ok {
		t.Fatalf("first line %q", lines.Text())
	}
	res, err := http.Get(url + "/_emulator/health")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	cancel()
	if lines.Scan() {
		t.Errorf("a second line on stdout: %q", lines.Text())
	}
	if err := <-ended; err != nil {
		t.Errorf("end: %v", err)
	}
	if _, err := http.Get(url + "/_emulator/health"); err == nil {
		t.Error("the port still answers")
	}
}

func TestCommandRefusesBadFlagsInOneSentence(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"--listen", "0.0.0.0:0"}, "not loopback"},
		{[]string{"--account", "1"}, "12 digits"},
		{[]string{"--region", "moon"}, "not the name of an AWS region"},
		{[]string{"--frozen-clock", "noon"}, "--frozen-clock"},
		{[]string{"--tls-cert", "x.pem"}, "go together"},
		{[]string{"surplus"}, "unknown command"},
	} {
		c := command()
		c.SetArgs(tc.args)
		c.SetOut(io.Discard)
		err := c.ExecuteContext(t.Context())
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v, want one sentence with %q", tc.args, err, tc.want)
		}
	}
}
