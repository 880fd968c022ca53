#!/usr/bin/env bash
# One of every figure, as PDF and as PNG of print size, into a folder (default build/figures), for people to look at.
# Further arguments are files of dhsa bench, sweep or needle (--json), drawn too.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-build/figures}
shift || true
preset=${PRESET:-release}
dhsa=$PWD/build/$preset/bin/dhsa
[[ -x $dhsa ]] || { echo "Build $preset first." >&2; exit 1; }
mkdir -p "$out"
export QT_QPA_PLATFORM=offscreen
draw() { # NAME WHAT ARGUMENTS...
  local name=$1 what=$2
  shift 2
  "$dhsa" export "$what" --quiet --no-data --out "$out/$name.pdf" "$@"
  pdftoppm -r 200 -png -singlefile "$out/$name.pdf" "$out/$name"
}
one=(--venue icml --columns one)
draw mask mask --layer 3 "${one[@]}"
draw mask-part mask --layer 3 --row-begin 6000 --row-end 7000 --key-begin 4000 --key-end 7000 "${one[@]}"
draw dense dense --layer 3 --head 1 "${one[@]}"
draw dense-against-sparse dense,sparse,difference --layer 3 --head 1
draw chunk-scores chunk-scores --layer 3 "${one[@]}"
draw token-scores token-scores --layer 3 "${one[@]}"
draw importance importance --layer 3
draw head-mass head-mass --metrics-rows 8 "${one[@]}"
draw chunk-lengths chunk-lengths --layer 3 "${one[@]}"
draw all-masks mask --layer all --venue icml --grid-columns 4
for file in "$@"; do
  case $(grep -oE '"kind": *"[a-z-]+"' "$file" | head -1) in
    *bench*) draw latency-memory latency,memory --data-file "$file" ;;
    *sweep*) draw budget budget --data-file "$file" "${one[@]}" ;;
    *needle*) draw needle needle --data-file "$file" ;;
  esac
done
ls "$out"
