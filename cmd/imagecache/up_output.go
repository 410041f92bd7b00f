package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/cli"
	"imagecache.dev/internal/environment"
	"imagecache.dev/internal/message"
	"imagecache.dev/internal/runner"
)

// printUp writes what a run came to, and the failure for programs. Persons read the failure on standard error.
func (u *up) printUp(run upRun, failure error) error {
	switch u.output {
	case outputJSON:
		content, err := upJSON(run, failure, nil)
		if err != nil {
			return err
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, content, "", "  "); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
		return cli.WriteLine(u.streams.Out, indented.String())
	case outputJSONLines:
		content, err := upJSON(run, failure, []field{{"time", u.clock.Now().UTC()}, {"event", "Result"}})
		if err != nil {
			return err
		}
		return cli.WriteLine(u.streams.Out, string(content))
	}
	switch {
	case !run.ready(failure):
		return nil
	case u.output == outputName:
		return cli.WriteLine(u.streams.Out, run.answer.ContainerID)
	}
	return cli.WriteLine(u.streams.Out, upSummary(run))
}

// ready reports whether the container can be used. It can if the publication of its image was interrupted.
func (r upRun) ready(failure error) bool {
	if r.answer == nil || r.answer.Outcome != "success" {
		return false
	}
	return failure == nil || errors.Is(failure, runner.ErrInterrupted)
}

// field is a member of an object.
type field struct {
	name  string
	value any
}

// upJSON returns the reference CLI's answer, with fields before and the cache's result behind.
func upJSON(run upRun, failure error, before []field) ([]byte, error) {
	fields := before
	if run.answer == nil {
		text := ""
		if failure != nil {
			text = message.Sentence(failure.Error())
		}
		fields = append(fields, field{"outcome", "error"}, field{"message", text})
	}
	var object bytes.Buffer
	if err := writeFields(&object, fields); err != nil {
		return nil, err
	}
	if run.answer != nil {
		members := bytes.TrimSpace(run.answer.Raw)
		writeMembers(&object, members[1:len(members)-1])
	}
	if run.result != nil {
		if err := writeFields(&object, []field{{"cache", run.result}}); err != nil {
			return nil, err
		}
	}
	return append(append([]byte("{"), object.Bytes()...), '}'), nil
}

// writeFields writes the members of an object, without its braces.
func writeFields(to *bytes.Buffer, fields []field) error {
	for _, f := range fields {
		var value bytes.Buffer
		encoder := json.NewEncoder(&value)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(f.value); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
		writeMembers(to, fmt.Appendf(nil, "%q:%s", f.name, bytes.TrimSpace(value.Bytes())))
	}
	return nil
}

func writeMembers(to *bytes.Buffer, members []byte) {
	if members = bytes.TrimSpace(members); len(members) == 0 {
		return
	}
	if to.Len() > 0 {
		to.WriteByte(',')
	}
	to.Write(members)
}

// upSummary returns the last lines of the log.
func upSummary(run upRun) string {
	var lines strings.Builder
	lines.WriteString(imagesText("Image:     ", run.result))
	fmt.Fprintf(&lines, "Container: %s\n", containerText(run.answer))
	fmt.Fprintf(&lines, "Result:    %s", upOutcomeText(run.result))
	return lines.String()
}

func containerText(answer *builder.UpAnswer) string {
	text := environment.ShortID(answer.ContainerID)
	if answer.RemoteUser != "" {
		text += ", user " + answer.RemoteUser
	}
	if answer.RemoteWorkspaceFolder != "" {
		text += ", folder " + answer.RemoteWorkspaceFolder
	}
	return text
}

func upOutcomeText(result *runner.Result) string {
	switch {
	case result.Reason == reasonContainerExists:
		return "started, the container existed"
	case result.Image == "":
		return "bypassed, started as if the cache did not exist"
	}
	return outcomeText(result)
}
