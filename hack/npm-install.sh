#!/usr/bin/env bash
# Installs the pinned npm packages of a folder below hack/tools, once.
#
#   hack/npm-install.sh NAME
#
# Nothing is done while what is installed fits package-lock.json.
set -euo pipefail

name=$1
package=$(cd "$(dirname "$0")/tools/$name" && pwd)
stamp=$package/node_modules/.stamp

wanted=$(cat "$package/package.json" "$package/package-lock.json" "$0" | sha256sum | cut -d ' ' -f 1)
if [[ $(cat "$stamp" 2>/dev/null) == "$wanted" ]]; then
	exit 0
fi
if ! command -v npm >/dev/null || [[ $(node --version) =~ ^v1?[0-9]\. ]]; then
	echo "Node.js 20 or newer with npm is needed for hack/tools/$name: install it, then try again." >&2
	exit 1
fi
(cd "$package" && npm ci --no-audit --no-fund --loglevel=error >&2)
echo "$wanted" >"$stamp"
echo "  hack/tools/$name: installed in $SECONDS s" >&2
