#!/usr/bin/env bash
# Installs a build into an empty folder and checks the tree: both programs work from there with their resources, desktop
# entry and AppStream metadata are valid and name files that are there. Usage: check_install.sh BUILD_FOLDER
set -euo pipefail
build=$(cd "$1" && pwd)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
fail() { echo "install: $1" >&2; exit 1; }
cmake --install "$build" --prefix "$root/usr" >"$root/log" || { cat "$root/log" >&2; fail "cmake --install failed"; }
cd /
id=io.github.dhsa_explorer.DhsaExplorer
share=$root/usr/share
entry=$share/applications/$id.desktop
for file in "$entry" "$share/metainfo/$id.metainfo.xml" "$share/mime/packages/$id.xml" \
  "$share/icons/hicolor/scalable/apps/$id.svg" "$share/icons/hicolor/128x128/apps/$id.png"; do
  [[ -f $file ]] || fail "$file is missing"
done
if command -v desktop-file-validate >/dev/null; then desktop-file-validate "$entry"; fi
if command -v appstreamcli >/dev/null; then
  appstreamcli validate --no-net "$share/metainfo/$id.metainfo.xml" || fail "AppStream metadata"
fi
command=$(sed -n 's/^Exec=\([^ ]*\).*/\1/p' "$entry")
[[ -x $root/usr/bin/$command ]] || fail "the desktop entry starts $command, which is not there"
grep -q "<launchable type=\"desktop-id\">$id.desktop<" "$share/metainfo/$id.metainfo.xml" || fail "launchable"

# Nothing of the source tree or of the build is needed. `dhsa info` reads the model that was installed.
"$root/usr/bin/dhsa" info "$share/dhsa-explorer/models/demo" >"$root/info" || fail "dhsa info"
"$root/usr/bin/dhsa" inspect --layer 0 >"$root/inspect" || fail "dhsa inspect without the source tree"
touch "$root/window"
HOME=$root XDG_CONFIG_HOME=$root XDG_RUNTIME_DIR=$root QT_QPA_PLATFORM=offscreen QT_LOGGING_RULES='dhsa.start=true' \
  timeout 30 "$root/usr/bin/$command" --fresh >"$root/window" 2>&1 &
for ((i = 0; i < 250; ++i)); do
  if grep -q 'first picture' "$root/window"; then break; fi
  sleep 0.1
done
kill %1 2>/dev/null || true
wait 2>/dev/null || true
grep 'first picture' "$root/window" || { cat "$root/window" >&2; fail "the installed explorer shows nothing"; }
echo "install: in order"
