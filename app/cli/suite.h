// dhsa needle --suite: RULER's tasks, and questions away from the end.
#pragma once

#include <string>
#include <vector>

#include "app/cli/results_files.h"

namespace dhsa::cli {

// Settings of a suite that a needle test has not, and the way its tables are printed.
struct SuiteFlags {
  bool markdown = false;
  void add_to(CLI::App& app, OptionFlags& settings);
};
[[nodiscard]] bool names_suite(const OptionFlags& settings);
// `lengths` and `haystack` as on the command line.
int run_suite_command(const SuiteFlags& suite, const ExperimentFlags& flags, std::vector<MethodChoice> methods,
                      const std::string& lengths, const std::string& haystack);

}  // namespace dhsa::cli
