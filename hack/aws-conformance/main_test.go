package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"imagecache.dev/test/awsemulator"
)

// conform runs the program against an emulator, whose clock it moves instead of waiting.
func conform(t *testing.T, options awsemulator.Options, args ...string) (exit int, found map[string]outcome, emulator *awsemulator.Server) {
	t.Helper()
	options.RootMayAssumeRoles = true
	emulator, err := awsemulator.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = emulator.Close() }) // the test is over
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": emulator.URL(), "AWS_ACCESS_KEY_ID": emulator.AccessKeyID(), "AWS_SECRET_ACCESS_KEY": emulator.SecretAccessKey(),
		"AWS_REGION": emulator.Region(), "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	var out, log bytes.Buffer
	s := settings{out: &out, log: &log, now: emulator.Clock().Now, wait: func(_ context.Context, d time.Duration) error {
		emulator.Clock().Advance(d)
		return nil
	}}
	exit = s.main(t.Context(), append([]string{"--json"}, args...))
	found = map[string]outcome{}
	for line := range strings.Lines(out.String()) {
		var o outcome
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		found[o.Name] = o
		t.Logf("%t %s: %s", o.Holds, o.Name, o.Seen)
	}
	if log.Len() > 0 {
		t.Log(log.String())
	}
	for _, password := range emulator.IssuedPasswords() {
		if strings.Contains(out.String()+log.String(), password) {
			t.Error("a password is in the output")
		}
	}
	return exit, found, emulator
}

func TestEveryBeliefHoldsOnTheEmulator(t *testing.T) {
	exit, found, emulator := conform(t, awsemulator.Options{}, "--slow", "--day")
	if exit != 0 || len(found) != len(checks) {
		t.Fatalf("exit code %d, %d of %d checks ran", exit, len(found), len(checks))
	}
	counts := emulator.Calls().Counts()
	counts["ecr:CreateRepository"]++ // a push makes one
	for made, removed := range map[string]string{"ecr:CreateRepository": "ecr:DeleteRepository", "iam:CreateRole": "iam:DeleteRole"} {
		if counts[made] == 0 || counts[made] != counts[removed] {
			t.Errorf("%d %s and %d %s: something was left", counts[made], made, counts[removed], removed)
		}
	}
	if seen := found["a password beyond its session"].Seen; !strings.Contains(seen, "ends with its session") {
		t.Errorf("seen: %s", seen)
	}
}

func TestSwitchesOfTheEmulatorShowInTheirChecks(t *testing.T) {
	for check, test := range map[string]struct {
		options awsemulator.Options
		seen    string
	}{
		"a password beyond its session":   {awsemulator.Options{PasswordOutlivesSession: true}, "lives on"},
		"how long policy changes take":    {awsemulator.Options{PolicyDelay: 5 * time.Second}, "acts after 5."},
		"how long a new role takes":       {awsemulator.Options{IAMDelay: 7 * time.Second}, "7."},
		"a describe right after a create": {awsemulator.Options{ConsistencyDelay: 3 * time.Second}, "after 3."},
	} {
		t.Run(check, func(t *testing.T) {
			exit, found, _ := conform(t, test.options, "--slow", "--only", check)
			if seen := found[check].Seen; exit != 0 || !strings.Contains(seen, test.seen) {
				t.Errorf("exit code %d, seen %q, want %q", exit, seen, test.seen)
			}
		})
	}
}

func TestABeliefThatDoesNotHoldIsTold(t *testing.T) {
	// A session that outlives its deadline: the clock that the program goes by is not AWS'.
	emulator, err := awsemulator.Start(awsemulator.Options{RootMayAssumeRoles: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = emulator.Close() }) // the test is over
	t.Setenv("AWS_ENDPOINT_URL", emulator.URL())
	t.Setenv("AWS_REGION", emulator.Region())
	t.Setenv("AWS_ACCESS_KEY_ID", emulator.AccessKeyID())
	t.Setenv("AWS_SECRET_ACCESS_KEY", emulator.SecretAccessKey())
	var out, log bytes.Buffer
	s := settings{out: &out, log: &log, now: time.Now, wait: func(context.Context, time.Duration) error { return nil }}
	if exit := s.main(t.Context(), []string{"--only", "a deadline"}); exit != 1 {
		t.Errorf("exit code %d, want 1\n%s%s", exit, out.String(), log.String())
	}
	if !strings.Contains(out.String(), "DIFFERS") || !strings.Contains(out.String(), "reading after the deadline succeeds") {
		t.Errorf("output:\n%s", out.String())
	}
	if counts := emulator.Calls().Counts(); counts["iam:DeleteRole"] != 3 {
		t.Error("roles were left")
	}
}

func TestCallsThatAreWrong(t *testing.T) {
	for _, args := range [][]string{{"extra"}, {"--only", "no such check"}, {"--no-such-flag"}} {
		var out, log bytes.Buffer
		s := settings{out: &out, log: &log}
		if exit := s.main(t.Context(), args); exit != 2 || log.Len() == 0 {
			t.Errorf("%v: exit code %d, said %q", args, exit, log.String())
		}
	}
	var out, log bytes.Buffer
	s := settings{out: &out, log: &log}
	if exit := s.main(t.Context(), []string{"--help"}); exit != 0 || !strings.Contains(log.String(), "AWS_PROFILE") {
		t.Errorf("--help: exit code %d, said %q", exit, log.String())
	}
	if exit := s.main(t.Context(), []string{"--list"}); exit != 0 || strings.Count(out.String(), "\n") != 2*len(checks) {
		t.Errorf("--list: exit code %d, said %q", exit, out.String())
	}
}

// TestDocumentedChecksExist keeps the names that the documentation gives to checks.
func TestDocumentedChecksExist(t *testing.T) {
	known := map[string]bool{}
	for _, c := range checks {
		known[c.name] = true
	}
	pattern := regexp.MustCompile(`[Cc]hecks? \*([^*]+)\*`)
	for _, page := range []string{"emulator.md", "security.md"} {
		content, err := os.ReadFile(filepath.Join("..", "..", "docs", page))
		if err != nil {
			t.Fatal(err)
		}
		named := pattern.FindAllStringSubmatch(string(content), -1)
		if len(named) == 0 {
			t.Errorf("docs/%s names no check", page)
		}
		for _, name := range named {
			if !known[name[1]] {
				t.Errorf("docs/%s names a check %q, which there is not", page, name[1])
			}
		}
	}
}
