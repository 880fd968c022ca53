// What ablations are measured on: excerpts of prose that no predictor learned from, and needle documents.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "core/experiments/ablation.h"
#include "core/experiments/needle.h"
#include "core/files/sha256.h"
#include "core/text/document.h"

namespace dhsa {
namespace {

AblationText with_digest(AblationText text) {
  std::string content;
  for (const std::vector<std::int32_t>* list : {&text.ids, &text.sentence_ends}) {
    for (const std::int32_t number : *list) content += fmt::format("{} ", number);
    content += ';';
  }
  for (const RowSpan& rows : text.rows) content += fmt::format("{} {} {};", rows.name, rows.begin, rows.end);
  text.digest = sha256(content);
  return text;
}

}  // namespace

std::vector<AblationText> held_out_excerpts(const std::string& name, std::string text, std::int64_t samples,
                                            std::int64_t tokens, const Tokenizer& tokenizer) {
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
  replace_invalid_utf8(text);
  const Encoding encoding = tokenizer.encode(text, false);
  const std::vector<std::int32_t> ends = sentence_ends(text, encoding);
  const auto all = static_cast<std::int64_t>(encoding.ids.size());
  const std::int64_t first = all - all / 10;
  const std::int64_t length = tokens - 1;  // after BOS
  if (all - first < length) {
    throw Error(
        fmt::format("The last tenth of {} has {} tokens, fewer than the {} of a sample; give a longer text or fewer "
                    "--tokens.",
                    name, all - first, tokens));
  }
  std::vector<AblationText> texts;
  for (std::int64_t i = 0; i < samples; ++i) {
    const std::int64_t begin = first + (samples > 1 ? (all - first - length) * i / (samples - 1) : 0);
    AblationText sample;
    // Of a short text two excerpts may begin at the same token.
    sample.name = fmt::format("{}:{}:{}", name, i, begin);
    sample.ids = {tokenizer.bos()};
    sample.ids.insert(sample.ids.end(), encoding.ids.begin() + begin, encoding.ids.begin() + begin + length);
    for (const std::int32_t end : ends) {
      if (end >= begin && end < begin + length) {
        sample.sentence_ends.push_back(end - static_cast<std::int32_t>(begin) + 1);
      }
    }
    texts.push_back(with_digest(std::move(sample)));
  }
  return texts;
}

std::vector<AblationText> needle_documents(std::int64_t needles, std::int64_t tokens, std::uint64_t seed,
                                           const Tokenizer& tokenizer) {
  NeedleSettings settings;
  settings.lengths = {tokens};
  settings.depths = std::max<std::int64_t>(1, needles);
  settings.seed = seed;
  std::vector<AblationText> texts;
  for (std::int64_t depth = 0; depth < needles; ++depth) {
    NeedlePrompt prompt = make_needle_prompt(settings, tokens, depth, 0, tokenizer);
    const auto end = static_cast<std::int64_t>(prompt.encoding.ids.size());
    AblationText text;
    text.name = fmt::format("needle:{}", depth);
    text.ids = std::move(prompt.encoding.ids);
    text.sentence_ends = std::move(prompt.sentence_ends);
    text.rows = {{"question", end - prompt.question_tokens, end}};
    for (const auto& [begin, needle_end] : prompt.needles) text.rows.push_back({"needle", begin, needle_end});
    texts.push_back(with_digest(std::move(text)));
  }
  return texts;
}

}  // namespace dhsa
