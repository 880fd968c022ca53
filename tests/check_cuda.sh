#!/usr/bin/env bash
# Compiles every CUDA source for the two GPU generations it is written for. Needs nvcc, not a GPU; says so without it.
set -euo pipefail
cd "$(dirname "$0")/.."
nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null || true)
if [[ -z $nvcc ]]; then
  echo "CUDA kernels: nvcc is not installed, not compiled"
  exit 0
fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
mapfile -t kernels < <(find core tests/cuda -name '*.cu' | sort)
for kernel in "${kernels[@]}"; do
  for arch in sm_80 sm_90a; do
    printf '%s\0' -arch="$arch" "$kernel" -o "$out/${kernel//\//_}.$arch.o"
  done
done | xargs -0 -r -n 4 -P "$(nproc)" "$nvcc" -std=c++17 --expt-relaxed-constexpr -O2 -I. -c
echo "CUDA kernels: ${#kernels[@]} compiled for sm_80 and sm_90a"
