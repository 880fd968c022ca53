#!/usr/bin/env bash
# Installs a build into an empty folder whose name has a space, and unpacks its Debian package into another: both programs
# work from there with their resources, desktop entry and AppStream metadata are valid and name files that are there. Usage: check_install.sh BUILD_FOLDER
set -euo pipefail
build=$(cd "$1" && pwd)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
fail() { echo "install: $1" >&2; exit 1; }
cmake --install "$build" --prefix "$root/with spaces" >"$root/log" || { cat "$root/log" >&2; fail "cmake --install failed"; }
cd /
id=io.github.dhsa_explorer.DhsaExplorer
share="$root/with spaces/share"
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
[[ -x "$root/with spaces/bin/$command" ]] || fail "the desktop entry starts $command, which is not there"
grep -q "<launchable type=\"desktop-id\">$id.desktop<" "$share/metainfo/$id.metainfo.xml" || fail "launchable"

# works PREFIX: nothing of the source tree or of the build is needed. `dhsa info` reads the model that was installed.
works() {
  "$1/bin/dhsa" info "$1/share/dhsa-explorer/models/demo" >"$root/info" || fail "dhsa info in $1"
  "$1/bin/dhsa" inspect --layer 0 >"$root/inspect" || fail "dhsa inspect without the source tree in $1"
  : >"$root/window"
  HOME=$root XDG_CONFIG_HOME=$root XDG_RUNTIME_DIR=$root QT_QPA_PLATFORM=offscreen QT_LOGGING_RULES='dhsa.start=true' \
    timeout 30 "$1/bin/$command" --fresh >"$root/window" 2>&1 &
  for ((i = 0; i < 250; ++i)); do
    if grep -q 'first picture' "$root/window"; then break; fi
    sleep 0.1
  done
  kill %% 2>/dev/null || true
  wait 2>/dev/null || true
  grep 'first picture' "$root/window" || { cat "$root/window" >&2; fail "the explorer installed in $1 shows nothing"; }
}
works "$root/with spaces"

# The package, unpacked elsewhere; lintian, where it is there, finds no error in it.
command -v dpkg-shlibdeps >/dev/null || { echo "install: in order; no dpkg-dev, so no package was made"; exit 0; }
cpack --config "$build/CPackConfig.cmake" -G DEB -B "$root/package" >"$root/log" 2>&1 || { cat "$root/log" >&2; fail "cpack failed"; }
package=$(find "$root/package" -maxdepth 1 -name '*.deb')
dpkg-deb --field "$package" Depends | grep -q 'libtorch.*libopenblas0-openmp\|libopenblas0-openmp.*libtorch' || fail "dependencies of $package"
dpkg-deb -x "$package" "$root/unpacked"
works "$root/unpacked/usr"
if command -v lintian >/dev/null; then lintian --fail-on error "$package" >"$root/lintian" 2>&1 || { cat "$root/lintian" >&2; fail "lintian"; }; fi
echo "install: in order"
