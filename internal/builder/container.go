package builder

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"imagecache.dev/internal/message"
)

// Containers is an engine that runs dev containers: docker and podman.
type Containers interface {
	Engine
	// Config returns what an image in the store sets for its containers.
	Config(ctx context.Context, image string) (*ImageConfig, error)
	// ReadFile returns a regular file of an image in the store, of at most limit bytes. The path is absolute.
	ReadFile(ctx context.Context, image, path string, limit int64) ([]byte, error)
	// ContainerLabels returns the labels of each container that has all of these labels, as "name=value". A container
	// need not run. One that is being removed does not count.
	ContainerLabels(ctx context.Context, labels []string) ([]map[string]string, error)
	// Up runs "devcontainer up". It blocks until the lifecycle commands have ended; ending ctx ends all processes of it
	// on this machine. The answer is not nil if the reference CLI gave one, also with an UpError.
	Up(ctx context.Context, r UpRequest) (*UpAnswer, error)
}

// ImageConfig is a part of an image's configuration.
type ImageConfig struct {
	User   string
	Labels map[string]string
}

// UpRequest is one start of a dev container.
type UpRequest struct {
	// Workspace is the folder, as an absolute path.
	Workspace string
	// ConfigPath is the absolute path of the devcontainer.json; "" for the default places.
	ConfigPath string
	// Override is the path of a configuration that is read in place of the workspace's; "" for none.
	Override string
	// KeepIDs tells the reference CLI not to give the container's user the IDs of the local user.
	KeepIDs bool
	// MayBuildFeatures tells that the reference CLI may install Features, which an engine without BuildKit must not do in
	// two builds at once.
	MayBuildFeatures bool
	// Arguments are further arguments of the reference CLI.
	Arguments []string
	// Logs gets what the reference CLI and the lifecycle commands print, as they print it. May be nil.
	Logs io.Writer
}

// UpAnswer is the last line that the reference CLI prints.
type UpAnswer struct {
	Outcome               string `json:"outcome"`
	Message               string `json:"message"`
	Description           string `json:"description"`
	ContainerID           string `json:"containerId"`
	RemoteUser            string `json:"remoteUser"`
	RemoteWorkspaceFolder string `json:"remoteWorkspaceFolder"`
	// Raw is the line itself, one JSON object.
	Raw json.RawMessage `json:"-"`
}

// UpError is a dev container that did not start, or whose lifecycle commands failed.
type UpError struct {
	// Message is the reference CLI's own, in one line.
	Message string
}

func (e *UpError) Error() string { return "start dev container: " + e.Message }

func (p *program) Config(ctx context.Context, image string) (*ImageConfig, error) {
	printed, err := p.output(ctx, "image", "inspect", "--format", "{{json .Config}}", image)
	if err != nil {
		return nil, fmt.Errorf("inspect image %s: %w", image, err)
	}
	config := &ImageConfig{}
	if err := json.Unmarshal([]byte(printed), config); err != nil {
		return nil, fmt.Errorf("inspect image %s: %w", image, err)
	}
	return config, nil
}

// ReadFile creates a container that never runs, and copies from it.
func (p *program) ReadFile(ctx context.Context, image, path string, limit int64) (content []byte, err error) {
	// The command is not run; an image need not have one of its own.
	container, err := p.output(ctx, "create", image, "true")
	if err != nil {
		return nil, fmt.Errorf("read %s of image %s: %w", path, image, err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
		defer cancel()
		if _, removeErr := p.output(ctx, "rm", "--volumes", container); removeErr != nil {
			err = errors.Join(err, fmt.Errorf("remove container %s: %w", container, removeErr))
		}
	}()
	archive, err := p.output(ctx, "cp", container+":"+path, "-")
	if err != nil {
		return nil, fmt.Errorf("read %s of image %s: %w", path, image, err)
	}
	reader := tar.NewReader(strings.NewReader(archive))
	header, err := reader.Next()
	if err == nil && (header.Typeflag != tar.TypeReg || header.Size > limit) {
		err = fmt.Errorf("want a regular file of at most %d bytes", limit)
	}
	if err == nil {
		content, err = io.ReadAll(reader)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s of image %s: %w", path, image, err)
	}
	return content, nil
}

// removing is the status of a container that an engine is removing, in docker and in podman. The reference CLI does not
// take such a container for the environment's.
const removing = "removing"

func (p *program) ContainerLabels(ctx context.Context, labels []string) ([]map[string]string, error) {
	arguments := []string{"ps", "--quiet", "--all", "--no-trunc"}
	for _, label := range labels {
		arguments = append(arguments, "--filter", "label="+label)
	}
	printed, err := p.output(ctx, arguments...)
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	ids := strings.Fields(printed)
	if len(ids) == 0 {
		return nil, nil
	}
	const format = `{"Status":{{json .State.Status}},"Labels":{{json .Config.Labels}}}`
	arguments = []string{"inspect", "--type", "container", "--format", format}
	printed, err = p.output(ctx, append(arguments, ids...)...)
	if err != nil {
		return nil, fmt.Errorf("inspect containers: %w", err)
	}
	found := make([]map[string]string, 0, len(ids))
	for line := range strings.Lines(printed) {
		var container struct {
			Status string
			Labels map[string]string
		}
		if err := json.Unmarshal([]byte(line), &container); err != nil {
			return nil, fmt.Errorf("inspect containers: %w", err)
		}
		if container.Status != removing {
			found = append(found, container.Labels)
		}
	}
	return found, nil
}

func (p *program) Up(ctx context.Context, r UpRequest) (*UpAnswer, error) {
	if err := p.Ready(); err != nil {
		return nil, err
	}
	logs := r.Logs
	if r.MayBuildFeatures && !p.hasBuildKit(ctx) {
		store, err := p.store(ctx)
		if err != nil {
			return nil, err
		}
		unlock, err := lockStore(ctx, store, r.Logs)
		if err != nil {
			return nil, err
		}
		held := &untilRun{logs: cmp.Or(r.Logs, io.Discard), unlock: sync.OnceFunc(unlock)}
		defer held.unlock()
		logs = held
	}
	client, err := p.newClient()
	if err != nil {
		return nil, err
	}
	defer client.remove()
	var out bytes.Buffer
	// The variables of this process stay as they are: ${localEnv:…} and initializeCommand read them.
	c := command{path: p.cli, arguments: upArguments(r, client.path), stdout: &out, logs: logs, starts: true}
	err = c.run(ctx)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("start dev container: %w", err)
	}
	return answerOfUp(out.Bytes(), err)
}

// upArguments are those of the reference CLI, which runs the engine's client by its path.
func upArguments(r UpRequest, client string) []string {
	arguments := []string{"up", "--workspace-folder", r.Workspace, "--docker-path", client}
	if r.ConfigPath != "" {
		arguments = append(arguments, "--config", r.ConfigPath)
	}
	if r.Override != "" {
		arguments = append(arguments, "--override-config", r.Override)
	}
	if r.KeepIDs {
		arguments = append(arguments, "--update-remote-user-uid-default", "never")
	}
	return append(arguments, r.Arguments...)
}

// noDescription is the reference CLI's description of a failure that it did not expect. What failed is in its log.
const noDescription = "An error occurred setting up the container."

// answerOfUp reads the answer in what the reference CLI printed. runErr is how the CLI ended.
func answerOfUp(printed []byte, runErr error) (*UpAnswer, error) {
	lines := bytes.Split(bytes.TrimSpace(printed), []byte("\n"))
	answer := &UpAnswer{Raw: json.RawMessage(bytes.TrimSpace(lines[len(lines)-1]))}
	if err := json.Unmarshal(answer.Raw, answer); err != nil {
		if runErr == nil {
			return nil, fmt.Errorf("start dev container: the dev container CLI gave no answer: %w", err)
		}
		return nil, &UpError{Message: message.Line(runErr.Error(), maxWords)}
	}
	if answer.Outcome == "success" && runErr == nil {
		return answer, nil
	}
	text := cmp.Or(answer.Description, answer.Message)
	if (text == "" || text == noDescription) && runErr != nil {
		text = runErr.Error()
	}
	return answer, &UpError{Message: message.Line(text, maxWords)}
}

// LocalUser returns the IDs that the reference CLI gives the user of a container.
func LocalUser() (uid, gid int) { return os.Getuid(), os.Getgid() }
