#!/usr/bin/env bash
# Makes sure that there is a container engine for demo and tests: podman with an OCI runtime, or a Docker Engine that
# they start themselves, for root. A docker that runs on the machine is never used: its images are somebody's.
# Prints which one, "podman" or "docker", to stdout.
#
# Where the machine has no podman, it installs podman and runc, if it may. A machine with docker gets no podman, but
# Docker Engine 28 in bin/engines, which takes about 8 minutes, once.
set -euo pipefail

hack=$(cd "$(dirname "$0")" && pwd)

podman_runs() {
	command -v podman >/dev/null && { command -v runc || command -v crun; } >/dev/null
}

build_docker() {
	"$hack/engines.sh" "$hack/../bin/engines" containerd client docker28 >&2
}

if podman_runs; then
	echo podman
elif command -v docker >/dev/null && [[ $(id -u) == 0 ]]; then
	build_docker
	echo docker
elif "$hack/apt-install.sh" podman runc; then
	echo podman
elif [[ $(id -u) == 0 ]]; then
	build_docker
	echo docker
else
	echo "No container engine that may be used here: install podman and runc, or run this as root, then try again." >&2
	exit 1
fi
