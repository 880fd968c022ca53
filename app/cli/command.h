// The `dhsa` command. Exit codes: 0 fine, 1 a verification failed or the run was cancelled, 2 bad input.
#pragma once

namespace dhsa::cli {

// All that the program does; tests call it in a child of their own, which spares them loading libtorch each time.
[[nodiscard]] int run_command(int argc, char** argv);

}  // namespace dhsa::cli
