// From a row of LongBench to the tokens a model reads: template, truncation, chat turn, the rows of the question.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/experiments/longbench_data.h"
#include "core/experiments/needle.h"
#include "core/text/chat.h"
#include "core/text/question.h"
#include "core/text/tokenizer.h"

namespace dhsa {

enum class Truncation : std::uint8_t {
  kMiddle,  // the first and the last half of the tokens stay
  kLast     // the last tokens stay
};
[[nodiscard]] const char* name_of(Truncation truncation) noexcept;  // "middle", "last"
[[nodiscard]] Truncation truncation(const std::string& name);       // throws Error on any other name

[[nodiscard]] NeedleMode longbench_mode(const std::string& name);  // reference, strict; throws Error on any other
[[nodiscard]] std::string longbench_mode_text(NeedleMode mode);    // for a person: which rows are sparse

// How rows are asked. A preset fills it in; all but the rule of `authors` can be set one by one.
struct LongBenchSettings {
  std::string preset = "official";
  std::int64_t max_length = 7500;  // tokens of a prompt with <bos>, before the chat turn; longer ones are cut
  Truncation truncate = Truncation::kMiddle;
  bool chat = true;  // a user's turn around the tasks that the official script wraps, where the model knows turns
  NeedleMode mode = NeedleMode::kReference;  // whether the question's rows attend densely in the prefill
  bool e = false;                            // LongBench-E
  std::int64_t limit = 0;                    // rows of each task, 0: all
  bool operator==(const LongBenchSettings&) const = default;

  // Stops and dense rows as in DHSA v1's own runs: at least one token, then <eos> (id 1) alone ends an answer, and the
  // rows of the question are as many as its tokens and one.
  [[nodiscard]] bool authors() const noexcept { return preset == "dhsa-v1"; }
};
// "official": middle truncation, chat turn. "dhsa-v1": what the authors of DHSA ran: the last 8192 tokens (their table
// says 7950, their look-up never finds it), no chat turn. Throws Error on any other name.
[[nodiscard]] LongBenchSettings longbench_preset(const std::string& name);
[[nodiscard]] std::string longbench_preset_text(const LongBenchSettings& settings);  // for a person
void check_settings(const LongBenchSettings& settings);                              // throws Error

struct LongBenchPrompt {
  std::string text;  // without the turn around it
  std::vector<std::int32_t> ids;
  std::vector<std::int32_t> sentence_ends;
  std::int64_t whole_tokens = 0;  // before it was cut
  std::int64_t turn_tokens = 0;   // last tokens that the turn adds behind the text
  std::int64_t instruction_tokens =
      0;  // last tokens whose rows attend densely in the reference mode, kMostQuestionTokens at most
};
[[nodiscard]] LongBenchPrompt make_longbench_prompt(const LongBenchSettings& settings, const LongBenchSet& set,
                                                    const LongBenchRow& row, const Tokenizer& tokenizer,
                                                    const std::optional<TurnMarkers>& turn);

}  // namespace dhsa
