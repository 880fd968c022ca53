#include "core/experiments/longbench_prompt.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "core/base/error.h"
#include "core/files/strict_json.h"

namespace dhsa {
namespace {

constexpr std::int64_t kAuthorsLength = 8192;

// Both halves, or the end, as text: the official script encodes it again, and so may count other tokens.
std::string cut(const std::string& text, std::span<const std::int32_t> ids, const LongBenchSettings& settings,
                const Tokenizer& tokenizer) {
  const auto most = static_cast<std::size_t>(settings.max_length);
  if (ids.size() <= most) return text;
  if (settings.truncate == Truncation::kLast) return tokenizer.decode(ids.last(most));
  return tokenizer.decode(ids.first(most / 2)) + tokenizer.decode(ids.last(most / 2));
}

// What DHSA v1 counts as the question, by task; of other tasks, what stands behind the context.
std::string authors_question(const LongBenchTask& task, const LongBenchRow& row, std::string_view behind_context) {
  if (task.name == "narrativeqa" || task.name == "qasper") return fmt::format("Question: {}\n\nAnswer:", row.input);
  if (task.metric == ScoreMetric::kF1 && !task.first_line_only()) {
    return fmt::format("Question: {}\nAnswer:", row.input);
  }
  if (task.name == "qmsum") return fmt::format("Query: {}\nAnswer:", row.input);
  if (task.name == "triviaqa") return row.input;
  if (task.name == "samsum") return "Summary:";
  behind_context.remove_prefix(std::min(behind_context.find_first_not_of('\n'), behind_context.size()));
  return std::string(behind_context);
}

}  // namespace

const char* name_of(Truncation truncation) noexcept { return truncation == Truncation::kMiddle ? "middle" : "last"; }

Truncation truncation(const std::string& name) {
  for (const Truncation each : {Truncation::kMiddle, Truncation::kLast}) {
    if (name == name_of(each)) return each;
  }
  throw Error(fmt::format("A prompt cannot be truncated by {}; choose middle or last.", brief_name(name)));
}

NeedleMode longbench_mode(const std::string& name) {
  for (const NeedleMode each : {NeedleMode::kReference, NeedleMode::kStrict}) {
    if (name == name_of(each)) return each;
  }
  throw Error(fmt::format("The mode of LongBench cannot be {}; it is reference or strict.", brief_name(name)));
}

std::string longbench_mode_text(NeedleMode mode) {
  return fmt::format("{} mode: {}; answers are decoded densely, on the keys and values of the prefill", name_of(mode),
                     mode == NeedleMode::kReference ? "in the prefill the rows of the question attend densely"
                                                    : "all rows of the prefill are sparse, those of the question too");
}

LongBenchSettings longbench_preset(const std::string& name) {
  LongBenchSettings settings;
  settings.preset = name;
  if (name == "official") return settings;
  if (name != "dhsa-v1") {
    throw Error(fmt::format("There is no LongBench preset {}; there are official and dhsa-v1.", brief_name(name)));
  }
  settings.max_length = kAuthorsLength;
  settings.truncate = Truncation::kLast;
  settings.chat = false;
  return settings;
}

std::string longbench_preset_text(const LongBenchSettings& settings) {
  const bool theirs = settings.authors() && settings.max_length == kAuthorsLength;
  return fmt::format("preset {}{}", settings.preset,
                     theirs ? " (the authors' table of lengths says 7950, which their look-up never finds)" : "");
}

void check_settings(const LongBenchSettings& settings) {
  constexpr std::int64_t kLeast = 64;
  constexpr std::int64_t kMost = std::int64_t{1} << 24U;
  if (settings.max_length < kLeast || settings.max_length > kMost) {
    throw Error(
        fmt::format("A prompt cannot have {} tokens at most; give {} to {}.", settings.max_length, kLeast, kMost));
  }
  if (settings.limit < 0) throw Error("The number of rows of a task cannot be negative.");
}

LongBenchPrompt make_longbench_prompt(const LongBenchSettings& settings, const LongBenchSet& set,
                                      const LongBenchRow& row, const Tokenizer& tokenizer,
                                      const std::optional<TurnMarkers>& turn) {
  const PromptTemplate::Filled filled = set.prompt.fill(row);
  const std::string_view question = std::string_view(filled.text).substr(filled.question);
  const std::vector<std::int32_t> whole = tokenizer.encode(filled.text).ids;

  LongBenchPrompt prompt;
  prompt.whole_tokens = static_cast<std::int64_t>(whole.size());
  const bool wrapped = settings.chat && turn && set.task->chat_turn();
  const std::string opening = wrapped ? "user\n" : "";
  prompt.text = cut(filled.text, whole, settings, tokenizer);
  const std::string text = opening + prompt.text;
  const Encoding encoding = tokenizer.encode(text);
  prompt.ids = encoding.ids;
  prompt.sentence_ends = sentence_ends(text, encoding);
  if (wrapped) {
    prompt.ids.insert(prompt.ids.begin() + 1, turn->start);  // behind <bos>
    for (std::int32_t& end : prompt.sentence_ends) ++end;
    const auto add = [&](std::int32_t marker, std::string_view words) {
      prompt.ids.push_back(marker);
      const std::vector<std::int32_t> ids = tokenizer.encode(words, false).ids;
      prompt.ids.insert(prompt.ids.end(), ids.begin(), ids.end());
    };
    add(turn->end, "\n");
    add(turn->start, "model\n");
    prompt.turn_tokens = static_cast<std::int64_t>(prompt.ids.size() - encoding.ids.size()) - 1;
  }

  if (settings.authors()) {
    const std::string counted = authors_question(*set.task, row, question);
    prompt.instruction_tokens = static_cast<std::int64_t>(tokenizer.encode(counted).ids.size());
  } else {
    const auto begin = static_cast<std::int64_t>(text.size() - std::min(question.size(), text.size() - opening.size()));
    const auto first = std::find_if(encoding.spans.begin(), encoding.spans.end(),
                                    [&](const TokenSpan& span) { return span.end > begin; });
    const auto before = first - encoding.spans.begin() + (wrapped ? 1 : 0);
    prompt.instruction_tokens = static_cast<std::int64_t>(prompt.ids.size()) - before;
  }
  prompt.instruction_tokens =
      std::min({prompt.instruction_tokens, kMostQuestionTokens, static_cast<std::int64_t>(prompt.ids.size())});
  return prompt;
}

}  // namespace dhsa
