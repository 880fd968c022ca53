#!/usr/bin/env bash
# The measurements of the CPU part of RESULTS.md, on a release build and an otherwise idle machine. Every step takes less
# than four minutes and prints its commands; tables go to $OUT (build/bench), as text and as JSON.
# Usage: tests/bench/cpu.sh [kernels|naive|attention|attention-bf16|demo|like|2b|2b-long ...]   (default: all)
set -euo pipefail
cd "$(dirname "$0")/../.."
steps=("$@")
[[ $# -gt 0 ]] || steps=(kernels naive attention attention-bf16 demo like 2b 2b-long)
out=${OUT:-build/bench}
dhsa=${DHSA:-build/release/bin/dhsa}
mkdir -p "$out"

bench() {  # bench NAME ARGUMENTS...
  local name=$1
  shift
  echo "\$ dhsa bench $*"
  "$dhsa" bench "$@" --json "$out/$name.json" | tee "$out/$name.txt"
}

for step in "${steps[@]}"; do
  case $step in
    kernels) bench kernels attention --kernels --shapes demo,gemma2-2b --lengths 8192 ;;
    naive) bench naive attention --shapes demo,gemma2-2b --lengths 8192 --methods dense --naive-longest 8192 --repeats 3 ;;
    attention | attention-bf16)
      type=float32
      [[ $step == attention ]] || type=bfloat16
      bench "$step" attention --shapes demo,gemma2-2b --lengths 2048,4096,8192,16384 --methods dense,dhsa,best \
        --naive-longest 0 --dtype $type
      bench "$step-32k" attention --shapes demo,gemma2-2b --lengths 32768 --methods dense,dhsa,best \
        --naive-longest 0 --repeats 3 --dtype $type
      ;;
    demo)  # the model that comes with the program, window 512
      bench demo prefill --models demo --lengths 8192,16384,32768 --methods dense,dhsa
      bench demo-bf16 prefill --models demo --lengths 8192,16384,32768 --methods dense,dhsa --dtype bfloat16
      ;;
    like)  # the same with window 1024 and random weights, which other engines were measured with
      "$dhsa" synth-model --shape demo --window 1024 --context 32768 --out "$out/demo-1024" > /dev/null
      bench like prefill --model "$out/demo-1024" --lengths 1024,8192,16384 --methods dense,dhsa
      bench like-bf16 prefill --model "$out/demo-1024" --lengths 1024,8192,16384 --methods dense,dhsa --dtype bfloat16
      ;;
    2b)
      bench 2b prefill --models gemma2-2b --lengths 8192,16384 --methods dense,dhsa --dtype bfloat16 --repeats 3
      ;;
    2b-long)
      bench 2b-long prefill --models gemma2-2b --lengths 32768 --methods dense,dhsa --dtype bfloat16 --repeats 3
      ;;
    *) echo "There is no step $step." >&2; exit 2 ;;
  esac
done
