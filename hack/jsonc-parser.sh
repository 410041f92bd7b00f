#!/usr/bin/env bash
# Installs the pinned parser of the reference dev container CLI, once, and runs it: what it reads and writes is in
# hack/tools/jsonc/parse.mjs.
#
#   hack/jsonc-parser.sh [--install]
set -euo pipefail

package=$(cd "$(dirname "$0")/tools/jsonc" && pwd)
stamp=$package/node_modules/.stamp

wanted=$(cat "$package/package.json" "$package/package-lock.json" "$0" | sha256sum | cut -d ' ' -f 1)
if [[ $(cat "$stamp" 2>/dev/null) != "$wanted" ]]; then
	if ! command -v npm >/dev/null || [[ $(node --version) =~ ^v1?[0-9]\. ]]; then
		echo "Node.js 20 or newer with npm is needed for jsonc-parser: install it, then try again." >&2
		exit 1
	fi
	(cd "$package" && npm ci --no-audit --no-fund --loglevel=error >&2)
	echo "$wanted" >"$stamp"
	echo "  jsonc-parser: installed in $SECONDS s" >&2
fi
if [[ ${1:-} != --install ]]; then
	exec node "$package/parse.mjs"
fi
