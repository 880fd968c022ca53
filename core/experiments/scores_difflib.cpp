#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/experiments/scores_internal.h"

namespace dhsa {
namespace {

// Python's difflib leaves out of its search what comes often in a long text, but lets a block grow over it.
constexpr std::size_t kLongText = 200;

class Matcher {
 public:
  Matcher(std::u32string_view a, std::u32string_view b) : a_(a), b_(b) {
    for (std::size_t j = 0; j < b.size(); ++j) places_[b[j]].push_back(j);
    if (b.size() < kLongText) return;
    const std::size_t most = b.size() / 100 + 1;
    std::erase_if(places_, [&](const auto& entry) { return entry.second.size() > most; });
  }

  [[nodiscard]] std::size_t matches() const {
    std::size_t sum = 0;
    std::vector<Range> open = {{0, a_.size(), 0, b_.size()}};
    while (!open.empty()) {
      const Range range = open.back();
      open.pop_back();
      const Block block = longest(range);
      if (block.size == 0) continue;
      sum += block.size;
      open.push_back({range.a_begin, block.a, range.b_begin, block.b});
      open.push_back({block.a + block.size, range.a_end, block.b + block.size, range.b_end});
    }
    return sum;
  }

 private:
  struct Range {
    std::size_t a_begin, a_end, b_begin, b_end;
  };
  struct Block {
    std::size_t a, b, size;
  };

  [[nodiscard]] Block longest(const Range& range) const {
    Block best = {range.a_begin, range.b_begin, 0};
    std::unordered_map<std::size_t, std::size_t> lengths;  // of the match that ends at a[i - 1] and b[j]
    for (std::size_t i = range.a_begin; i < range.a_end; ++i) {
      std::unordered_map<std::size_t, std::size_t> now;
      const auto found = places_.find(a_[i]);
      if (found != places_.end()) {
        for (const std::size_t j : found->second) {
          if (j < range.b_begin) continue;
          if (j >= range.b_end) break;
          const auto before = j > 0 ? lengths.find(j - 1) : lengths.end();
          const std::size_t size = before == lengths.end() ? 1 : before->second + 1;
          now[j] = size;
          if (size > best.size) best = {i + 1 - size, j + 1 - size, size};
        }
      }
      lengths = std::move(now);
    }
    while (best.a > range.a_begin && best.b > range.b_begin && a_[best.a - 1] == b_[best.b - 1]) {
      --best.a;
      --best.b;
      ++best.size;
    }
    while (best.a + best.size < range.a_end && best.b + best.size < range.b_end &&
           a_[best.a + best.size] == b_[best.b + best.size]) {
      ++best.size;
    }
    return best;
  }

  std::u32string_view a_;
  std::u32string_view b_;
  std::unordered_map<char32_t, std::vector<std::size_t>> places_;
};

}  // namespace

double sequence_ratio(std::u32string_view a, std::u32string_view b) {
  if (a.empty() && b.empty()) return 1;
  return 2.0 * static_cast<double>(Matcher(a, b).matches()) / static_cast<double>(a.size() + b.size());
}

}  // namespace dhsa
