#include "app/cli/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/text/document.h"

namespace dhsa::cli {
namespace {

std::string padded(const std::string& cell, std::size_t width, bool left) {
  const std::size_t used = characters(cell);
  const std::string gap(width > used ? width - used : 0, ' ');
  return left ? cell + gap : gap + cell;
}

}  // namespace

Table::Table(std::vector<std::string> headings, std::vector<std::size_t> left)
    : headings_(std::move(headings)), left_(std::move(left)) {}

void Table::add(std::vector<std::string> cells) {
  cells.resize(headings_.size());
  rows_.push_back({false, std::move(cells)});
}

void Table::heading(std::string text) { rows_.push_back({true, {std::move(text)}}); }

std::string Table::text(std::size_t indent, std::size_t most, std::size_t repeated) const {
  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < headings_.size(); ++c) {
    std::size_t width = characters(headings_[c]);
    for (const Row& row : rows_) {
      if (!row.heading) width = std::max(width, characters(row.cells[c]));
    }
    widths.push_back(width);
  }
  std::string out;
  repeated = std::min(repeated, headings_.size());
  std::size_t keys = indent;
  for (std::size_t c = 0; c < repeated; ++c) keys += widths[c] + (c > 0 ? 2 : 0);
  for (std::size_t first = repeated; first == repeated || first < headings_.size();) {
    std::size_t total = keys;
    std::size_t end = first;
    while (end < headings_.size() && (end == first || total + 2 + widths[end] <= most)) total += 2 + widths[end++];
    if (first > repeated) out += '\n';
    const auto line = [&](const std::vector<std::string>& cells) {
      std::string one(indent, ' ');
      const auto put = [&](std::size_t c) {
        one += padded(cells[c], widths[c], std::find(left_.begin(), left_.end(), c) != left_.end());
      };
      for (std::size_t c = 0; c < end; c = c + 1 == repeated ? first : c + 1) {
        if (c > 0) one += "  ";
        put(c);
      }
      one.erase(one.find_last_not_of(' ') + 1);
      out += one + '\n';
    };
    line(headings_);
    out += std::string(indent, ' ') + std::string(total - indent, '-') + '\n';
    for (const Row& row : rows_) {
      if (row.heading) {
        out += std::string(indent, ' ') + row.cells[0] + '\n';
      } else {
        line(row.cells);
      }
    }
    first = end > first ? end : headings_.size();
  }
  return out;
}

std::string wrap(std::string_view text, std::size_t width, std::size_t indent) {
  std::string out;
  std::size_t column = 0;
  while (!text.empty()) {
    const std::size_t start = text.find_first_not_of(' ');
    if (start == std::string_view::npos) break;
    text.remove_prefix(start);
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    const std::size_t length = characters(word);
    if (column > 0 && indent + column + 1 + length > width) {
      out += '\n' + std::string(indent, ' ');
      column = 0;
    } else if (column > 0) {
      out += ' ';
      ++column;
    }
    out += word;
    column += length;
    text.remove_prefix(end);
  }
  return out;
}

std::string count(std::int64_t value) {
  std::string digits = std::to_string(value < 0 ? -value : value);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3) {
    digits.insert(static_cast<std::size_t>(at), ",");
  }
  return value < 0 ? "-" + digits : digits;
}

std::string percent(double share, int places) { return fmt::format("{:.{}f} %", 100 * share, places); }

std::string seconds(double value) {
  if (value < 0.01) return fmt::format("{:.1f} ms", 1000 * value);
  if (value < 1) return fmt::format("{:.0f} ms", 1000 * value);
  if (value < 120) return fmt::format("{:.2f} s", value);
  const auto whole = static_cast<std::int64_t>(std::lround(value));
  return fmt::format("{} min {:02} s", whole / 60, whole % 60);
}

std::string milliseconds(double value) { return fmt::format("{:.1f}", 1000 * value); }

std::string bytes(std::int64_t value) {
  const auto amount = static_cast<double>(value);
  if (amount < 1024 * 1024) return fmt::format("{:.0f} KiB", amount / 1024);
  if (amount < 1024.0 * 1024 * 1024) return fmt::format("{:.0f} MiB", amount / 1024 / 1024);
  return fmt::format("{:.2f} GiB", amount / 1024 / 1024 / 1024);
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    switch (c) {
      case '\n':
        out += "\\n";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\r':
        out += "\\r";
        break;
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
          out += fmt::format("\\x{:02x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
        } else {
          out += c;
        }
    }
  }
  return out + '"';
}

}  // namespace dhsa::cli
