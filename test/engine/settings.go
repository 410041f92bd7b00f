package engine

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Files and folders of a Docker engine, below its own folder.
const (
	socketName   = "docker.sock"
	settingsName = "daemon.json"
	logName      = "dockerd.log"
	pidName      = "dockerd.pid"
)

// settings returns the content of dockerd's daemon.json. dockerd changes nothing of the machine's network: containers
// reach each other and the host by the bridge alone.
//
// https://docs.docker.com/reference/cli/dockerd/#daemon-configuration-file
func settings(dir string, kind Kind, bridge, runc string, mirrors []string) ([]byte, error) {
	set := map[string]any{
		"data-root": filepath.Join(dir, "data"),
		"exec-root": filepath.Join(dir, "exec"),
		"pidfile":   filepath.Join(dir, pidName),
		"hosts":     []string{"unix://" + filepath.Join(dir, socketName)},
		"bridge":    bridge,

		"iptables": false, "ip6tables": false, "ip-forward": false, "ip-masq": false, "userland-proxy": false,
		// A process may set no limit above its own without CAP_SYS_RESOURCE.
		"default-ulimits":  map[string]any{"nofile": map[string]any{"Name": "nofile", "Soft": 1024, "Hard": 4096}},
		"shutdown-timeout": 1,
	}
	switch kind {
	case Docker20, Docker20Buildx:
		set["deprecated-key-path"] = filepath.Join(dir, "key.json") // else below /etc/docker
	case Docker28Overlay, Docker28Containerd:
		set["features"] = map[string]bool{"containerd-snapshotter": kind == Docker28Containerd}
	case Docker29, Podman:
	}
	if len(mirrors) > 0 {
		set["registry-mirrors"] = mirrors
	}
	if runc != "" {
		// It is built without libseccomp. BuildKit runs Debian's runc, from PATH.
		set["runtimes"] = map[string]any{"pinned": map[string]string{"path": runc}}
		set["default-runtime"] = "pinned"
		set["seccomp-profile"] = "unconfined"
	}
	content, err := json.MarshalIndent(set, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode dockerd's settings: %w", err)
	}
	return content, nil
}

// writeClient writes the client's own folder of programs and its configuration, and returns both.
func writeClient(dir, programs string, kind Kind) (path, config string, err error) {
	path, config = filepath.Join(dir, "client"), filepath.Join(dir, "config")
	plugins := filepath.Join(config, "cli-plugins")
	for _, folder := range []string{path, plugins} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return "", "", fmt.Errorf("make the client's folder: %w", err)
		}
	}
	needed := kind.parts()
	if err := os.Symlink(filepath.Join(programs, needed.client), filepath.Join(path, "docker")); err != nil {
		return "", "", fmt.Errorf("link the client: %w", err)
	}
	buildx := filepath.Join(plugins, "docker-buildx")
	if needed.buildx != "" {
		err = os.Symlink(filepath.Join(programs, needed.buildx), buildx)
	} else {
		// A plugin that the machine has for all users is hidden by one that does not work.
		err = os.WriteFile(buildx, []byte("#!/bin/sh\nexit 1\n"), 0o700)
	}
	if err != nil {
		return "", "", fmt.Errorf("write the client's plugin: %w", err)
	}
	// Docker Compose is there if it was built; RequireCompose asks for it.
	if compose := filepath.Join(programs, composePlugin); exists(compose) {
		if err := os.Symlink(compose, filepath.Join(plugins, "docker-compose")); err != nil {
			return "", "", fmt.Errorf("link Docker Compose: %w", err)
		}
	}
	if err := os.WriteFile(filepath.Join(config, "config.json"), []byte("{}\n"), 0o600); err != nil {
		return "", "", fmt.Errorf("write the client's configuration: %w", err)
	}
	return path, config, nil
}

// composePlugin is Docker Compose, below the folder of engines.
const composePlugin = "cli-plugins/docker-compose"

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
