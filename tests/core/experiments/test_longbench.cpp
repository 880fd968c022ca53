// LongBench's rows, templates and prompts.
#include "core/experiments/longbench.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/demo.h"

namespace dhsa {
namespace {

constexpr const char* kRow =
    R"({"input":"Who?","context":"a {b} c","answers":["x"],"length":3,"dataset":"qasper","language":"en",)"
    R"("all_classes":null,"_id":"7"})";

LongBenchRow row() { return parse_longbench_rows(kRow, "file", longbench_task("qasper")).front(); }

TEST(LongBenchData, ReadsRowsAndRefusesOthers) {
  EXPECT_EQ(row().context, "a {b} c");
  const auto sentence = [](const std::string& text) {
    return error_of([&] { (void)parse_longbench_rows(text, "file", longbench_task("qasper")); });
  };
  expect_mentions(sentence(fmt::format("{}\n{}\n", kRow, R"({"input":""})")), "file, row 2 has no context");
  expect_mentions(sentence("nonsense"), "file, row 1");
  expect_mentions(sentence(""), "no row");
  expect_mentions(error_of([] { (void)parse_longbench_rows(kRow, "file", longbench_task("trec")); }), "trec");
}

TEST(LongBenchData, TemplatesAreFilledOnceAsPythonDoes) {
  const PromptTemplate::Filled filled = PromptTemplate("{{1}} {context}\nQ: {input} ", "file").fill(row());
  EXPECT_EQ(filled.text, "{1} a {b} c\nQ: Who? ");  // braces of the text stay
  EXPECT_EQ(filled.text.substr(filled.question), "\nQ: Who? ");
  for (const char* wrong : {"{context", "context}", "{context}{}", "{context}{question}", "{context!r}", "{input}"}) {
    EXPECT_TRUE(error_of([&] { PromptTemplate bad(wrong, "file"); }).starts_with("file: ")) << wrong;
  }
}

TEST(LongBenchPrompt, LongOnesKeepBothEndsOrTheLast) {
  const Tokenizer& tokenizer = *demo().tokenizer;
  LongBenchRow long_row = row();
  for (int i = 0; i < 300; ++i) long_row.context += " word" + std::to_string(i);
  const LongBenchSet set{&longbench_task("qasper"), {long_row}, PromptTemplate("Begin {context}\nQ: {input}", "file")};
  LongBenchSettings settings;
  settings.max_length = 101;
  const LongBenchPrompt middle = make_longbench_prompt(settings, set, long_row, tokenizer, std::nullopt);
  EXPECT_GT(middle.whole_tokens, 300);
  EXPECT_NEAR(static_cast<double>(middle.ids.size()), 100, 3);  // halves of 50; encoding again may count otherwise
  const std::string kept = tokenizer.decode(middle.ids);
  EXPECT_TRUE(kept.starts_with("Begin a {b} c")) << kept;
  EXPECT_TRUE(kept.ends_with("Q: Who?")) << kept;
  EXPECT_EQ(middle.instruction_tokens, static_cast<std::int64_t>(tokenizer.encode("\nQ: Who?", false).ids.size()));
  settings = longbench_preset("dhsa-v1");
  EXPECT_EQ(settings.max_length, 8192);
  settings.max_length = 101;
  const std::string last =
      tokenizer.decode(make_longbench_prompt(settings, set, long_row, tokenizer, std::nullopt).ids);
  EXPECT_EQ(last.find("Begin"), std::string::npos);
  EXPECT_TRUE(last.ends_with("Q: Who?")) << last;
}

TEST(LongBenchPrompt, TheChatTurnStandsAroundWhatTheScriptWraps) {
  const TurnMarkers turn{106, 107};
  const auto ids = [&](const char* task, bool chat) {
    LongBenchSettings settings;
    settings.chat = chat;
    LongBenchRow here = row();
    const LongBenchSet set{&longbench_task(task), {here}, PromptTemplate("{context}", "file")};
    return make_longbench_prompt(settings, set, here, *demo().tokenizer, turn).ids;
  };
  const std::vector<std::int32_t> wrapped = ids("qasper", true);
  EXPECT_EQ(wrapped[0], demo().tokenizer->bos());
  EXPECT_EQ(wrapped[1], 106);
  EXPECT_EQ(std::count(wrapped.begin(), wrapped.end(), 107), 1);
  for (const auto& plain : {ids("qasper", false), ids("trec", true), ids("lcc", true)}) EXPECT_NE(plain[1], 106);
}

}  // namespace
}  // namespace dhsa
