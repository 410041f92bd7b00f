package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"imagecache.dev/internal/cli"
	"imagecache.dev/internal/message"
	"imagecache.dev/internal/runner"
)

// print writes the result.
func (p *prepare) print(result *runner.Result) error {
	switch p.output {
	case outputName:
		return cli.WriteLine(p.streams.Out, result.Image)
	case outputJSON:
		encoder := json.NewEncoder(p.streams.Out)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(result)
	case outputJSONLines:
		return p.encodeLine(struct {
			Time  time.Time `json:"time"`
			Event string    `json:"event"`
			*runner.Result
		}{p.clock.Now().UTC(), "Result", result})
	}
	return cli.WriteLine(p.streams.Out, summary(result))
}

// printFailure writes a failure for programs. Persons read the sentence on standard error.
func (p *prepare) printFailure(err error) error {
	text := message.Sentence(err.Error())
	switch p.output {
	case outputJSON:
		return p.encodeLine(map[string]string{"outcome": "Failed", "error": text})
	case outputJSONLines:
		return p.encodeLine(
			map[string]any{"time": p.clock.Now().UTC(), "event": "Result", "outcome": "Failed", "error": text},
		)
	}
	return nil
}

func (p *prepare) encodeLine(value any) error {
	encoder := json.NewEncoder(p.streams.Out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// summary returns the last lines of the log.
func summary(result *runner.Result) string {
	return imagesText("Image:  ", result) + "Result: " + outcomeText(result)
}

// imagesText returns a line for the image of a result, or one for each service's. It is empty if nothing was built.
func imagesText(title string, result *runner.Result) string {
	if result.Image == "" {
		return ""
	}
	if len(result.Services) == 0 {
		return title + result.Image + "\n"
	}
	var lines strings.Builder
	for _, service := range result.Services {
		fmt.Fprintf(&lines, "%s%s (%s)\n", title, service.Image, service.Service)
	}
	return lines.String()
}

// publicationsOf returns the names of the publications in the background.
func publicationsOf(result *runner.Result) []string {
	if len(result.Services) == 0 {
		return []string{result.Publication}
	}
	var names []string
	for _, service := range result.Services {
		if service.Publication != "" {
			names = append(names, service.Publication)
		}
	}
	return names
}

func outcomeText(result *runner.Result) string {
	total := fmt.Sprintf("%.1f s", result.Seconds.Total)
	switch result.Outcome {
	case runner.OutcomeHit:
		return "hit, pulled from the cache in " + total
	case runner.OutcomePublished:
		return "miss, built and published in " + total
	case runner.OutcomePublishing:
		return "miss, built in " + total + ", is being published; see imagecache publications wait " +
			strings.Join(publicationsOf(result), " ")
	case runner.OutcomeBuilt:
		return "built here and not published, in " + total
	}
	if result.Image == "" {
		return "bypassed, nothing to build"
	}
	return "bypassed, built here in " + total
}
