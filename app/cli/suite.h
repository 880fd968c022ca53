// dhsa needle --suite: RULER's tasks, and questions away from the end.
#pragma once

#include "app/cli/results_files.h"

namespace dhsa::cli {

// Settings of a suite that a needle test has not, and the way its tables are printed.
struct SuiteFlags {
  bool markdown = false;
  void add_to(CLI::App& app, OptionFlags& settings);
};
[[nodiscard]] bool names_suite(const OptionFlags& settings);
int run_suite_command(const SuiteFlags& suite, const LengthsChoice& choice);

}  // namespace dhsa::cli
