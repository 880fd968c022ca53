#!/usr/bin/env bash
# Pictures of the explorer, light and dark, 1x and 2x, small and large window, into a folder (default build/screenshots).
# With --readme also renews the two that the README shows.
set -euo pipefail
cd "$(dirname "$0")/.."
out=build/screenshots
readme=0
for argument in "$@"; do
  if [[ $argument == --readme ]]; then readme=1; else out=$argument; fi
done
preset=${PRESET:-release}
[[ -f build/$preset/build.ninja ]] || cmake --preset "$preset" >/dev/null
cmake --build "build/$preset" --target take_screenshots
shoot() { # NAME WIDTH HEIGHT light|dark SCALE
  QT_QPA_PLATFORM=offscreen QT_SCALE_FACTOR=$5 "build/$preset/bin/take_screenshots" "$out" "$1" "$2" "$3" "$4"
}
shoot light-1280 1280 800 light 1
shoot dark-1280 1280 800 dark 1
shoot light-1920 1920 1200 light 1
shoot dark-1280-2x 1280 800 dark 2
if ((readme)); then
  mkdir -p resources/screenshots
  cp "$out/light-1280-row.png" resources/screenshots/light.png
  cp "$out/dark-1280-row.png" resources/screenshots/dark.png
fi
ls "$out"
