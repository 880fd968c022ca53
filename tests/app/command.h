// Runs `dhsa` and looks at what it leaves behind.
#pragma once

#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace dhsa::test {

struct Outcome {
  int code = -1;
  std::string out;
  std::string err;
};

// `arguments` as a shell would take them, in the folder `where`. A child of the test, not the program of its own that
// `DHSA_BINARY` is: loading libtorch takes longer than most tests.
[[nodiscard]] Outcome dhsa(const std::string& arguments, const std::string& input = "",
                           const std::filesystem::path& where = ".");

// The same, and fails the test where its exit code is not 0.
Outcome done(const std::string& arguments, const std::string& input = "", const std::filesystem::path& where = ".");
// All `parts` are in `text`.
void expect_said(const std::string& text, std::initializer_list<const char*> parts);

// A folder for one test, gone afterwards.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::filesystem::path path(const std::string& name = "") const;
  [[nodiscard]] std::string write(const std::string& name, const std::string& text) const;  // returns the path
  [[nodiscard]] std::vector<std::string> names() const;                                     // hidden ones too

 private:
  std::filesystem::path path_;
};

// Runs the program in `folder` until the shell finds `condition` true, then interrupts it; the exit code. What it said
// is in the files out and err.
[[nodiscard]] int interrupted(const Folder& folder, const std::string& arguments, const std::string& condition);

[[nodiscard]] std::string content(const std::filesystem::path& path);
[[nodiscard]] nlohmann::json json_of(const std::filesystem::path& path);

// The demo model with links to its files, so that single ones can be replaced; returns the folder.
[[nodiscard]] std::filesystem::path demo_copy(const Folder& folder);
// Replaces the link by a copy of the file and returns its path.
std::filesystem::path own_file(const std::filesystem::path& model, const std::string& name);
// Changes one field of config.json.
void set_config(const std::filesystem::path& model, const std::string& field, const nlohmann::json& value);

// One complaint: a single line on standard error, exit code 2, nothing on standard output.
#define EXPECT_REFUSED(outcome, part)                                                                     \
  do {                                                                                                    \
    const ::dhsa::test::Outcome& refused = (outcome);                                                     \
    EXPECT_EQ(refused.code, 2) << refused.err;                                                            \
    EXPECT_EQ(refused.out, "");                                                                           \
    EXPECT_TRUE(refused.err.starts_with("dhsa: ")) << refused.err;                                        \
    EXPECT_EQ(refused.err.find('\n'), refused.err.size() - 1) << refused.err;                             \
    EXPECT_NE(refused.err.find(part), std::string::npos) << "no \"" << (part) << "\" in " << refused.err; \
  } while (false)

}  // namespace dhsa::test
