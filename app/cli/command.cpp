#include "app/cli/command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <new>
#include <string>
#include <system_error>
#include <vector>

#include "app/cli/common.h"
#include "app/cli/table.h"
#include "app/revision.h"
#include "core/base/error.h"

namespace dhsa::cli {
namespace {

constexpr int kFailed = 1;
constexpr int kBadInput = 2;

// Options under each other with wrapped explanations: CLI11's own runs past the right edge.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option(const CLI::Option* option, bool is_positional) const override {
    constexpr std::size_t kAt = 30;
    std::string name = "  " + make_option_name(option, is_positional);
    if (!option->get_type_name().empty()) name += " " + option->get_type_name();
    name.resize(std::max(name.size(), kAt), ' ');
    if (name.size() > kAt) name += '\n' + std::string(kAt, ' ');
    return name + wrap(option->get_description(), kLineWidth, kAt) + '\n';
  }
  std::string make_option_name(const CLI::Option* option, bool is_positional) const override {
    if (is_positional) return option->get_name(true);
    std::string names;
    for (const std::string& name : option->get_snames()) names += (names.empty() ? "-" : ", -") + name;
    for (const std::string& name : option->get_lnames()) {
      // "--no-x" goes without saying in the list, and is said once below it.
      if (name.starts_with("no-")) continue;
      names += (names.empty() ? "--" : ", --") + name;
    }
    return names;
  }
};

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

int complain(const std::string& sentence, int code) {
  say(fmt::format("dhsa: {}\n", sentence));
  return code;
}

// "--json --quiet" is an option without its value; "TEXT --json TEXT" would lose the text, "--json F --csv F" one of
// the two. Throws Error.
void check_values(const CLI::App& command) {
  std::vector<std::string> inputs, outputs;
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_expected_max() < 1) continue;
    for (const std::string& value : option->results()) {
      if (value.starts_with("--") && command.get_option_no_throw(value) != nullptr) {
        throw Error(fmt::format("{} has no value: {} follows it.", option->get_name(), value));
      }
      (names_output(*option) ? outputs : inputs).push_back(value);
    }
  }
  namespace fs = std::filesystem;
  std::error_code none;
  for (auto output = outputs.begin(); output != outputs.end(); ++output) {
    for (const std::string& input : inputs) {
      if (fs::is_regular_file(input, none) && fs::equivalent(input, *output, none)) {
        throw Error(fmt::format("{} is read and would be written over; write to another file.", input));
      }
    }
    if (std::any_of(outputs.begin(), output, [&](const std::string& other) {
          return fs::weakly_canonical(fs::absolute(other), none) == fs::weakly_canonical(fs::absolute(*output), none);
        })) {
      throw Error(fmt::format("{} would be written twice; name two files.", *output));
    }
  }
  for (const CLI::App* nested : command.get_subcommands()) check_values(*nested);
}

}  // namespace

int run_command(int argc, char** argv) {
  set_program(DHSA_VERSION, built_revision());
  CLI::App app(
      "DHSA Explorer, command line: Gemma 2 prefill with Dynamic Hierarchical Sparse Attention, against\n"
      "dense and other sparse methods.",
      "dhsa");
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_version_flag("--version", fmt::format("dhsa {}", DHSA_VERSION), "Print the version and leave");
  app.set_help_flag("-h,--help", "Print this help and leave");
  app.require_subcommand(0, 1);
  app.footer(
      "dhsa COMMAND --help says what a command takes.\n"
      "Exit codes: 0 fine, 1 a verification failed or the run was cancelled, 2 bad input.");
  Action action;
  add_run(app, action);
  add_inspect(app, action);
  add_generate(app, action);
  add_verify(app, action);
  add_bench(app, action);
  add_needle(app, action);
  add_longbench(app, action);
  add_sweep(app, action);
  add_export(app, action);
  add_train_predictor(app, action);
  add_ablate(app, action);
  add_info(app, action);
  add_synth_model(app, action);

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& wanted) {  // help and version
    return app.exit(wanted);
  } catch (const CLI::ParseError& fault) {
    return complain(fmt::format("{} (dhsa --help lists the commands and options)", first_line(fault.what())),
                    kBadInput);
  }
  try {
    if (!action) {
      fmt::print("{}", app.help());
      return 0;
    }
    check_values(app);
    watch_interrupt();
    std::signal(SIGXFSZ, SIG_IGN);  // a file that may not grow is an error to report
    std::signal(SIGPIPE, SIG_IGN);  // a reader that leaves is an error to report, not a reason to leave files half done
    const int code = action();
    if (std::fflush(stdout) != 0) return complain("Standard output cannot be written.", kBadInput);
    return code;
  } catch (const Cancelled&) {
    return complain("Cancelled; nothing was written.", kFailed);
  } catch (const Error& fault) {
    return complain(fault.what(), kBadInput);
  } catch (const std::bad_alloc&) {
    return complain("There is not enough memory for this; use a shorter text or a smaller model.", kBadInput);
  } catch (const std::system_error&) {
    return complain("Standard output cannot be written.", kBadInput);
  } catch (const std::exception& fault) {
    return complain(fmt::format("Internal fault: {}", first_line(fault.what())), kFailed);
  }
}

}  // namespace dhsa::cli
