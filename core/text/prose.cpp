// Prose without sense from a grammar of sentences. A paragraph keeps its people, place and thing, so that its sentences
// refer to each other; everything else is drawn anew.
#include <map>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/haystack.h"
#include "core/text/prose_internal.h"

namespace dhsa {
namespace {

// The first letter from `at` on, behind a quotation mark if there is one.
void capitalise(std::string& sentence, std::size_t at) {
  char& letter = sentence[sentence[at] == '"' ? at + 1 : at];
  if (letter >= 'a' && letter <= 'z') letter = static_cast<char>(letter - 'a' + 'A');
}

class Writer {
 public:
  explicit Writer(std::uint64_t seed) : random_(seed) {}

  std::string paragraph() {
    cast();
    std::string text;
    const std::size_t sentences = 3 + pick(6);
    for (std::size_t i = 0; i < sentences; ++i) {
      std::string sentence = i == 0 ? expand("opening") : filled(next_plan());
      capitalise(sentence, 0);
      for (std::size_t at = 0; (at = sentence.find(". \"", at)) != std::string::npos;) capitalise(sentence, at += 2);
      if (i > 0) text += ' ';
      text += sentence;
    }
    return text;
  }

 private:
  std::size_t pick(std::size_t n) { return static_cast<std::size_t>(random_() % n); }

  // A plan that this paragraph has not followed yet.
  std::string_view next_plan() {
    const std::vector<std::string_view>& plans = prose::grammar().at("sentence");
    while (true) {
      const std::size_t plan = pick(plans.size());
      if (used_.insert(plan).second) return plans[plan];
    }
  }

  // Who and what this paragraph is about.
  void cast() {
    known_.clear();
    used_.clear();
    const bool woman = pick(2) == 0;
    known_["hero"] = expand(woman ? "woman" : "man");
    known_["she"] = woman ? "she" : "he";
    known_["her"] = woman ? "her" : "his";
    known_["herself"] = woman ? "herself" : "himself";
    known_["home"] = expand("place");
    known_["matter"] = "the " + expand("thing");
  }

  std::string expand(std::string_view rule) {
    if (const auto known = known_.find(rule); known != known_.end()) return known->second;
    const std::vector<std::string_view>& alternatives = prose::grammar().at(rule);
    return filled(alternatives[pick(alternatives.size())]);
  }

  // Every {rule} replaced by one of its alternatives.
  std::string filled(std::string_view text) {
    std::string out;
    while (true) {
      const std::size_t open = text.find('{');
      out += text.substr(0, open);
      if (open == std::string_view::npos) return out;
      const std::size_t close = text.find('}', open);
      out += expand(text.substr(open + 1, close - open - 1));
      text.remove_prefix(close + 1);
    }
  }

  std::mt19937_64 random_;
  std::map<std::string_view, std::string> known_;  // of this paragraph
  std::set<std::size_t> used_;                     // sentence plans of this paragraph
};

}  // namespace

std::string generate_prose(std::uint64_t seed, std::size_t bytes) {
  Writer writer(seed);
  std::string text;
  while (text.size() < bytes) {
    if (!text.empty()) text += "\n\n";
    text += writer.paragraph();
  }
  return text;
}

}  // namespace dhsa
