#!/usr/bin/env bash
# Installs the pinned dev container CLI and links it into a folder.
#
#   hack/devcontainer-cli.sh FOLDER
#
# Nothing is done while what is installed fits package-lock.json.
set -euo pipefail

package=$(cd "$(dirname "$0")/tools/devcontainer" && pwd)
mkdir -p "$1"
link=$(cd "$1" && pwd)/devcontainer
stamp=$package/node_modules/.stamp

wanted=$(cat "$package/package.json" "$package/package-lock.json" "$0" | sha256sum | cut -d ' ' -f 1)
if [[ -x $link && $(cat "$stamp" 2>/dev/null) == "$wanted" ]]; then
	exit 0
fi

if ! command -v npm >/dev/null || [[ $(node --version) =~ ^v1?[0-9]\. ]]; then
	echo "Node.js 20 or newer with npm is needed for the dev container CLI: install it, then try again." >&2
	exit 1
fi

echo "  dev container CLI: installing" >&2
(cd "$package" && npm ci --no-audit --no-fund --loglevel=error >&2)
ln -sf "$package/node_modules/.bin/devcontainer" "$link"
echo "$wanted" >"$stamp"
echo "  dev container CLI: $("$link" --version) installed in $SECONDS s" >&2
