#!/usr/bin/env bash
# Fails if core includes a Qt header, if a folder of core includes one above it, or if libtorch shows in a public header.
set -euo pipefail
cd "${1:-$(dirname "$0")/..}"
bad=0
complain() { echo "architecture: $1"; bad=1; }

# Lowest first; a folder may include itself and those before it.
order=(base files text sparsity attention model analysis run experiments figures verify training)
declare -A rank
for i in "${!order[@]}"; do rank[${order[$i]}]=$i; done
# The last four stand side by side, but that figures are drawn of the results of experiments.
sources=$(find core -name '*.h' -o -name '*.cpp' -o -name '*.inc' -o -name '*.cu' -o -name '*.cuh')
for file in $sources; do
  from=$(cut -d/ -f2 <<<"$file")
  if grep -nE '#include *[<"](Q[A-Z]|qt|q[a-z]+\.h)' "$file"; then complain "$file includes Qt"; fi
  if grep -nE '#include *"(ui|app)/' "$file"; then complain "$file includes a layer above core"; fi
  while read -r to; do
    [[ -n "${rank[$from]:-}" && -n "${rank[$to]:-}" ]] || { complain "$file: unknown folder $from or $to"; continue; }
    if ((rank[$to] > rank[$from])) || [[ $from =~ ^(verify|training)$ && $to =~ ^(experiments|figures|verify)$ && $from != "$to" ]]; then
      complain "$file: core/$from may not include core/$to"
    fi
  done < <(grep -oE '#include *"core/[a-z_]+/' "$file" | sed -E 's#.*core/([a-z_]+)/#\1#' | sort -u)
done
while read -r header; do
  if grep -nE '#include *<(torch|ATen|c10)/' "$header"; then complain "$header shows libtorch"; fi
done < <(find core ui -name '*.h' ! -name '*_internal.h' ! -path '*/internal/*')
if grep -rnE '#include *<(torch|ATen|c10)/' ui app --include='*.h' --include='*.cpp'; then
  complain "ui and app may not include libtorch"
fi
if grep -rnE '#include *"app/' ui --include='*.h' --include='*.cpp'; then complain "ui may not include app"; fi
exit $bad
