// The prompts of a needle test.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>
#include <set>
#include <utility>

#include "core/experiments/needle.h"

namespace dhsa {
namespace {

constexpr std::array kAdjectives = {"red",    "blue",   "green",  "northern", "silent", "narrow",  "golden",  "broken",
                                    "quiet",  "wooden", "silver", "distant",  "yellow", "hidden",  "crooked", "little",
                                    "copper", "frozen", "old",    "purple",   "heavy",  "painted", "western", "round"};
constexpr std::array kThings = {"lamp",   "cabinet", "chart",  "mountain", "bridge", "garden", "tower",   "piano",
                                "barrel", "window",  "ladder", "mirror",   "engine", "basket", "lantern", "anchor",
                                "carpet", "statue",  "kettle", "drawer",   "wagon",  "bell",   "island",  "clock"};
constexpr std::size_t kLongSentence = 64;  // tokens; a longer one may be parted between two words

// A sentence that says a number.
struct Needle {
  std::string sentence;
  double place = 0;  // share of the haystack before it
};

std::uint64_t mixed(std::uint64_t hash, std::uint64_t value) {
  hash ^= value + 0x9e3779b97f4a7c15U + (hash << 6U) + (hash >> 2U);
  hash = (hash ^ (hash >> 30U)) * 0xbf58476d1ce4e5b9U;
  return hash ^ (hash >> 27U);
}

// Text of the haystack with the places where a needle may stand or the text may end.
struct Hay {
  struct Cut {
    std::int64_t tokens = 0;  // before it, <bos> included
    std::size_t bytes = 0;
  };
  std::string text;
  std::vector<Cut> cuts;  // ascending; the first is the beginning
};

Hay make_hay(const NeedleSettings& settings, std::int64_t length, std::int64_t prompt, const Tokenizer& tokenizer) {
  Hay hay;
  Encoding encoding;
  const auto wanted = static_cast<std::size_t>(length);
  for (std::size_t bytes = 5 * wanted + 256;; bytes *= 2) {
    hay.text = settings.haystack.text(settings.seed, prompt, settings.prompts, bytes);
    encoding = tokenizer.encode(hay.text);
    if (encoding.ids.size() >= wanted) break;
  }
  hay.cuts.push_back({1, 0});
  const auto cut_after = [&](std::size_t token) {
    const auto bytes = static_cast<std::size_t>(encoding.spans[token].end);
    if (bytes > hay.cuts.back().bytes) hay.cuts.push_back({static_cast<std::int64_t>(token) + 1, bytes});
  };
  std::size_t next = 0;
  const std::vector<std::int32_t> ends = sentence_ends(hay.text, encoding);
  for (std::size_t token = 1; token < encoding.ids.size(); ++token) {
    while (next < ends.size() && static_cast<std::size_t>(ends[next]) < token) ++next;
    const bool ends_here = next < ends.size() && static_cast<std::size_t>(ends[next]) == token;
    const bool too_long = token + 1 - static_cast<std::size_t>(hay.cuts.back().tokens) >= kLongSentence;
    const auto behind = static_cast<std::size_t>(encoding.spans[token].end);
    if (ends_here || (too_long && behind < hay.text.size() && hay.text[behind] == ' ')) cut_after(token);
  }
  return hay;
}

std::string number_of(std::mt19937_64& random, std::int64_t digits, const std::string& text,
                      const std::set<std::string>& taken) {
  // A number that the text says anywhere would be no proof; of many digits, the first draw is good.
  for (int attempt = 0; attempt < 1000; ++attempt) {
    std::string number;
    for (std::int64_t i = 0; i < digits; ++i) {
      number += static_cast<char>('0' + (i == 0 ? 1 + random() % 9 : random() % 10));
    }
    if (!taken.contains(number) && text.find(number) == std::string::npos) return number;
  }
  throw Error(fmt::format("The haystack says nearly every number of {} digits; ask for longer ones.", digits));
}

std::size_t nearest_cut(const Hay& hay, std::size_t last, double place) {
  const double wanted = place * static_cast<double>(hay.cuts[last].tokens);
  std::size_t best = 0;
  for (std::size_t i = 0; i <= last; ++i) {
    const auto away = [&](std::size_t c) { return std::abs(static_cast<double>(hay.cuts[c].tokens) - wanted); };
    if (away(i) < away(best)) best = i;
  }
  return best;
}

std::string question_of(const NeedleSettings& settings, const std::string& key) {
  if (settings.task == NeedleTask::kMultiValue) {
    return fmt::format("\nQuestion: What are all the secret codes of the {}?\nAnswer:", key);
  }
  return fmt::format("\nQuestion: What is the secret code of the {}?\nAnswer:", key);
}

// Haystack up to cut `last` with the needles at their places, and the question. False where it has too many tokens.
bool assemble(NeedlePrompt& prompt, const Hay& hay, std::size_t last, const std::vector<Needle>& needles,
              const std::string& question, std::int64_t most, const Tokenizer& tokenizer) {
  std::vector<std::pair<std::size_t, const Needle*>> placed;
  for (const Needle& needle : needles) placed.emplace_back(nearest_cut(hay, last, needle.place), &needle);
  std::stable_sort(placed.begin(), placed.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string text;
  std::vector<std::pair<std::int64_t, std::int64_t>> ranges(needles.size());  // bytes
  std::size_t from = 0;
  for (const auto& [cut, needle] : placed) {
    const std::size_t to = hay.cuts[cut].bytes;
    text += hay.text.substr(from, to - from);
    from = to;
    const bool line = text.empty() || text.back() == '\n';
    if (!line) text += ' ';
    ranges[static_cast<std::size_t>(needle - needles.data())] = {
        static_cast<std::int64_t>(text.size()), static_cast<std::int64_t>(text.size() + needle->sentence.size())};
    text += needle->sentence;
    if (line && hay.text[to] != ' ') text += ' ';
  }
  text += hay.text.substr(from, hay.cuts[last].bytes - from);
  while (text.back() == '\n' || text.back() == ' ') text.pop_back();
  const auto question_at = static_cast<std::int64_t>(text.size()) + 1;  // behind the line break
  text += question;

  prompt.text = std::move(text);
  prompt.encoding = tokenizer.encode(prompt.text);
  if (static_cast<std::int64_t>(prompt.encoding.ids.size()) > most) return false;
  prompt.sentence_ends = sentence_ends(prompt.text, prompt.encoding);
  prompt.question_tokens = 0;
  prompt.needles.assign(ranges.size(), {-1, -1});
  const std::vector<TokenSpan>& spans = prompt.encoding.spans;
  for (std::size_t i = 0; i < spans.size(); ++i) {
    if (spans[i].end > question_at) ++prompt.question_tokens;
    for (std::size_t n = 0; n < ranges.size(); ++n) {
      if (spans[i].end <= ranges[n].first || spans[i].begin >= ranges[n].second) continue;
      if (prompt.needles[n].first < 0) prompt.needles[n].first = static_cast<std::int64_t>(i);
      prompt.needles[n].second = static_cast<std::int64_t>(i) + 1;
    }
  }
  return true;
}

}  // namespace

NeedlePrompt make_needle_prompt(const NeedleSettings& settings, std::int64_t length, std::int64_t depth,
                                std::int64_t prompt, const Tokenizer& tokenizer) {
  check_settings(settings);
  std::uint64_t hash = mixed(settings.seed, static_cast<std::uint64_t>(settings.task));
  for (const std::int64_t part : {length, depth, prompt}) hash = mixed(hash, static_cast<std::uint64_t>(part));
  std::mt19937_64 random(hash);
  const auto share = [&] {
    return static_cast<double>(random() >> 11U) / static_cast<double>(std::uint64_t{1} << 53U);
  };
  const Hay hay = make_hay(settings, length, prompt, tokenizer);

  const bool multi_value = settings.task == NeedleTask::kMultiValue;
  const std::size_t count = settings.task == NeedleTask::kSingle ? 1 : static_cast<std::size_t>(settings.needles);
  std::set<std::string> keys;
  std::set<std::string> numbers;
  std::vector<std::pair<Needle, std::string>> asked;  // with its number
  std::vector<Needle> needles;
  std::string key;
  std::string asked_key;
  for (std::size_t n = 0; n < count; ++n) {
    while (!multi_value || n == 0) {
      key = fmt::format("{} {}", kAdjectives[random() % kAdjectives.size()], kThings[random() % kThings.size()]);
      if (keys.insert(key).second) break;
    }
    const std::string number = number_of(random, settings.digits, hay.text, numbers);
    numbers.insert(number);
    const Needle needle{fmt::format("The secret code of the {} is {}.", key, number),
                        n == 0 ? settings.depth(depth) : share()};
    if (n == 0) asked_key = key;
    if (n == 0 || multi_value) {
      asked.emplace_back(needle, number);
    } else {
      needles.push_back(needle);
    }
  }
  std::stable_sort(asked.begin(), asked.end(),
                   [](const auto& a, const auto& b) { return a.first.place < b.first.place; });

  NeedlePrompt made;
  for (const auto& [needle, number] : asked) {
    needles.push_back(needle);
    made.values.push_back(number);
  }
  made.answer = fmt::format(" {}", fmt::join(made.values, ", "));
  made.answer_ids = tokenizer.encode(made.answer, false).ids;
  const std::int64_t most = length - static_cast<std::int64_t>(made.answer_ids.size()) - kTokensBesideAnswer;

  const std::string question = question_of(settings, asked_key);
  std::size_t last = hay.cuts.size();
  while (last > 0 && hay.cuts[last - 1].tokens > most) --last;
  // What needles and question take is nearly always the same with and without the haystack around them.
  std::int64_t room = most;
  for (const Needle& needle : needles) {
    room -= static_cast<std::int64_t>(tokenizer.encode(fmt::format(" {}", needle.sentence), false).ids.size());
  }
  room -= static_cast<std::int64_t>(tokenizer.encode(question, false).ids.size());
  while (last > 0 && hay.cuts[last - 1].tokens > room) --last;
  while (last-- > 1) {
    if (!assemble(made, hay, last, needles, question, most, tokenizer)) continue;
    // The ones asked for stand last in `needles`.
    std::rotate(made.needles.begin(), made.needles.end() - static_cast<std::ptrdiff_t>(asked.size()),
                made.needles.end());
    return made;
  }
  throw Error(fmt::format("{} tokens are too few for {} and a question; ask for longer prompts.", length,
                          count == 1 ? "a needle" : fmt::format("{} needles", count)));
}

}  // namespace dhsa
