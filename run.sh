#!/usr/bin/env bash
# Installs what is missing, builds, and starts the explorer; without a display it runs the method on the sample document.
set -euo pipefail
cd "$(dirname "$0")"
source .ci/packages.sh
install_packages "${build_packages[@]}"

mkdir -p build
configure release
targets=(dhsa)
if [[ -f app/explorer/main.cpp ]]; then targets+=(dhsa-explorer); fi
cmake --build build/release --target "${targets[@]}"

if [[ -z ${DISPLAY:-}${WAYLAND_DISPLAY:-} ]]; then
  echo "No display: running \`dhsa run\` instead of the explorer."
elif [[ ! -x build/release/bin/dhsa-explorer ]]; then
  echo "The explorer is not built: running \`dhsa run\` instead."
else
  exec build/release/bin/dhsa-explorer "$@"
fi
exec build/release/bin/dhsa run "$@"
