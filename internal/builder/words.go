package builder

import (
	"bytes"
	"regexp"
	"strings"

	"imagecache.dev/internal/message"
)

var (
	// timestamp is what the reference CLI writes before each line.
	timestamp = regexp.MustCompile(`^\[\d{4}-\d\d-\d\dT[0-9:.]+Z\] `)
	// errorLine is how docker, BuildKit and podman begin the line that says why.
	errorLine = regexp.MustCompile(`(?i)^(?:error|error response from daemon): (.+)$`)
	// podman logs some errors in logrus' form.
	leveledLine = regexp.MustCompile(`^time="[^"]*" level=(?:error|fatal) msg="(.+)"$`)
	// sshLine is how docker says that it did not get through to an engine over ssh; ssh's own words come last.
	sshLine = regexp.MustCompile(`^error during connect: .*command \[ssh .* stderr=(.+)$`)
	// noise follows from the error before it.
	noise = regexp.MustCompile(`^(?:Command failed: |Exit code |at )`)
)

// maxWords is how many characters a message may have: it goes into logs and into status fields.
const maxWords = 600

// lastWords finds the line in which a program says why it failed: the last
// that says so, else the last at all.
func lastWords(output []byte) string {
	last, why := "", ""
	for line := range bytes.Lines(output) {
		text := strings.TrimSpace(timestamp.ReplaceAllString(string(line), ""))
		if match := sshLine.FindStringSubmatch(text); match != nil {
			text = match[1]
		}
		if match := errorLine.FindStringSubmatch(text); match != nil {
			text = match[1]
			if !noise.MatchString(text) {
				why = text
			}
		} else if match := leveledLine.FindStringSubmatch(text); match != nil {
			last = match[1]
			continue
		}
		if text != "" && !noise.MatchString(text) {
			last = text
		}
	}
	if why != "" {
		last = why
	}
	return message.Line(last, maxWords)
}
