package main

import (
	"context"
	"errors"

	"imagecache.dev/internal/background"
	"imagecache.dev/internal/message"
	"imagecache.dev/internal/runner"
)

// Values of --publish.
const (
	publishWait       = "wait"
	publishBackground = "background"
)

// publishOrder is what the process that publishes in the background gets. It is passed through a pipe, because
// kubectl's flags may hold credentials.
type publishOrder struct {
	Publication runner.Publication  `json:"publication"`
	Cluster     map[string][]string `json:"cluster"`
	MetricsFile string              `json:"metricsFile"`
}

// handOver returns how to give a publication to a process in the background, or nil if this process publishes.
func (p *prepare) handOver() func(ctx context.Context, publication runner.Publication) (string, error) {
	if p.publish != publishBackground {
		return nil
	}
	return func(ctx context.Context, publication runner.Publication) (string, error) {
		folder, err := background.UserFolder()
		if err != nil {
			return "", err
		}
		record := background.Record{
			Name: publication.Request, Namespace: publication.Namespace, Project: publication.Project,
			Hash: publication.Hash, Environment: publication.Environment, Began: p.clock.Now().UTC(),
			Image: publication.Image, Engine: publication.Engine, KeptName: publication.KeptName,
		}
		order := publishOrder{Publication: publication, Cluster: p.cluster.Values(), MetricsFile: p.metricsFile}
		record, err = folder.Start(ctx, record, []string{publicationsName, publicationsRunName}, order)
		return record.Name, err
	}
}

// stateOf returns the state and the reason of a publication that ended with err.
func stateOf(err error) (background.State, string) {
	switch {
	case err == nil:
		return background.Published, ""
	case errors.Is(err, runner.ErrInterrupted):
		return background.Failed, "interrupted"
	}
	return background.Failed, message.Sentence(err.Error())
}
