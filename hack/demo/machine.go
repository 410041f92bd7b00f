package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/docker/cli/cli/config"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"imagecache.dev/test/containerenv"
	"imagecache.dev/test/engine"
	"imagecache.dev/test/localcluster"
)

// environment are the variables of one environment's machine. Its engine has a store that nobody else has.
func (d *demo) environment(ctx context.Context, name string) (env []string, err error) {
	if env, known := d.machines[name]; known {
		return env, nil
	}
	if d.kind == engine.Podman {
		env, err = d.podman(ctx, name)
	} else {
		env, err = d.docker(ctx, name)
	}
	if err == nil {
		d.machines[name] = env
	}
	return env, err
}

// removeContainer removes the container of an environment, if one came up.
func (d *demo) removeContainer(ctx context.Context, name string) error {
	ids, err := d.client(ctx, name, "ps", "--all", "--quiet", "--filter", "label=devcontainer.local_folder="+d.workspace).Output()
	if err != nil {
		return fmt.Errorf("find container of %s: %w", name, err)
	}
	if len(ids) == 0 {
		return nil
	}
	output, err := d.client(ctx, name, append([]string{"rm", "--force"}, strings.Fields(string(ids))...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("remove container of %s: %w: %s", name, err, output)
	}
	return nil
}

// client makes a command of an environment's engine. The shell finds the client on that environment's PATH.
func (d *demo) client(ctx context.Context, name string, arguments ...string) *exec.Cmd {
	words := append([]string{"-c", `exec "$0" "$@"`, d.kind.Program()}, arguments...)
	command := exec.CommandContext(context.WithoutCancel(ctx), "sh", words...)
	command.Env = append(os.Environ(), d.machines[name]...)
	return command
}

func (d *demo) podman(ctx context.Context, name string) ([]string, error) {
	dir := filepath.Join(d.dir, "machines", name)
	options := containerenv.Options{InsecureRegistries: []string{d.cluster.RegistryHost()}}
	if !d.own {
		options.StandIns = map[string]string{"busybox": strings.TrimSuffix(d.base, ":stable")}
	}
	env, err := containerenv.Write(dir, options)
	if err != nil {
		return nil, err
	}
	if d.own { // base images and Features come with the user's own settings and credentials
		return append(withUsersRegistries(env), "KUBECONFIG="+d.kubeconfig), nil
	}
	credentials := filepath.Join(dir, "docker")
	if err := d.cluster.WriteDockerConfig(ctx, credentials); err != nil {
		return nil, err
	}
	return append(env, "KUBECONFIG="+d.kubeconfig, "DOCKER_CONFIG="+credentials), nil
}

// docker starts an engine, and never uses the machine's own.
func (d *demo) docker(ctx context.Context, name string) ([]string, error) {
	options := engine.Options{}
	if d.keep {
		options.Log = filepath.Join(d.dir, "engine-"+name+".log")
	}
	if !d.own {
		image, err := localcluster.SampleBase()
		if err != nil {
			return nil, err
		}
		options.Hub = map[string]v1.Image{"busybox:stable": image}
	}
	e, err := engine.Open(ctx, d.kind, options)
	if err != nil {
		return nil, err
	}
	d.engines = append(d.engines, e)
	if d.own {
		err = copyLogins(e.Config)
	} else {
		err = d.cluster.WriteDockerConfig(ctx, e.Config)
	}
	return append(e.Environment, "KUBECONFIG="+d.kubeconfig), err
}

// copyLogins gives an engine's client the user's logins, for base images, and nothing else of the user's configuration:
// a context would lead to another engine.
func copyLogins(folder string) error {
	content, err := os.ReadFile(filepath.Join(config.Dir(), config.ConfigFileName))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read your docker configuration: %w", err)
	}
	var users struct {
		Auths       json.RawMessage `json:"auths,omitempty"`
		CredHelpers json.RawMessage `json:"credHelpers,omitempty"`
		CredsStore  string          `json:"credsStore,omitempty"`
	}
	if err := json.Unmarshal(content, &users); err != nil {
		return fmt.Errorf("read your docker configuration: %w", err)
	}
	logins, err := json.Marshal(users)
	if err != nil {
		return fmt.Errorf("copy your logins: %w", err)
	}
	if err := os.WriteFile(filepath.Join(folder, config.ConfigFileName), logins, 0o600); err != nil {
		return fmt.Errorf("copy your logins: %w", err)
	}
	return nil
}

// closeEngines ends docker's engines.
func (d *demo) closeEngines() error {
	var errs []error
	for _, e := range d.engines {
		errs = append(errs, e.Close())
	}
	return errors.Join(errs...)
}
