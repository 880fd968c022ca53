# shellcheck shell=bash disable=SC2034
# Sourced by run.sh and test.sh: installs the Debian packages that are missing. A second call only asks dpkg.

build_packages=(
  # OpenBLAS first and by name: its pthread variant, which others would pull in, fights with libtorch's OpenMP threads.
  libopenblas0-openmp
  g++ cmake ninja-build pkg-config git ca-certificates
  libtorch-dev libsentencepiece-dev nlohmann-json3-dev libcli11-dev libfmt-dev libgtest-dev libbenchmark-dev
  qt6-base-dev qt6-svg-dev libgl-dev libqcustomplot-dev
)
test_packages=(
  sentencepiece clang-format xvfb xauth python3-minimal python3-numpy poppler-utils desktop-file-utils appstream
  dpkg-dev file shellcheck
)

as_root() {
  if [[ $EUID -eq 0 ]]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "Run as root or install sudo: these need it: $*" >&2
    return 1
  fi
}

# install_packages NAME...
install_packages() {
  if ! command -v dpkg-query >/dev/null; then
    echo "This is no Debian system; going on with what is installed." >&2
    return 0
  fi
  local package missing=()
  for package in "$@"; do
    [[ "$(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null)" == ?i* ]] || missing+=("$package")
  done
  if ((${#missing[@]})); then
    echo "Installing ${#missing[@]} Debian packages: ${missing[*]}"
    as_root apt-get update -qq </dev/null
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
      </dev/null >/dev/null
  fi
  prefer_openmp_blas
}

# If the pthread variant was on the machine before us, it is the one in use.
prefer_openmp_blas() {
  local arch name link
  arch=$(dpkg --print-architecture | sed 's/amd64/x86_64-linux-gnu/; s/arm64/aarch64-linux-gnu/')
  for name in libblas.so.3 liblapack.so.3 libopenblas.so.0; do
    link=/usr/lib/$arch/openblas-openmp/$name
    [[ -e $link && "$(readlink -f "/etc/alternatives/$name-$arch")" == */openblas-pthread/* ]] || continue
    if [[ $EUID -eq 0 ]]; then
      update-alternatives --set "$name-$arch" "$link" >/dev/null
    else
      echo "Slow BLAS in use; better: sudo update-alternatives --set $name-$arch $link" >&2
    fi
  done
}

# configure PRESET: once; afterwards ninja notices by itself when the build description changes.
configure() {
  [[ -f build/$1/build.ninja ]] && return
  local launcher=()
  if command -v ccache >/dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
  cmake --preset "$1" -Wno-dev "${launcher[@]}" >"build/$1.configure.log" 2>&1 || {
    cat "build/$1.configure.log" >&2
    return 1
  }
}
