#include "tests/app/command.h"

#include <stdlib.h>
#include <sys/wait.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

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

Outcome dhsa(const std::string& arguments, const std::string& input) {
  const Folder folder;
  const std::string in = folder.write("in", input);
  const std::string command = std::string("'") + DHSA_BINARY + "' " + arguments + " <'" + in + "' >'" +
                              folder.path("out").string() + "' 2>'" + folder.path("err").string() + "'";
  const int status = std::system(command.c_str());
  Outcome outcome;
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  outcome.out = content(folder.path("out"));
  outcome.err = content(folder.path("err"));
  return outcome;
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
