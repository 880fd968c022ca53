#!/usr/bin/env bash
# Shows that the tests notice a wrong mask or measure: applies each line of list.txt, alone, to a copy of the tree, builds
# the test program it names and runs it. A table of what was noticed goes to stdout; exit 1 if a mutant passes its tests,
# does not build, or its line changes nothing. Takes about an hour of one core, so it is no part of test.sh.
#
#   tests/mutations/run.sh [FOLDER [PATTERN]]   FOLDER keeps the copy and its build for the next time (default: a temporary
#                                               one); only lines that match PATTERN
#   tests/mutations/run.sh --check              only whether each line still changes its file
set -euo pipefail
source=$(cd "$(dirname "$0")/../.." && pwd)
if [[ ${1:-} == --check ]]; then
  cd "$source"
  bad=0
  while IFS= read -r line; do
    [[ -z $line || $line == \#* ]] && continue
    line=${line#* :: }
    expression=${line#* :: }
    expression=${expression#* :: }
    if sed "$expression" "${line%% :: *}" | cmp -s - "${line%% :: *}"; then
      echo "mutations: changes nothing: $line"
      bad=1
    fi
  done <tests/mutations/list.txt
  exit $bad
fi
folder=${1:-}
pattern=${2:-}
if [[ -z $folder ]]; then
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
fi
mkdir -p "$folder"
# Files that are the same keep their times, so that nothing is built again for them.
# shellcheck disable=SC2016
(cd "$source" && git ls-files -z --cached --others --exclude-standard | xargs -0 -I{} sh -c '
  cmp -s "$1" "$2/$1" || { mkdir -p "$2/$(dirname "$1")" && cp "$1" "$2/$1"; }' _ {} "$folder")
cd "$folder"
launcher=()
command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
cmake --preset dev -DDHSA_BUILD_UI=OFF "${launcher[@]}" >configure.log 2>&1 || { tail -20 configure.log >&2; exit 2; }

programs() { sed '/^#/d; /^$/d; s/ :: .*//' tests/mutations/list.txt | sort -u; }
# fail or pass, or "build" where there is no program to run; a loop without end counts as a failure.
try() {
  cmake --build build/dev -j"$(nproc)" --target "test_core_$1" >build.log 2>&1 || { echo build; return; }
  timeout 600 "build/dev/bin/test_core_$1" --gtest_fail_fast >test.log 2>&1 && echo pass || echo fail
}
for program in $(programs); do
  if [[ $(try "$program") != pass ]]; then
    echo "Without any mutation test_core_$program does not pass:" >&2
    tail -n 20 build.log test.log >&2
    exit 2
  fi
done

missed=0
count=0
printf '%-9s  %-70s  %s\n' program mutation result
while IFS= read -r line; do
  [[ -z $line || $line == \#* ]] && continue
  [[ -z $pattern || $line =~ $pattern ]] || continue
  program=${line%% :: *}; line=${line#* :: }
  file=${line%% :: *}; line=${line#* :: }
  what=${line%% :: *}; expression=${line#* :: }
  count=$((count + 1))
  sed -i "$expression" "$file" || true  # a faulty line changes nothing
  if cmp -s "$file" "$source/$file"; then
    result="NOTHING CHANGED in $file"
  else
    case $(try "$program") in
      fail) result="noticed by $(grep -m1 -oP '^\[  FAILED  \] \K[A-Za-z0-9_./]+' test.log || echo 'its end')" ;;
      pass) result="NOT NOTICED" ;;
      *) result="DOES NOT BUILD" ;;
    esac
    cp "$source/$file" "$file"
  fi
  [[ $result == noticed* ]] || missed=$((missed + 1))
  printf '%-9s  %-70s  %s\n' "$program" "$what" "$result"
done < <(cat "$source/tests/mutations/list.txt")
echo "$((count - missed)) of $count mutations noticed"
((missed == 0))
