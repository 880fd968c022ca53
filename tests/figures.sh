#!/usr/bin/env bash
# One of every figure, as PDF and as PNG of print size, into a folder (default build/figures), for people to look at.
# Further arguments are files of dhsa bench, sweep, needle or longbench to draw; without any, tiny ones are made.
# TEXT names a text; without, it is the sample. As a test (ctest figures) it fails where a figure cannot be drawn, has
# not one page, is blank, or cuts a text short.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-build/figures}
shift || true
preset=${PRESET:-release}
dhsa=${DHSA:-$PWD/build/$preset/bin/dhsa}
[[ -x $dhsa ]] || { echo "Build $preset first." >&2; exit 1; }
mkdir -p "$out"
text=${TEXT:-}
export QT_QPA_PLATFORM=offscreen
draw() { # NAME WHAT ARGUMENTS...
  local name=$1 what=$2
  shift 2
  "$dhsa" export "$what" ${text:+"$text"} --quiet --no-data --out "$out/$name.pdf" "$@"
  [[ $(pdfinfo "$out/$name.pdf") =~ Pages:\ +1[^0-9] ]] || { echo "$name.pdf has not one page." >&2; exit 1; }
  ! pdftotext "$out/$name.pdf" - | grep -F … || { echo "$name.pdf has texts that are cut." >&2; exit 1; }
  pdftoppm -r 150 -png -singlefile "$out/$name.pdf" "$out/$name"
  # A blank page packs into next to nothing.
  (($(stat -c %s "$out/$name.png") > 3000)) || { echo "$name.png is blank." >&2; exit 1; }
}
one=(--venue icml --columns one)
if (($# == 0)); then
  "$dhsa" needle --quiet --methods dense,best,window-sinks --mode strict --budget-share 0.25 --lengths 1K,2K --depths 5 \
    --json "$out/needle-results.json" >"$out/needle.txt"
  "$dhsa" sweep --quiet --lengths 512,1024 --vary budget=128,256,512 --sink-tokens 32 --local-tokens 32 \
    --repeats 1 --logit-positions 16 --json "$out/sweep-results.json" >"$out/sweep.txt"
  "$dhsa" needle --quiet --suite ruler --wording own --mode strict --tasks niah_single_1,niah_multikey_1,niah_multivalue \
    --methods dense,best+budget=128,best+budget=256,window-sinks+budget=128 --sink-tokens 32 --local-tokens 32 \
    --lengths 512,1K --json "$out/suite-results.json" \
    >"$out/suite.txt"
  set -- "$out/needle-results.json" "$out/sweep-results.json" "$out/suite-results.json"
fi
for file in "$@"; do
  case $(grep -oE '"kind": *"dhsa-[a-z-]+"' "$file" | head -1) in
    *dhsa-bench*) text='' draw bench latency,memory --data-file "$file" ;;
    *sweep*)
      text='' draw latency-memory latency,memory --data-file "$file"
      text='' draw budget budget --data-file "$file" "${one[@]}"
      ;;
    *dhsa-suite* | *dhsa-longbench*)
      text='' draw scores scores --data-file "$file"
      text='' draw score-budget score-budget --data-file "$file" "${one[@]}"
      text='' draw score-length score-length --data-file "$file" "${one[@]}"
      ;;
    *needle*) text='' draw needle needle --data-file "$file" ;;
    *) echo "$file: of no kind that can be drawn." >&2; exit 1 ;;
  esac
done
draw mask mask --layer 3 "${one[@]}"
draw dense dense --layer 3 --head 1 "${one[@]}"
draw dense-against-sparse-column dense,sparse --layer 3 --head 1 "${one[@]}"
draw dense-against-sparse dense,sparse,difference --layer 3 --head 1
draw chunk-scores chunk-scores --layer 3 "${one[@]}"
draw token-scores token-scores --layer 3 "${one[@]}"
draw importance importance --layer 3
draw head-mass head-mass --metrics-rows 16 "${one[@]}"
draw chunk-lengths chunk-lengths --layer 3 "${one[@]}"
draw all-masks mask --layer all --venue icml --grid-columns 4
draw dropped-of-all-heads dropped --layer 3 --head all
draw mask-part mask --layer 3 --row-begin 1500 --row-end 2100 --key-begin 900 --key-end 2100 "${one[@]}"
ls "$out"
