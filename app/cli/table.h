// Fixed-width text for the terminal: tables and numbers with their units.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dhsa::cli {

constexpr std::size_t kLineWidth = 100;  // of the terminal that reports and help are set for

// Columns as wide as their widest cell, two spaces between them. The first column and those named are left-aligned.
class Table {
 public:
  explicit Table(std::vector<std::string> headings, std::vector<std::size_t> left = {0});
  void add(std::vector<std::string> cells);
  void heading(std::string text);  // a line of its own between rows
  // Every line indented; where a table of several columns is wider than `most`, the later columns follow in a second
  // table under it, each with the first `repeated` columns again.
  [[nodiscard]] std::string text(std::size_t indent = 2, std::size_t most = kLineWidth, std::size_t repeated = 1) const;

 private:
  struct Row {
    bool heading = false;
    std::vector<std::string> cells;
  };
  std::vector<std::string> headings_;
  std::vector<std::size_t> left_;
  std::vector<Row> rows_;
};

[[nodiscard]] std::string wrap(std::string_view text, std::size_t width, std::size_t indent = 0);
[[nodiscard]] std::string count(std::int64_t value);              // 16384 -> "16,384"
[[nodiscard]] std::string percent(double share, int places = 1);  // 0.1234 -> "12.3 %"
[[nodiscard]] std::string seconds(double value);                  // "412 ms", "3.21 s", "2 min 05 s"
[[nodiscard]] std::string milliseconds(double value);             // number only, in ms
[[nodiscard]] std::string bytes(std::int64_t value);              // "412 MiB", "5.21 GiB"
// One line, quoted, line breaks written as \n.
[[nodiscard]] std::string in_quotes(std::string_view text);

}  // namespace dhsa::cli
