// Suites of retrieval tasks beside the needle test: the eight NIAH tasks of RULER (arXiv 2404.06654), and questions
// that do not stand at the end of the document. Task x length x method; every method reads the same prompts.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/experiments/experiment.h"
#include "core/experiments/needle.h"
#include "core/text/haystack.h"
#include "core/text/tokenizer.h"

namespace dhsa {

enum class Suite : std::uint8_t { kRuler, kQuestions };
enum class Wording : std::uint8_t {
  kOfficial,  // RULER's sentences: "One of the special magic numbers for silent-lamp is: 4821937."
  kOwn        // those of the needle test, which the demo model knows: "The secret code of the silent lamp is 4821937."
};

struct SuiteTask {
  enum class Asked : std::uint8_t {
    kAtTheEnd,     // one question, at the end of the prompt
    kThroughout,   // questions stand in the document with their right answers, behind their needles and before more
                   // document; each answer is scored where it stands, in one sparse prefill of all
    kFromTheCache  // the document is prefilled without a question; each question follows from the same cache
  };
  enum class Hay : std::uint8_t { kNoise, kEssay, kNeedles };
  enum class Word : std::uint8_t { kWords, kNumbers, kUuids };

  std::string_view name;  // RULER's, "niah_single_1"
  Suite suite = Suite::kRuler;
  Asked asked = Asked::kAtTheEnd;
  Hay hay = Hay::kEssay;
  Word key = Word::kWords;
  Word value = Word::kNumbers;
  std::int64_t keys = 1;     // of these three, SuiteSettings::questions of the suite "questions"
  std::int64_t values = 1;   // of each key
  std::int64_t queries = 1;  // keys asked for
};
[[nodiscard]] std::span<const SuiteTask> suite_tasks();  // of all suites

struct SuiteSettings {
  Suite suite = Suite::kRuler;
  std::string tasks;  // names, separated by commas; empty: all of the suite
  Wording wording = Wording::kOfficial;
  NeedleMode mode = NeedleMode::kReference;
  std::vector<std::int64_t> lengths = {4096};  // tokens of a prompt and its answer, at most
  std::int64_t prompts = 1;                    // of each task and length
  std::int64_t questions = 4;                  // suite "questions": in a prompt
  double budget_share = 0;                     // above 0: every method's budget is this share of the length
  std::uint64_t seed = 1;
  Haystack haystack;  // essays
  bool operator==(const SuiteSettings&) const = default;
};
[[nodiscard]] const OptionTable<SuiteSettings>& suite_options();                      // all but lengths and haystack
[[nodiscard]] std::vector<const SuiteTask*> tasks_of(const SuiteSettings& settings);  // throws Error on other names
void check_settings(const SuiteSettings& settings);                                   // throws Error
// A method's parameters in a cell. `question`: tokens of the question.
[[nodiscard]] SparsityParameters suite_parameters(const SuiteSettings& settings, const SuiteTask& task,
                                                  const SparsityParameters& method, std::int64_t length,
                                                  std::int64_t question);

// ---- prompts

// What is asked and what counts as the answer.
struct SuiteQuestion {
  std::string query;  // keys: "silent-lamp", "a, b, and c"
  std::vector<std::string> references;
  bool operator==(const SuiteQuestion&) const = default;
};

struct SuitePrompt {
  // Of one question.
  struct Place {
    SuiteQuestion asked;
    std::string answer;                    // right: " 4821937", " 1234567, 7654321, and 1111111"
    std::vector<std::int32_t> answer_ids;  // its tokens
    std::int64_t answer_at = 0;            // kThroughout: first of them in the prompt
    std::string question;                  // kFromTheCache: what is read behind the document
    std::vector<std::int32_t> question_ids;
  };
  std::string text;
  Encoding encoding;
  std::vector<std::int32_t> sentence_ends;
  std::int64_t question_tokens = 0;  // kAtTheEnd: last tokens of the prompt
  std::vector<Place> places;
  std::vector<std::pair<std::int64_t, std::int64_t>> needles;  // bytes [begin, end) of the sentences asked for
};
inline constexpr std::int64_t kSuiteAnswerTokens =
    128;  // kept free for an answer to a question at the end, as RULER does

// The prompt number `prompt` of a cell, the same whatever the methods. At the end: prompt without <bos> and
// kSuiteAnswerTokens have at most `length` tokens. Throws Error where the length leaves no room.
[[nodiscard]] SuitePrompt make_suite_prompt(const SuiteSettings& settings, const SuiteTask& task, std::int64_t length,
                                            std::int64_t prompt, const Tokenizer& tokenizer);

// ---- results

// One method's answer to one question.
struct SuiteAnswer {
  std::string text;
  double score = 0;  // 0 to 1: RULER's string_match_all; in the suite "questions" 1 if exact, see NeedleAnswer
  Values values;     // of the measure log_probability
};

// One method in one cell.
struct SuiteScore {
  std::vector<SuiteAnswer> answers;  // as SuiteCell::questions
  Values values;  // of the measures density (over all layers) and prefill_seconds, means over prompts

  [[nodiscard]] std::optional<double> percent() const;  // as RULER rounds it; none before the first answer
  [[nodiscard]] Values summary() const;                 // with the means over answers; empty before the first
};

struct SuiteCell {
  const SuiteTask* task = nullptr;
  std::int64_t length = 0;
  std::int64_t prompts = 0;              // asked so far
  double tokens = 0;                     // of a prompt, mean
  std::vector<SuiteQuestion> questions;  // of all prompts so far
  std::vector<SuiteScore> scores;        // [methods]
};

struct SuiteResults : ExperimentResults<SuiteSettings> {
  std::vector<SuiteCell> cells;  // begun ones, by task, then length

  [[nodiscard]] const SuiteCell* cell(const SuiteTask& task, std::int64_t length) const;  // null if not begun
  [[nodiscard]] bool finished() const;
  [[nodiscard]] ExperimentCount count() const;  // of prompts
  // Means over the tasks that have begun at this length.
  [[nodiscard]] std::optional<double> average(std::size_t method, std::int64_t length) const;
  [[nodiscard]] Values summary(std::size_t method, std::int64_t length) const;
};

// Its cells are tasks by lengths; updated() comes once every method has answered one more prompt.
using SuiteOptions = ExperimentOptions<SuiteResults>;
// Goes on from what `results` holds to the end. Throws Error on what cannot be, before anything has run; Cancelled,
// after which `results` holds all whole prompts so far.
void run_suite(const Gemma2& model, const Tokenizer& tokenizer, SuiteResults& results, const SuiteOptions& options = {},
               const std::shared_ptr<const BoundaryPredictor>& predictor = nullptr);

// Results as a file holds them; reading throws Error that begins with `where`.
void to_json(nlohmann::json& json, const SuiteResults& results);
[[nodiscard]] SuiteResults parse_suite_results(const std::string& text, const std::string& where);
[[nodiscard]] std::string to_csv(const SuiteResults& results);       // one row for each begun cell and method
[[nodiscard]] std::string to_markdown(const SuiteResults& results);  // a table for each length: score (log-probability)
// Empty where `file` can be continued as `asked`, else a sentence's part.
[[nodiscard]] std::string difference(const SuiteResults& file, const SuiteResults& asked);

}  // namespace dhsa
