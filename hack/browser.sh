#!/usr/bin/env bash
# Makes sure that there are chromium and what drives it in the tests of imagecache dashboard. Where the machine has no
# chromium, it installs Debian's, if it may.
#
#   hack/browser.sh
set -euo pipefail

hack=$(cd "$(dirname "$0")" && pwd)

"$hack/npm-install.sh" browser
if command -v chromium >/dev/null; then
	exit 0
fi
"$hack/apt-install.sh" chromium || {
	echo "No chromium for the tests of imagecache dashboard: install it (Debian package chromium), then try again." >&2
	exit 1
}
