#!/usr/bin/env bash
# The core's and the window state's tests under ThreadSanitizer. Takes too long for test.sh.
# Usage: tests/tsan.sh [CTEST REGULAR EXPRESSION]
set -euo pipefail
cd "$(dirname "$0")/.."
source .ci/packages.sh
install_packages "${build_packages[@]}" "${test_packages[@]}"
mkdir -p build
configure tsan
targets=$(cmake --build build/tsan --target help | grep -oE '^(test_core_[a-z]+|tst_(state|engine|experiments))' | sort -u)
# shellcheck disable=SC2086
cmake --build build/tsan --target $targets
# Under this tool loops run on threads of their own, which are bound to no processor.
export GTEST_FILTER=-ComputeThreads.KeepToProcessorsOnlyWhenThereIsOneForEach
export TSAN_OPTIONS="suppressions=$PWD/tests/tsan.supp ignore_noninstrumented_modules=1 halt_on_error=0 exitcode=66"
ctest --test-dir build/tsan --output-on-failure -R "${1:-^(core\\.|ui\\.(state|experiments))}"
