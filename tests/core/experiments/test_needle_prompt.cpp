// What is asked: needles where they should be, prompts as long as they should be, the answer said once.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "core/experiments/needle.h"
#include "core/text/question.h"
#include "tests/support/expect_error.h"

namespace dhsa {
namespace {

const Tokenizer& tokenizer() {
  static const auto loaded = Tokenizer::load(DHSA_RESOURCES "/models/demo/tokenizer.model");
  return *loaded;
}

std::size_t times(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

std::string said(const NeedlePrompt& prompt, const std::pair<std::int64_t, std::int64_t>& tokens) {
  const std::int64_t begin = prompt.encoding.spans[static_cast<std::size_t>(tokens.first)].begin;
  const std::int64_t end = prompt.encoding.spans[static_cast<std::size_t>(tokens.second - 1)].end;
  return prompt.text.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
}

// Longest sentence of a prompt, in tokens: how far off a place between two sentences may be.
std::int64_t longest_sentence(const NeedlePrompt& prompt) {
  std::int64_t longest = 0;
  std::int64_t last = 0;
  for (const std::int32_t end : prompt.sentence_ends) {
    longest = std::max<std::int64_t>(longest, end - last);
    last = end;
  }
  return longest;
}

void expect_well_made(const NeedleSettings& settings, std::int64_t length, std::int64_t depth, std::int64_t number) {
  SCOPED_TRACE(testing::Message() << name_of(settings.task) << ", " << length << " tokens, depth " << depth);
  const NeedlePrompt prompt = make_needle_prompt(settings, length, depth, number, tokenizer());
  const auto tokens = static_cast<std::int64_t>(prompt.encoding.ids.size());
  const std::int64_t slack = longest_sentence(prompt);

  // Never longer than asked, answer included, and shorter by a sentence at most.
  const auto whole = tokens + static_cast<std::int64_t>(prompt.answer_ids.size()) + kTokensBesideAnswer;
  EXPECT_LE(whole, length);
  EXPECT_GE(whole, length - 2 * slack);
  EXPECT_EQ(prompt.encoding.ids, tokenizer().encode(prompt.text).ids);

  // Every number once, inside the tokens of its needle, and the first needle asked for where it should be.
  ASSERT_EQ(prompt.values.size(),
            settings.task == NeedleTask::kMultiValue ? static_cast<std::size_t>(settings.needles) : 1U);
  ASSERT_EQ(prompt.needles.size(),
            settings.task == NeedleTask::kSingle ? 1U : static_cast<std::size_t>(settings.needles));
  double nearest = 1e9;
  for (std::size_t i = 0; i < prompt.values.size(); ++i) {
    const std::string& value = prompt.values[i];
    EXPECT_EQ(static_cast<std::int64_t>(value.size()), settings.digits);
    EXPECT_EQ(times(prompt.text, value), 1U) << value;
    const auto needle = prompt.needles.begin() + static_cast<std::ptrdiff_t>(i);  // the ones asked for come first
    EXPECT_NE(said(prompt, *needle).find(value), std::string::npos) << value;
    EXPECT_NE(said(prompt, *needle).find("The secret code of the "), std::string::npos);
    const double share = settings.depth(depth);
    const std::int64_t others =
        static_cast<std::int64_t>(prompt.needles.size() - 1) * (needle->second - needle->first + 2);
    const double wanted = share * static_cast<double>(tokens - prompt.question_tokens);
    nearest = std::min(nearest, std::max(0.0, std::abs(static_cast<double>(needle->first) - wanted) -
                                                  static_cast<double>(others + needle->second - needle->first)));
  }
  EXPECT_LE(nearest, static_cast<double>(slack));

  // The question is the end, asks for the needle's thing, and its tokens are counted right.
  const std::string question = said(prompt, {tokens - prompt.question_tokens, tokens});
  EXPECT_TRUE(question.starts_with("Question: What ")) << question;
  EXPECT_TRUE(question.ends_with("?\nAnswer:")) << question;
  EXPECT_EQ(prompt.question_tokens, tokens_from(question_start(prompt.text, usual_question_marks()), prompt.encoding));
  const std::size_t of = question.find("of the ") + 7;
  const std::string key = question.substr(of, question.find('?') - of);
  for (const std::string& value : prompt.values) {
    EXPECT_EQ(times(prompt.text, "The secret code of the " + key + " is " + value + "."), 1U);
  }
  EXPECT_EQ(times(prompt.text, "The secret code of the " + key), prompt.values.size());
}

TEST(NeedlePrompt, PutsTheNeedleWhereItShouldBe) {
  NeedleSettings settings;
  settings.depths = 4;
  settings.prompts = 2;
  for (const NeedleTask task : {NeedleTask::kSingle, NeedleTask::kMultiKey, NeedleTask::kMultiValue}) {
    settings.task = task;
    for (const std::int64_t length : {400, 1024, 3000}) {
      for (std::int64_t depth = 0; depth < settings.depths; ++depth) expect_well_made(settings, length, depth, 1);
    }
  }
}

TEST(NeedlePrompt, InAFileOfLinesOfOneSentenceAndOfNone) {
  std::string lines;
  for (int i = 0; i < 300; ++i) lines += "This is line " + std::to_string(i) + " of a file without an end\n";
  std::string endless;
  for (int i = 0; i < 3000; ++i) endless += (i % 3 == 0 ? "word and " : "another one ");
  NeedleSettings settings;
  settings.depths = 3;
  for (const std::string& text : {lines, endless, std::string("Short. ")}) {
    settings.haystack = Haystack("file.txt", text);
    for (std::int64_t depth = 0; depth < settings.depths; ++depth) {
      const NeedlePrompt prompt = make_needle_prompt(settings, 1024, depth, 0, tokenizer());
      const auto tokens = static_cast<double>(prompt.encoding.ids.size());
      EXPECT_LE(tokens, 1024);
      EXPECT_GE(tokens, 1024 - 160);
      const double place =
          static_cast<double>(prompt.needles[0].first) / (tokens - static_cast<double>(prompt.question_tokens));
      EXPECT_NEAR(place, settings.depth(depth), 0.09);
      EXPECT_EQ(times(prompt.text, prompt.values[0]), 1U);
    }
  }
}

TEST(NeedlePrompt, IsTheSameEveryTimeAndDifferentEachTime) {
  NeedleSettings settings;
  settings.prompts = 5;
  const std::string first = make_needle_prompt(settings, 512, 3, 0, tokenizer()).text;
  EXPECT_EQ(make_needle_prompt(settings, 512, 3, 0, tokenizer()).text, first);
  std::set<std::string> values;
  std::set<std::string> texts = {first};
  for (std::int64_t prompt = 0; prompt < 5; ++prompt) {
    const NeedlePrompt made = make_needle_prompt(settings, 512, 3, prompt, tokenizer());
    values.insert(made.values[0]);
    texts.insert(made.text);
  }
  EXPECT_EQ(values.size(), 5U);
  EXPECT_EQ(texts.size(), 5U);
  settings.seed = 2;
  EXPECT_NE(make_needle_prompt(settings, 512, 3, 0, tokenizer()).text, first);
  // Mode and budget belong to the methods: they ask the same.
  settings.seed = 1;
  settings.mode = NeedleMode::kStrict;
  settings.budget_share = 0.5;
  EXPECT_EQ(make_needle_prompt(settings, 512, 3, 0, tokenizer()).text, first);
}

TEST(NeedlePrompt, RefusesWhatLeavesNoRoom) {
  NeedleSettings settings;
  settings.task = NeedleTask::kMultiKey;
  settings.needles = 60;
  expect_mentions(error_of([&] { static_cast<void>(make_needle_prompt(settings, 256, 0, 0, tokenizer())); }), "256");
  NeedleSettings short_numbers;
  short_numbers.digits = 2;
  std::string all;
  for (int i = 10; i < 100; ++i) all += std::to_string(i) + " is said. ";
  short_numbers.haystack = Haystack("numbers.txt", all);
  expect_mentions(error_of([&] { static_cast<void>(make_needle_prompt(short_numbers, 512, 0, 0, tokenizer())); }),
                  "digits");
}

TEST(NeedleSettingsCheck, RefusesTheAbsurd) {
  const auto refused = [](auto change) {
    NeedleSettings settings;
    change(settings);
    return error_of([&] { check_settings(settings); });
  };
  expect_mentions(refused([](NeedleSettings& s) { s.lengths = {}; }), "lengths");
  expect_mentions(refused([](NeedleSettings& s) { s.lengths = {2048, 1024}; }), "ascend");
  expect_mentions(refused([](NeedleSettings& s) { s.lengths = {1}; }), "length");
  expect_mentions(refused([](NeedleSettings& s) { s.depths = 0; }), "depths");
  expect_mentions(refused([](NeedleSettings& s) { s.prompts = -1; }), "prompts");
  expect_mentions(refused([](NeedleSettings& s) { s.digits = 99; }), "digits");
  expect_mentions(refused([](NeedleSettings& s) { s.needles = 1; }), "needles");
  expect_mentions(refused([](NeedleSettings& s) { s.budget_share = std::nan(""); }), "share");
  EXPECT_NO_THROW(check_settings(NeedleSettings()));
}

}  // namespace
}  // namespace dhsa
