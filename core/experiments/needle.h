// Needle tests: sentences that say a number are hidden in a long text, the question at its end asks for it. Depth of
// the needle x length of the prompt x method; every method reads the same prompts. After Needle-in-a-Haystack and the
// number tasks of RULER (arXiv 2404.06654).
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
#include "core/run/measures.h"
#include "core/text/haystack.h"
#include "core/text/tokenizer.h"

namespace dhsa {

enum class NeedleTask : std::uint8_t {
  kSingle,     // one needle
  kMultiKey,   // needles of other things beside the one asked for
  kMultiValue  // several numbers of one thing, all asked for
};
enum class NeedleMode : std::uint8_t {
  kReference,  // rows of the question attend densely, as the authors do; the answer is decoded densely
  kStrict      // rows of question and answer are sparse too: instruction_tokens = 0, and the answer is read off one
               // sparse prefill of prompt and right answer (likeliest token at each place, which is what greedy decode
               // would give as long as it is right)
};
[[nodiscard]] const char* name_of(NeedleTask task) noexcept;  // "single", "multi-key", "multi-value"
[[nodiscard]] const char* name_of(NeedleMode mode) noexcept;  // "reference", "strict"

inline constexpr std::int64_t kTokensBesideAnswer = 4;  // decoded beyond it: a full stop, another way to write it

struct NeedleSettings {
  NeedleTask task = NeedleTask::kSingle;
  NeedleMode mode = NeedleMode::kReference;
  std::vector<std::int64_t> lengths = {1024, 2048, 4096, 8192, 16384};  // tokens of a prompt and its answer, at most
  std::int64_t depths = 10;  // evenly from 0 (the needle comes first) to 1 (right before the question)
  std::int64_t prompts = 1;  // in each cell
  std::int64_t needles = 4;  // multi-key and multi-value: needles in a prompt
  std::int64_t digits = 6;   // of a number
  double budget_share = 0;   // above 0: every method's budget is this share of the length
  std::uint64_t seed = 1;
  Haystack haystack;

  // Where depth i of `depths` lies, 0 to 1; the middle where there is but one.
  [[nodiscard]] double depth(std::int64_t i) const;
  bool operator==(const NeedleSettings&) const = default;
};
[[nodiscard]] const OptionTable<NeedleSettings>& needle_options();  // all but lengths and haystack
void check_settings(const NeedleSettings& settings);                // throws Error

// One method's answer to one prompt.
struct NeedleAnswer {
  std::string text;  // generated, up to the end of its last number or line
  Values values;     // of the measures exact, found, log_probability, density (over all layers), prefill_seconds
};

// One method in one cell.
struct NeedleScore {
  std::vector<NeedleAnswer> answers;  // [prompts so far]

  [[nodiscard]] Values summary() const;  // means over the prompts; empty of none
  [[nodiscard]] double value(std::string_view measure) const { return summary().value(measure); }
};

struct NeedleCell {
  std::int64_t length = 0;
  std::int64_t depth = 0;           // index, see NeedleSettings::depth()
  std::int64_t prompts = 0;         // asked so far
  double tokens = 0;                // of a prompt, mean
  std::vector<NeedleScore> scores;  // [methods]
};

// What a test is and what came out so far. Cells are in the order of the work: by length, then by depth.
struct NeedleResults : ExperimentResults<NeedleSettings> {  // methods as asked for; see needle_parameters()
  std::vector<NeedleCell> cells;                            // begun ones only

  [[nodiscard]] const NeedleCell* cell(std::int64_t length, std::int64_t depth) const;  // null if not begun
  [[nodiscard]] bool finished(const NeedleCell& cell) const { return cell.prompts >= settings.prompts; }
  [[nodiscard]] bool finished() const;
  [[nodiscard]] ExperimentCount count() const;  // of prompts
  // Of one method at one length, over the prompts of all depths.
  [[nodiscard]] NeedleScore score(std::size_t method, std::int64_t length) const;
};

// A method's parameters in a cell: budget share and mode applied. `question`: tokens of the question.
[[nodiscard]] SparsityParameters needle_parameters(const NeedleSettings& settings, const SparsityParameters& method,
                                                   std::int64_t length, std::int64_t question);

// A cell of its progress is length by depth; updated() comes once every method has answered one more prompt of
// results.cells[index].
using NeedleOptions = ExperimentOptions<NeedleResults>;

// Goes on from what `results` holds (settings and methods; cells of an earlier, interrupted test of the same settings)
// to the end. Throws Error on settings, methods or lengths that cannot be, before
// anything has run; Cancelled, after which `results` holds all whole prompts so far.
void run_needle(const Gemma2& model, const Tokenizer& tokenizer, NeedleResults& results,
                const NeedleOptions& options = {}, const std::shared_ptr<const BoundaryPredictor>& predictor = nullptr);

// The prompt number `prompt` of a cell. The same whatever the methods.
struct NeedlePrompt {
  std::string text;
  Encoding encoding;
  std::vector<std::int32_t> sentence_ends;
  std::int64_t question_tokens = 0;
  std::vector<std::string> values;                             // numbers asked for, in the order of the text
  std::vector<std::pair<std::int64_t, std::int64_t>> needles;  // tokens [begin, end) of the sentences that say them,
                                                               // then of the other needles
  std::string answer;                                          // what should follow: " 328031", " 4711, 815"
  std::vector<std::int32_t> answer_ids;
};
// Throws Error where the length leaves no room for needles and question.
[[nodiscard]] NeedlePrompt make_needle_prompt(const NeedleSettings& settings, std::int64_t length, std::int64_t depth,
                                              std::int64_t prompt, const Tokenizer& tokenizer);
// What an answer is worth, exact and found: its numbers against the ones asked for.
[[nodiscard]] NeedleAnswer score_answer(const std::string& text, const std::vector<std::string>& values);

// Results as a file holds them. Reading throws Error that begins with `where` on anything that run_needle could not
// have left there. Reading what was written gives the same.
void to_json(nlohmann::json& json, const NeedleResults& results);
[[nodiscard]] NeedleResults parse_needle_results(const std::string& text, const std::string& where);
// One row for each begun cell and method, header first.
[[nodiscard]] std::string to_csv(const NeedleResults& results);
// Empty where `file` can be continued as `asked`, else a sentence's part: "its seed is 1, not 2".
[[nodiscard]] std::string difference(const NeedleResults& file, const NeedleResults& asked);

}  // namespace dhsa
