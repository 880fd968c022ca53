#!/usr/bin/env bash
# Installs what is missing, builds with warnings as errors, runs every test, then again under AddressSanitizer and
# UndefinedBehaviorSanitizer, then checks formatting, the scripts and that the CUDA kernels compile. Last line:
# "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")" || exit 1
source .ci/packages.sh
install_packages "${build_packages[@]}" "${test_packages[@]}" || { echo "0 passed, 1 failed"; exit 1; }

export QT_QPA_PLATFORM=offscreen
mkdir -p build
passed=0
failed=0

# step NAME COMMAND...: one check that either passes or fails.
step() {
  local name=$1
  shift
  if "$@" </dev/null; then
    passed=$((passed + 1))
  else
    echo "FAILED: $name"
    failed=$((failed + 1))
    return 1
  fi
}

build() { configure "$1" && cmake --build "build/$1"; }

# suite PRESET: builds it and counts each of its tests.
suite() {
  echo "== $1"
  step "build of $1" build "$1" || return
  local log=build/$1/ctest.log summary
  ctest --preset "$1" -j "$(nproc)" </dev/null 2>&1 | tee "$log"
  summary=$(grep -oE '[0-9]+ tests? failed out of [0-9]+' "$log" | tail -1)
  if [[ -z $summary ]]; then
    echo "FAILED: ctest of $1 gave no summary"
    failed=$((failed + 1))
    return
  fi
  local numbers bad all
  numbers=$(tr -c '0-9' ' ' <<<"$summary")
  read -r bad all <<<"$numbers"
  failed=$((failed + bad))
  passed=$((passed + all - bad))
}

check_format() {
  git ls-files -z -- 'core/*.h' 'core/*.cpp' 'app/*.h' 'app/*.cpp' 'ui/*.h' 'ui/*.cpp' 'tests/*.h' 'tests/*.cpp' |
    xargs -0 clang-format --dry-run --Werror
}

check_scripts() { git ls-files -z -- '*.sh' .ci/run | xargs -0 shellcheck -x; }

suite dev
suite asan-ubsan
echo "== style and kernels"
step "clang-format" check_format
step "shellcheck" check_scripts
step "CUDA kernels" tests/check_cuda.sh

echo "$passed passed, $failed failed"
((failed == 0))
