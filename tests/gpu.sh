#!/usr/bin/env bash
# Builds for CUDA, runs the parity tests on the device, measures prefill and a layer's attention, and ends with a table of
# both attention kernels. Needs nvcc, a GPU and a CUDA libtorch; packages that the machine lacks may lie unpacked under
# .gpu/usr. Usage: tests/gpu.sh [build|test|bench|kernels|sanitize ...]   (default: the first four, in that order)
set -euo pipefail
cd "$(dirname "$0")/.."
steps=("${@:-}")
[[ -n "${steps[0]}" ]] || steps=(build test bench kernels)
out=${OUT:-build/gpu}
mkdir -p "$out"
export LD_LIBRARY_PATH=$PWD/.gpu/usr/lib/x86_64-linux-gnu:${LD_LIBRARY_PATH:-}
arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)
[[ $arch == 90 ]] && arch=90a
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader

for step in "${steps[@]}"; do
  case $step in
    build)
      torch=$(python3 -c 'import torch; print(torch.utils.cmake_prefix_path)' 2>/dev/null || true)
      cmake -S . -B build/gpu -G Ninja -DCMAKE_BUILD_TYPE=Release -DDHSA_BUILD_UI=OFF -DDHSA_CUDA=ON \
        -DCMAKE_PREFIX_PATH="$torch;$PWD/.gpu/usr" -DCMAKE_CUDA_ARCHITECTURES="$arch"
      cmake --build build/gpu --target dhsa test_cuda attend_kernels -- -k 0
      ;;
    test)
      ctest --test-dir build/gpu --output-on-failure -R '^cuda'
      ;;
    bench)
      build/gpu/bin/dhsa bench prefill --device cuda --models gemma2-2b --layers 26 --lengths 8192,16384,32768,131072 \
        --methods dense,longbench,latency,best,window-sinks --repeats 3 --json "$out/prefill.json"
      build/gpu/bin/dhsa bench attention --device cuda --shapes gemma2-2b --lengths 8192,32768,131072 \
        --methods dense,longbench,latency,best,window-sinks \
        --json "$out/attention.json"
      ;;
    kernels)
      build/gpu/bin/attend_kernels 50 9 | tee "$out/kernels.txt"
      ;;
    sanitize)  # bad addresses and races in shared memory, on few and small cases
      for tool in memcheck racecheck; do
        compute-sanitizer --tool "$tool" --error-exitcode 1 build/gpu/bin/test_cuda \
          --gtest_filter='CudaPlanning.EachStepOnAShortText'
        compute-sanitizer --tool "$tool" --error-exitcode 1 build/gpu/bin/attend_kernels 40 0
      done
      ;;
    *) echo "tests/gpu.sh: unknown step '$step'" >&2; exit 2 ;;
  esac
done
