#include <cstdio>
#include <cstdlib>

#include "app/cli/command.h"

int main(int argc, char** argv) {
  const int code = dhsa::cli::run_command(argc, argv);
  std::fflush(nullptr);
  std::_Exit(code);  // libtorch would take a fifth of a short run to tear itself down
}
