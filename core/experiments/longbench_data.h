// LongBench's files: rows of a task as JSON lines, and the prompt template of each task.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/experiments/longbench_tasks.h"

namespace dhsa {

struct LongBenchRow {
  std::string input;
  std::string context;
  std::vector<std::string> answers;
  std::vector<std::string> classes;  // all_classes; empty where the row says null
  std::int64_t length = 0;           // words of the row, characters where it is Chinese
  std::string dataset;
  std::string language;
  std::string id;
};
// One row a line. Throws Error that begins with `where` on a line without one of the official fields, with one of
// another kind, or of another task.
[[nodiscard]] std::vector<LongBenchRow> parse_longbench_rows(std::string_view text, const std::string& where,
                                                             const LongBenchTask& task);

// A template as Python's str.format() reads it: {context} and {input} are filled in once, {{ and }} are braces.
class PromptTemplate {
 public:
  // Throws Error that begins with `where`: a brace alone, a field that rows do not have, no {context}.
  PromptTemplate(const std::string& text, const std::string& where);

  struct Filled {
    std::string text;
    std::size_t question = 0;  // where the text behind the last {context} begins
  };
  [[nodiscard]] Filled fill(const LongBenchRow& row) const;

 private:
  enum class Field : std::uint8_t { kContext, kInput, kDataset, kLanguage, kId, kLength };
  struct Part {
    std::string text;  // before the field
    Field field = Field::kContext;
  };
  std::vector<Part> parts_;
  std::string end_;
};
// dataset2prompt.json: an object of templates by task; others than those of `tasks` are not looked at.
[[nodiscard]] std::map<std::string, PromptTemplate> parse_longbench_prompts(std::string_view text,
                                                                            const std::string& where,
                                                                            const std::vector<std::string>& tasks);

struct LongBenchSet {
  const LongBenchTask* task = nullptr;
  std::vector<LongBenchRow> rows;
  PromptTemplate prompt;
};
struct LongBenchData {
  std::string name;    // of the folder
  std::string digest;  // SHA-256 of all that was read
  std::vector<LongBenchSet> sets;
};
// Reads DIR/{task}.jsonl, or {task}_e.jsonl where `e`, and `prompts` (empty: DIR/dataset2prompt.json). No tasks: all
// that the folder has files of. `limit` rows of each, 0: all. Throws Error where a file is missing or wrong.
[[nodiscard]] LongBenchData read_longbench(const std::filesystem::path& folder, std::filesystem::path prompts,
                                           std::vector<std::string> tasks, bool e, std::int64_t limit);

}  // namespace dhsa
