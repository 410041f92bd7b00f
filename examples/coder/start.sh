#!/usr/bin/env bash
# Starts the dev container of a Coder workspace from the image cache: the script of a coder_script resource with
# run_on_start. The agent runs on a machine with Docker, the reference CLI, imagecache and a kubeconfig of the runner.
set -euo pipefail

: "${CODER_WORKSPACE_ID:?run this in a Coder workspace}" "${IMAGECACHE_PROJECT:?set it to the name of a ProjectImageCache}"
imagecache up "${WORKSPACE_FOLDER:-$HOME/workspace}" --project "$IMAGECACHE_PROJECT" \
	--environment "coder-$CODER_WORKSPACE_ID" --without-cluster build
