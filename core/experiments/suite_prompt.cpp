// The prompts of suites.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <set>

#include "core/experiments/experiment_internal.h"
#include "core/experiments/suite.h"
#include "core/text/question.h"
#include "core/text/unicode.h"

namespace dhsa {
namespace {

using Word = SuiteTask::Word;

constexpr std::array kAdjectives = {
    "agile",   "amber",    "ancient", "brave",    "brief",  "calm",   "careful", "cheerful", "clever", "cold",
    "crimson", "curious",  "daring",  "deep",     "eager",  "early",  "elegant", "faint",    "fierce", "fresh",
    "gentle",  "gleaming", "grand",   "grateful", "hollow", "humble", "icy",     "jolly",    "keen",   "kind",
    "late",    "lively",   "lonely",  "lucky",    "mellow", "mighty", "modest",  "noble",    "odd",    "pale",
    "patient", "plain",    "polite",  "proud",    "rapid",  "rare",   "royal",   "rusty",    "sharp",  "shy",
    "smooth",  "solemn",   "steady",  "stern",    "sturdy", "subtle", "swift",   "tender",   "tidy",   "vast",
    "vivid",   "warm",     "wild",    "wise"};
constexpr std::array kNouns = {
    "acorn",  "arrow",   "badger",   "beacon", "bottle",  "branch",  "button", "candle", "canyon", "castle",  "cedar",
    "cellar", "cherry",  "comet",    "copper", "cottage", "dolphin", "eagle",  "ember",  "falcon", "feather", "fern",
    "fiddle", "forest",  "fountain", "galaxy", "glacier", "hammer",  "harbor", "hazel",  "helmet", "heron",   "island",
    "jacket", "jungle",  "kernel",   "ladder", "lagoon",  "lemon",   "lizard", "magnet", "maple",  "meadow",  "needle",
    "orchid", "otter",   "oyster",   "paddle", "pebble",  "pillow",  "pocket", "quartz", "raven",  "ribbon",  "river",
    "saddle", "sparrow", "spiral",   "temple", "thistle", "tunnel",  "velvet", "willow", "zebra"};

constexpr const char* kNoise =
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";

class Draws {
 public:
  explicit Draws(std::initializer_list<std::uint64_t> parts) {
    std::vector<std::uint32_t> words;
    for (const std::uint64_t part : parts) {
      words.push_back(static_cast<std::uint32_t>(part));
      words.push_back(static_cast<std::uint32_t>(part >> 32U));
    }
    std::seed_seq seed(words.begin(), words.end());
    random_.seed(seed);
  }

  std::size_t below(std::size_t n) { return static_cast<std::size_t>(random_() % n); }
  double share() { return static_cast<double>(random_() >> 11U) / static_cast<double>(std::uint64_t{1} << 53U); }
  template <class T>
  void shuffle(std::vector<T>& items) {
    for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }
  // `count` of 0 … n − 1, each once, ascending.
  std::vector<std::size_t> some_of(std::size_t n, std::size_t count) {
    std::set<std::size_t> taken;
    while (taken.size() < count) taken.insert(below(n));
    return {taken.begin(), taken.end()};
  }

  std::string word(Word kind, Wording wording) {
    const bool official = wording == Wording::kOfficial;
    if (kind == Word::kWords) {
      const char* adjective = kAdjectives[below(kAdjectives.size())];
      return fmt::format("{}{}{}", adjective, official ? '-' : ' ', kNouns[below(kNouns.size())]);
    }
    // Of seven digits, of six in the needle test's wording.
    if (kind == Word::kNumbers) return std::to_string(official ? 1000000 + below(9000000) : 100000 + below(900000));
    std::string uuid = "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx";  // version 4
    for (char& c : uuid) {
      if (c == 'x') c = "0123456789abcdef"[below(16)];
      if (c == 'y') c = "89ab"[below(4)];
    }
    return uuid;
  }
  std::string word_unlike(const std::set<std::string>& taken, Word kind, Wording wording) {
    while (true) {
      if (std::string drawn = word(kind, wording); !taken.contains(drawn)) return drawn;
    }
  }

 private:
  std::mt19937_64 random_;
};

std::string list_of(const std::vector<std::string>& items, bool with_and) {
  std::string text = items.front();
  for (std::size_t i = 1; i < items.size(); ++i) {
    text += with_and && i + 1 == items.size() ? ", and " : ", ";
    text += items[i];
  }
  return text;
}

// What a prompt says in either wording.
struct Sentences {
  Wording wording;
  Word value;

  [[nodiscard]] bool official() const { return wording == Wording::kOfficial; }
  [[nodiscard]] const char* type() const { return value == Word::kUuids ? "uuid" : "number"; }
  [[nodiscard]] std::string needle(const std::string& key, const std::string& said) const {
    if (!official()) return fmt::format("The secret code of the {} is {}.", key, said);
    return fmt::format("One of the special magic {}s for {} is: {}.", type(), key, said);
  }
  [[nodiscard]] std::string opening(bool several) const {
    if (!official()) return {};
    return several ? fmt::format(
                         "Some special magic {0}s are hidden within the following text. Make sure to memorize "
                         "it. I will quiz you about the {0}s afterwards.\n",
                         type())
                   : fmt::format(
                         "A special magic {0} is hidden within the following text. Make sure to memorize it. I "
                         "will quiz you about the {0} afterwards.\n",
                         type());
  }
  // With the beginning of the answer.
  [[nodiscard]] std::string question(const std::string& query, bool several) const {
    if (!official()) {
      return several ? fmt::format("\nQuestion: What are all the secret codes of the {}?\nAnswer:", query)
                     : fmt::format("\nQuestion: What is the secret code of the {}?\nAnswer:", query);
    }
    return several ? fmt::format(
                         "\nWhat are all the special magic {0}s for {1} mentioned in the provided text? The "
                         "special magic {0}s for {1} mentioned in the provided text are",
                         type(), query)
                   : fmt::format(
                         "\nWhat is the special magic {0} for {1} mentioned in the provided text? The special "
                         "magic {0} for {1} mentioned in the provided text is",
                         type(), query);
  }
};

// The largest n that fits, where all below it do; 0 if none does. `guess` is tried first.
std::int64_t largest(std::int64_t guess, const std::function<bool(std::int64_t)>& fits) {
  std::int64_t fitting = 0;
  std::int64_t too_large = std::max<std::int64_t>(1, guess);
  while (fits(too_large)) {
    fitting = too_large;
    too_large *= 2;
  }
  while (too_large - fitting > 1) {
    const std::int64_t middle = fitting + (too_large - fitting) / 2;
    (fits(middle) ? fitting : too_large) = middle;
  }
  return fitting;
}

// Where sentences end among words: ".", "!" or "?", behind it closing quotes and brackets.
bool ends_sentence(std::string_view word) {
  bool closing = true;
  while (closing) {
    closing = false;
    for (const std::string_view mark : {"\"", "'", ")", "]", "\u201d", "\u2019", "\u00bb"}) {
      if (!word.ends_with(mark)) continue;
      word.remove_suffix(mark.size());
      closing = true;
    }
  }
  return word.ends_with('.') || word.ends_with('!') || word.ends_with('?');
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  for (const std::u32string& word : split_at_white_space(code_points(text))) words.push_back(to_utf8(word));
  return words;
}

// Of the first `count` words, joined by blanks.
std::vector<std::string> sentences_of(const std::vector<std::string>& words, std::size_t count) {
  std::vector<std::string> sentences;
  bool begins = true;
  for (std::size_t i = 0; i < std::min(count, words.size()); ++i) {
    if (begins) {
      sentences.emplace_back();
    } else {
      sentences.back() += ' ';
    }
    sentences.back() += words[i];
    begins = ends_sentence(words[i]);
  }
  return sentences;
}

// Text that grows, with the places of what is asked for.
struct Page {
  std::string text;
  std::vector<std::pair<std::int64_t, std::int64_t>> needles;
  void add(std::string_view part, const char* joint) {
    if (!text.empty() && text.back() != '\n') text += joint;
    text += part;
  }
  void note(std::size_t size) {  // what was added last
    needles.emplace_back(static_cast<std::int64_t>(text.size() - size), static_cast<std::int64_t>(text.size()));
  }
};

struct Needle {
  std::string key;
  std::string value;
  bool asked = false;
};

// At least `length` words; a word is a token or more.
std::vector<std::string> essay_words(const SuiteSettings& settings, std::int64_t length) {
  constexpr std::size_t kBytesPerWord = 8;
  const auto wanted = static_cast<std::size_t>(length);
  // From the beginning of a file, as RULER reads its essays.
  const std::uint64_t seed = settings.haystack.generated() ? settings.seed : 1;
  for (std::size_t bytes = kBytesPerWord * wanted;; bytes *= 2) {
    std::vector<std::string> words = words_of(settings.haystack.text(seed, 0, 1, bytes));
    if (words.size() >= wanted) return words;
  }
}

// One of RULER's prompts, at any number of words or lines of its haystack.
class RulerPrompt {
 public:
  RulerPrompt(const SuiteSettings& settings, const SuiteTask& task, std::int64_t length, std::int64_t prompt,
              const std::vector<std::string>& words)
      : task_(task),
        words_(words),
        sentences_{settings.wording, task.value},
        several_(task.queries * task.values > 1),
        seed_(settings.seed),
        place_{static_cast<std::uint64_t>(&task - suite_tasks().data()), static_cast<std::uint64_t>(length),
               static_cast<std::uint64_t>(prompt)} {
    Draws draws = draws_of(0);
    std::vector<std::string> keys;
    for (std::int64_t k = 0; k < task.keys; ++k) {
      keys.push_back(draws.word_unlike(taken_, task.key, sentences_.wording));
      taken_.insert(keys.back());
      for (std::int64_t v = 0; v < task.values; ++v) {
        needles_.push_back({keys.back(), draws.word_unlike(taken_, task.value, sentences_.wording), false});
        taken_.insert(needles_.back().value);
      }
    }
    draws.shuffle(needles_);
    draws.shuffle(keys);
    keys.resize(static_cast<std::size_t>(task.queries));
    asked_.query = list_of(keys, true);
    for (const std::string& key : keys) {
      for (Needle& needle : needles_) {
        if (needle.key != key) continue;
        needle.asked = true;
        asked_.references.push_back(needle.value);
      }
    }
  }

  // `size`: words of an essay, or lines.
  [[nodiscard]] Page page(std::int64_t size) const {
    Page page;
    page.text = sentences_.opening(several_);
    const auto n = static_cast<std::size_t>(size);
    if (task_.hay == SuiteTask::Hay::kEssay) {
      write_essay(page, n);
    } else {
      write_lines(page, n);
    }
    return page;
  }
  [[nodiscard]] std::string question() const { return sentences_.question(asked_.query, several_); }
  [[nodiscard]] const SuiteQuestion& asked() const { return asked_; }
  [[nodiscard]] std::string answer() const { return " " + list_of(asked_.references, sentences_.official()); }
  [[nodiscard]] std::int64_t least() const { return static_cast<std::int64_t>(needles_.size()); }

 private:
  [[nodiscard]] Draws draws_of(std::uint64_t what) const {
    return Draws({seed_, place_[0], place_[1], place_[2], what});
  }

  void write_needle(Page& page, const Needle& needle, const char* joint) const {
    const std::string said = sentences_.needle(needle.key, needle.value);
    page.add(said, joint);
    if (needle.asked) page.note(said.size());
  }

  // Between sentences, at depths out of forty.
  void write_essay(Page& page, std::size_t words) const {
    constexpr std::size_t kDepths = 40;
    const std::vector<std::string> text = sentences_of(words_, words);
    std::size_t next = 0;
    std::size_t needle = 0;
    for (const std::size_t depth : draws_of(1).some_of(kDepths, needles_.size())) {
      const double percent = std::nearbyint(100 * static_cast<double>(depth) / (kDepths - 1));
      const auto before = static_cast<std::size_t>(static_cast<double>(text.size()) * (percent / 100));
      while (next < before) page.add(text[next++], " ");
      write_needle(page, needles_[needle++], " ");
    }
    while (next < text.size()) page.add(text[next++], " ");
  }

  // Lines of noise, or of needles with other keys and values; the needles are lines among them.
  void write_lines(Page& page, std::size_t lines) const {
    const std::vector<std::size_t> places = draws_of(1).some_of(lines, needles_.size());
    Draws draws = draws_of(2);
    std::size_t needle = 0;
    for (std::size_t line = 0; line < lines; ++line) {
      if (needle < places.size() && places[needle] == line) write_needle(page, needles_[needle++], "\n");
      if (task_.hay == SuiteTask::Hay::kNoise) {
        page.add(kNoise, "\n");
      } else {
        std::string key = draws.word_unlike(taken_, task_.key, sentences_.wording);
        write_needle(page, {std::move(key), draws.word_unlike(taken_, task_.value, sentences_.wording), false}, "\n");
      }
    }
  }

  const SuiteTask& task_;
  const std::vector<std::string>& words_;
  Sentences sentences_;
  bool several_;
  std::uint64_t seed_;
  std::array<std::uint64_t, 3> place_;
  std::vector<Needle> needles_;  // in the order of the text
  std::set<std::string> taken_;  // keys and values
  SuiteQuestion asked_;
};

std::int64_t count_tokens(const Tokenizer& tokenizer, const std::string& text, std::int64_t most) {
  return static_cast<std::int64_t>(tokenizer.encode(text, {false, most, {}, nullptr}).ids.size());
}

void encode(SuitePrompt& made, Page page, const Tokenizer& tokenizer) {
  made.text = std::move(page.text);
  made.needles = std::move(page.needles);
  made.encoding = tokenizer.encode(made.text);
  made.sentence_ends = sentence_ends(made.text, made.encoding);
}

SuitePrompt ruler_prompt(const SuiteSettings& settings, const SuiteTask& task, std::int64_t length, std::int64_t prompt,
                         const Tokenizer& tokenizer) {
  std::vector<std::string> words;
  if (task.hay == SuiteTask::Hay::kEssay) words = essay_words(settings, length);
  const auto fits = [&](const RulerPrompt& of, std::int64_t size) {
    const std::string text = of.page(size).text + of.question();
    return size >= of.least() && count_tokens(tokenizer, text, length) + kSuiteAnswerTokens <= length;
  };
  // The first prompt of a cell says how much haystack there is; a prompt that it makes too long loses some.
  const RulerPrompt first(settings, task, length, 0, words);
  const std::int64_t offset = first.least() - 1;
  std::int64_t size = largest(length / 128, [&](std::int64_t n) { return fits(first, offset + n); }) + offset;
  const RulerPrompt made(settings, task, length, prompt, words);
  const std::int64_t step = task.hay == SuiteTask::Hay::kEssay ? 500 : length < 4096 ? 5 : 25;
  // Where less than a step is left, half of that goes.
  while (size >= made.least() && !fits(made, size)) {
    size -= size - step >= made.least() ? step : (size - made.least()) / 2 + 1;
  }
  require(size >= made.least(), fmt::format("{} tokens are too few for {} and an answer of {}; ask for longer prompts.",
                                            length, task.name, kSuiteAnswerTokens));

  SuitePrompt result;
  Page page = made.page(size);
  const std::size_t question = page.text.size() + 1;  // behind the line break
  page.text += made.question();
  encode(result, std::move(page), tokenizer);
  result.question_tokens = tokens_from(question, result.encoding);
  const std::string answer = made.answer();
  result.places.push_back({made.asked(), answer, tokenizer.encode(answer, false).ids, 0, {}, {}});
  return result;
}

// ---- questions that do not stand at the end

struct Asked {
  Needle needle;
  double at = 0;        // share of the document before the needle
  double question = 0;  // and before its question; kThroughout
};

std::vector<Asked> draw_questions(const SuiteSettings& settings, const SuiteTask& task, std::int64_t length,
                                  std::int64_t prompt) {
  Draws draws({settings.seed, static_cast<std::uint64_t>(&task - suite_tasks().data()),
               static_cast<std::uint64_t>(length), static_cast<std::uint64_t>(prompt)});
  std::set<std::string> taken;
  std::vector<Asked> asked;
  for (std::int64_t i = 0; i < settings.questions; ++i) {
    const auto parts = static_cast<double>(settings.questions + 1);
    Asked one{
        {draws.word_unlike(taken, task.key, Wording::kOwn), draws.word_unlike(taken, task.value, Wording::kOwn), true},
        0,
        0};
    one.question = static_cast<double>(i + 1) / parts;
    // At least half the way between two questions lies between a needle and its question.
    const bool throughout = task.asked == SuiteTask::Asked::kThroughout;
    one.at = draws.share() * (throughout ? one.question - 0.5 / parts : 1);
    taken.insert({one.needle.key, one.needle.value});
    asked.push_back(std::move(one));
  }
  return asked;
}

// The first `size` sentences with needles, and with questions and answers where they stand throughout; `answers`: bytes
// at which these begin.
Page questions_page(const std::vector<std::string>& sentences, std::size_t size, const std::vector<Asked>& asked,
                    bool throughout, std::vector<std::size_t>& answers) {
  const Sentences say{Wording::kOwn, Word::kNumbers};
  const auto place = [&](double share) { return static_cast<std::size_t>(share * static_cast<double>(size)); };
  Page page;
  answers.clear();
  for (std::size_t next = 0; next <= size; ++next) {
    for (const Asked& one : asked) {
      if (place(one.at) != next) continue;
      const std::string said = say.needle(one.needle.key, one.needle.value);
      page.add(said, " ");
      page.note(said.size());
    }
    for (const Asked& one : asked) {
      if (!throughout || place(one.question) != next) continue;
      page.text += say.question(one.needle.key, false);
      answers.push_back(page.text.size());
      page.text += fmt::format(" {}\n", one.needle.value);
    }
    if (next < size) page.add(sentences[next], " ");
  }
  return page;
}

SuitePrompt questions_prompt(const SuiteSettings& settings, const SuiteTask& task, std::int64_t length,
                             std::int64_t prompt, const Tokenizer& tokenizer) {
  constexpr std::size_t kBytesPerToken = 6;
  const bool throughout = task.asked == SuiteTask::Asked::kThroughout;
  const std::vector<Asked> asked = draw_questions(settings, task, length, prompt);
  const std::vector<std::string> words = words_of(settings.haystack.text(
      settings.seed, prompt, settings.prompts, kBytesPerToken * static_cast<std::size_t>(length)));
  const std::vector<std::string> sentences = sentences_of(words, words.size());

  SuitePrompt made;
  std::int64_t behind = 1;  // <bos>, and what is read after the document
  for (const Asked& one : asked) {
    SuitePrompt::Place place{{one.needle.key, {one.needle.value}}, " " + one.needle.value, {}, 0, {}, {}};
    if (!throughout) {
      place.question = Sentences{Wording::kOwn, Word::kNumbers}.question(one.needle.key, false);
      place.question_ids = tokenizer.encode(place.question, false).ids;
      place.answer_ids = tokenizer.encode(place.answer, false).ids;
      const std::size_t read = place.question_ids.size() + place.answer_ids.size();
      behind = std::max(behind, 1 + static_cast<std::int64_t>(read) + kTokensBesideAnswer);
    }
    made.places.push_back(std::move(place));
  }
  std::vector<std::size_t> answers;
  const auto page = [&](std::int64_t size) {
    return questions_page(sentences, static_cast<std::size_t>(size), asked, throughout, answers);
  };
  const std::int64_t size = largest(length / 64, [&](std::int64_t n) {
    return n <= static_cast<std::int64_t>(sentences.size()) &&
           count_tokens(tokenizer, page(n).text, length) + behind <= length;
  });
  require(size > settings.questions,
          fmt::format("{} tokens are too few for {} questions; ask for longer prompts.", length, settings.questions));
  encode(made, page(size), tokenizer);
  if (!throughout) return made;
  for (std::size_t i = 0; i < made.places.size(); ++i) {
    SuitePrompt::Place& place = made.places[i];
    const auto token = [&](std::size_t byte) {
      return static_cast<std::int64_t>(made.encoding.ids.size()) - tokens_from(byte, made.encoding);
    };
    place.answer_at = token(answers[i]);
    const auto ids = made.encoding.ids.begin();
    place.answer_ids.assign(ids + place.answer_at, ids + token(answers[i] + place.answer.size()));
  }
  return made;
}

}  // namespace

SuitePrompt make_suite_prompt(const SuiteSettings& settings, const SuiteTask& task, std::int64_t length,
                              std::int64_t prompt, const Tokenizer& tokenizer) {
  check_settings(settings);
  return task.suite == Suite::kRuler ? ruler_prompt(settings, task, length, prompt, tokenizer)
                                     : questions_prompt(settings, task, length, prompt, tokenizer);
}

}  // namespace dhsa
