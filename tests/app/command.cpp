#include "tests/app/command.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wordexp.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include "app/cli/command.h"

namespace dhsa::test {

namespace fs = std::filesystem;

Folder::Folder() {
  std::string name = (fs::temp_directory_path() / "dhsa-test-XXXXXX").string();
  path_ = mkdtemp(name.data());
}

Folder::~Folder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

fs::path Folder::path(const std::string& name) const { return name.empty() ? path_ : path_ / name; }

std::string Folder::write(const std::string& name, const std::string& text) const {
  std::ofstream(path(name), std::ios::binary) << text;
  return path(name).string();
}

std::vector<std::string> Folder::names() const {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(path_)) names.push_back(entry.path().filename().string());
  return names;
}

std::string content(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

nlohmann::json json_of(const fs::path& path) { return nlohmann::json::parse(content(path)); }

namespace {

// Standard input, output and error are the files of these names in `folder`.
void redirect(const Folder& folder) {
  const int files[] = {open(folder.path("in").c_str(), O_RDONLY), creat(folder.path("out").c_str(), 0600),
                       creat(folder.path("err").c_str(), 0600)};
  for (int to = 0; to < 3; ++to) {
    if (dup2(files[to], to) < 0) std::abort();
  }
}

}  // namespace

Outcome dhsa(const std::string& arguments, const std::string& input, const fs::path& where) {
  const Folder folder;
  static_cast<void>(folder.write("in", input));
  wordexp_t words;
  if (wordexp(("dhsa " + arguments).c_str(), &words, WRDE_NOCMD | WRDE_SHOWERR) != 0) {
    throw std::invalid_argument("no shell takes " + arguments);
  }
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    redirect(folder);
    fs::current_path(where);
    const int code = cli::run_command(static_cast<int>(words.we_wordc), words.we_wordv);
    std::fflush(nullptr);
#ifdef __SANITIZE_ADDRESS__
    __lsan_do_leak_check();
#endif
    _exit(code);  // libtorch takes its time to tear itself down
  }
  int status = 0;
  waitpid(child, &status, 0);
  wordfree(&words);
  Outcome outcome;
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  outcome.out = content(folder.path("out"));
  outcome.err = content(folder.path("err"));
  return outcome;
}

Outcome done(const std::string& arguments, const std::string& input, const fs::path& where) {
  Outcome outcome = dhsa(arguments, input, where);
  if (outcome.code != 0) throw std::runtime_error(arguments + ": " + std::to_string(outcome.code) + " " + outcome.err);
  return outcome;
}

void expect_said(const std::string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts) EXPECT_NE(text.find(part), std::string::npos) << part << " is not in\n" << text;
}

int interrupted(const Folder& folder, const std::string& arguments, const std::string& condition) {
  // As in an interactive shell: others let children in the background ignore the interrupt.
  const std::string runner =
      folder.write("run.sh", "set -m\ncd '" + folder.path().string() + "'\n'" DHSA_BINARY "' " + arguments +
                                 " >out 2>err & pid=$!\nfor i in $(seq 3000); do " + condition +
                                 " && break; sleep 0.02; done\nkill -INT $pid; wait $pid\n");
  return WEXITSTATUS(std::system(("bash '" + runner + "'").c_str()));
}

fs::path demo_copy(const Folder& folder) {
  const fs::path copy = folder.path("model");
  fs::create_directory(copy);
  for (const auto& entry : fs::directory_iterator(fs::path(DHSA_RESOURCES_DIR) / "models" / "demo")) {
    fs::create_symlink(fs::absolute(entry.path()), copy / entry.path().filename());
  }
  return copy;
}

fs::path own_file(const fs::path& model, const std::string& name) {
  const fs::path path = model / name;
  const std::string bytes = content(path);
  fs::remove(path);
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

void set_config(const fs::path& model, const std::string& field, const nlohmann::json& value) {
  const fs::path path = own_file(model, "config.json");
  nlohmann::json config = json_of(path);
  config[field] = value;
  std::ofstream(path) << config.dump();
}

}  // namespace dhsa::test
