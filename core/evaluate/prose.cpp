// Prose without sense from a small grammar.
#include <map>
#include <random>
#include <string_view>
#include <vector>

#include "core/evaluate/haystack.h"

namespace dhsa {
namespace {

using Alternatives = std::vector<std::string_view>;

const std::map<std::string_view, Alternatives>& grammar();

class Writer {
 public:
  explicit Writer(std::uint64_t seed) : random_(seed) {}

  std::string paragraph() {
    std::string text;
    const std::size_t sentences = 3 + pick(5);
    for (std::size_t i = 0; i < sentences; ++i) {
      std::string sentence = expand(i == 0 ? "opening" : "sentence");
      sentence[0] = static_cast<char>(sentence[0] >= 'a' && sentence[0] <= 'z' ? sentence[0] - 'a' + 'A' : sentence[0]);
      if (i > 0) text += ' ';
      text += sentence;
    }
    return text;
  }

 private:
  std::size_t pick(std::size_t n) { return static_cast<std::size_t>(random_() % n); }

  std::string expand(std::string_view rule) {
    const Alternatives& alternatives = grammar().at(rule);
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
};

const std::map<std::string_view, Alternatives>& grammar() {
  static const std::map<std::string_view, Alternatives> rules = {
      {"opening", {"{when}, {who} {did} {where}.", "{who} had {done} before {someone} {did}."}},
      {"sentence",
       {"{who} {did} {where}, and {someone} {did}.", "{it} was {quality}, though {someone} {did} {when}.",
        "{when} {who} {did}, because {it} was {quality}."}},
      {"who", {"the baker", "my aunt", "the old teacher", "a stranger", "the captain", "our neighbour"}},
      {"someone", {"nobody", "everybody", "the postman", "her brother", "the youngest of them", "a dog"}},
      {"did", {"waited", "went away", "came back", "laughed", "asked for bread", "opened the door", "said nothing"}},
      {"done", {"waited", "gone away", "come back", "slept", "asked for bread", "opened the door", "said nothing"}},
      {"where", {"by the river", "in the kitchen", "under the bridge", "at the market", "behind the church"}},
      {"when", {"in the morning", "after the rain", "towards evening", "on the second day", "once the lamps were lit"}},
      {"it", {"the road", "the house", "the weather", "the letter", "the garden", "the bread"}},
      {"quality", {"good enough", "much too long", "quiet", "older than it looked", "cold", "finished at last"}},
  };
  return rules;
}

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
