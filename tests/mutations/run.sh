#!/usr/bin/env bash
# Shows that the tests notice a wrong mask or measure: for each line of list.txt, alone, the changed source is compiled,
# linked before the library's own into the test program that the line names, and that is run. A table of what was noticed
# goes to stdout; exit 1 if a mutant passes its tests, does not build, or its line changes nothing. Nothing in the tree
# is changed. Takes some 40 minutes of one core, so it is no part of test.sh.
#
#   tests/mutations/run.sh BUILD [PATTERN]   BUILD: a folder configured with ninja, such as build/dev, brought up to date
#                                            first; only lines that match PATTERN
#   tests/mutations/run.sh --check           only whether each line still changes its file
set -euo pipefail
cd "$(dirname "$0")/../.."
list=tests/mutations/list.txt

# split LINE: sets program, file, what and expression.
split() {
  local rest=$1
  program=${rest%% :: *}; rest=${rest#* :: }
  file=${rest%% :: *}; rest=${rest#* :: }
  what=${rest%% :: *}; expression=${rest#* :: }
}

lines() { grep -Ev '^(#|$)' "$list"; }

if [[ ${1:-} == --check ]]; then
  bad=0
  while IFS= read -r line; do
    split "$line"
    if sed "$expression" "$file" | cmp -s - "$file"; then
      echo "mutations: changes nothing: $line"
      bad=1
    fi
  done < <(lines)
  exit $bad
fi

# result: what became of the mutant of `split`, in words. The program stands beside the others, where it finds what they find.
result() {
  local mutant=bin/mutant_$1 of=CMakeFiles/dhsa_core.dir/${file#core/}.o commands
  trap 'rm -f "$mutant" "$mutant".*' RETURN
  sed "$expression" "$tree/$file" >"$mutant.cpp"
  if cmp -s "$mutant.cpp" "$tree/$file"; then echo "NOTHING CHANGED in $file"; return; fi
  commands=$(ninja -t commands "test_core_$program")
  grep -F -- "-o core/$of " <<<"$commands" |
    sed "s| -c [^ ]*$| -c $mutant.cpp|; s| -o [^ ]*| -o $mutant.o|; s| -MF [^ ]*| -MF $mutant.d|" >"$mutant.compile"
  tail -n 1 <<<"$commands" |
    sed "s| -o bin/test_core_$program | -o $mutant |; s| core/libdhsa_core.a| $mutant.o&|" >"$mutant.link"
  if ! { bash "$mutant.compile" && bash "$mutant.link"; } &>"$mutant.log"; then echo "DOES NOT BUILD"; return; fi
  local status=0
  timeout 900 "$mutant" --gtest_fail_fast &>"$mutant.log" || status=$?
  case $status in
    0) echo "NOT NOTICED" ;;
    124) echo "noticed by its time" ;;
    *) echo "noticed by $(grep -m1 -oP '^\[  FAILED  \] \K[A-Za-z0-9_./]+' "$mutant.log" || echo 'its end')" ;;
  esac
}

if [[ ${1:-} == --one ]]; then
  split "$3"
  tree=$PWD
  # One core each: mutants run side by side.
  taskset -p -c "$SLOT" $$ >/dev/null 2>&1 || true
  cd "$2"
  printf '%-9s  %-70s  %s\n' "$program" "$what" "$(result "$SLOT")"
  exit 0
fi

build=$1
export OMP_WAIT_POLICY=passive
mapfile -t chosen < <(lines | grep -E -- "${2:-.}")
targets=$(printf '%s\n' "${chosen[@]}" | sed 's/ :: .*//; s/^/test_core_/' | sort -u)
# shellcheck disable=SC2086
cmake --build "$build" --target $targets >/dev/null
for target in $targets; do
  "$build/bin/$target" >"$build/unchanged.log" 2>&1 || {
    echo "Without any mutation $target does not pass:" >&2
    tail -n 20 "$build/unchanged.log" >&2
    exit 2
  }
done
printf '%s\0' "${chosen[@]}" |
  xargs -0 -n 1 -P "$(nproc)" --process-slot-var=SLOT tests/mutations/run.sh --one "$build" | tee "$build/mutations.txt"
noticed=$(grep -c '  noticed by ' "$build/mutations.txt" || true)
echo "$noticed of ${#chosen[@]} mutations noticed"
((noticed == ${#chosen[@]}))
