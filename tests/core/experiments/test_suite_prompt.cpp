// The prompts of RULER's tasks, to the letter, and of questions that do not stand at the end.
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <set>

#include "core/experiments/suite.h"
#include "tests/support/demo.h"
#include "tests/support/expect_error.h"

namespace dhsa {
namespace {

const SuiteTask& task(std::string_view name) {
  for (const SuiteTask& each : suite_tasks()) {
    if (each.name == name) return each;
  }
  throw Error("no such task");
}

SuitePrompt prompt_of(std::string_view name, std::int64_t length = 1024, std::int64_t prompt = 0,
                      SuiteSettings settings = {}) {
  settings.suite = task(name).suite;
  return make_suite_prompt(settings, task(name), length, prompt, *demo().tokenizer);
}

std::vector<std::smatch> all_of(const std::string& text, const std::regex& pattern) {
  return {std::sregex_iterator(text.begin(), text.end(), pattern), std::sregex_iterator()};
}

std::vector<std::string> lines_of(std::string text) {
  std::vector<std::string> lines;
  for (std::size_t end = 0; (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1)) {
    lines.push_back(text.substr(0, end));
  }
  lines.push_back(text);
  return lines;
}

const std::regex kNumberNeedle(R"(One of the special magic numbers for ([a-z]+-[a-z]+) is: (\d{7})\.)");
const std::string kUuid = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";

TEST(RulerPrompt, NoiseHidesOneNumber) {
  const SuitePrompt prompt = prompt_of("niah_single_1");
  const SuiteQuestion& asked = prompt.places.at(0).asked;
  std::vector<std::string> lines = lines_of(prompt.text);
  EXPECT_EQ(lines.front(),
            "A special magic number is hidden within the following text. Make sure to memorize it. I will quiz you "
            "about the number afterwards.");
  EXPECT_EQ(lines.back(), "What is the special magic number for " + asked.query +
                              " mentioned in the provided text? The special magic number for " + asked.query +
                              " mentioned in the provided text is");
  const std::string needle =
      "One of the special magic numbers for " + asked.query + " is: " + asked.references.at(0) + ".";
  EXPECT_TRUE(std::regex_match(needle, kNumberNeedle)) << needle;
  EXPECT_EQ(std::count(lines.begin(), lines.end(), needle), 1);
  EXPECT_EQ(std::count(lines.begin(), lines.end(),
                       "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."),
            static_cast<std::ptrdiff_t>(lines.size()) - 3);
  const auto [begin, end] = prompt.needles.at(0);
  EXPECT_EQ(prompt.text.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)), needle);
  EXPECT_EQ(prompt.places[0].answer, " " + asked.references[0]);
  // The question's rows are those of the last line.
  const auto ids = std::span(prompt.encoding.ids).last(static_cast<std::size_t>(prompt.question_tokens));
  EXPECT_EQ(demo().tokenizer->decode(ids), lines.back());
}

TEST(RulerPrompt, EssaysHideNumbersAndUuids) {
  for (const char* name : {"niah_single_2", "niah_single_3"}) {
    const SuitePrompt prompt = prompt_of(name);
    const SuiteQuestion& asked = prompt.places.at(0).asked;
    const bool uuid = std::string_view(name) == "niah_single_3";
    const std::string type = uuid ? "uuid" : "number";
    EXPECT_TRUE(std::regex_match(asked.references.at(0), std::regex(uuid ? kUuid : R"(\d{7})")));
    EXPECT_NE(prompt.text.find("One of the special magic " + type + "s for " + asked.query +
                               " is: " + asked.references[0] + "."),
              std::string::npos);
    EXPECT_TRUE(prompt.text.starts_with("A special magic " + type + " is hidden")) << prompt.text.substr(0, 100);
    EXPECT_EQ(lines_of(prompt.text).size(), 3U);  // opening, the essay in one line, question
  }
}

TEST(RulerPrompt, AnEssayIsTheFilesFirstWordsAndNeedlesStandBetweenItsSentences) {
  SuiteSettings settings;
  std::string text;
  for (int i = 0; i < 40; ++i) text += "Word" + std::to_string(i) + " follows\n\u00a0 word. ";
  settings.haystack = Haystack("file.txt", text);
  const SuitePrompt prompt = prompt_of("niah_single_2", 1024, 0, settings);
  const std::string essay = lines_of(prompt.text).at(1);
  const std::string needle =
      prompt.text.substr(static_cast<std::size_t>(prompt.needles.at(0).first),
                         static_cast<std::size_t>(prompt.needles.at(0).second - prompt.needles.at(0).first));
  std::string without = essay;
  const std::size_t at = without.find(needle);
  ASSERT_NE(at, std::string::npos);
  if (at > 0) {
    EXPECT_EQ(without.substr(at - 2, 2), ". ");
  }
  without.erase(at, std::min(needle.size() + 1, without.size() - at));
  std::string expected;
  for (int i = 0; expected.size() < without.size(); ++i) {
    expected += "Word" + std::to_string(i % 40) + " follows word. ";  // a short file starts again
  }
  EXPECT_EQ(without, expected.substr(0, without.size()));
}

TEST(RulerPrompt, NeedlesAmongNeedles) {
  for (const char* name : {"niah_multikey_2", "niah_multikey_3"}) {
    const SuitePrompt prompt = prompt_of(name);
    const SuiteQuestion& asked = prompt.places.at(0).asked;
    const bool uuid = std::string_view(name) == "niah_multikey_3";
    const std::regex needle =
        uuid ? std::regex("One of the special magic uuids for (" + kUuid + ") is: (" + kUuid + ")\\.") : kNumberNeedle;
    const std::vector<std::string> lines = lines_of(prompt.text);
    int of_the_key = 0;
    for (std::size_t i = 1; i + 1 < lines.size(); ++i) {
      std::smatch parts;
      ASSERT_TRUE(std::regex_match(lines[i], parts, needle)) << lines[i];
      if (parts[1] == asked.query) {
        ++of_the_key;
        EXPECT_EQ(parts[2], asked.references.at(0));
      }
    }
    EXPECT_EQ(of_the_key, 1);
    EXPECT_GT(lines.size(), 8U);
  }
}

TEST(RulerPrompt, SeveralKeysValuesAndQueries) {
  const SuitePrompt keys = prompt_of("niah_multikey_1");
  EXPECT_EQ(all_of(keys.text, kNumberNeedle).size(), 4U);
  EXPECT_EQ(keys.places.at(0).asked.references.size(), 1U);
  EXPECT_EQ(keys.needles.size(), 1U);
  EXPECT_TRUE(keys.text.starts_with("A special magic number is hidden"));

  const SuitePrompt values = prompt_of("niah_multivalue");
  const SuiteQuestion& of_one = values.places.at(0).asked;
  std::vector<std::string> said;
  for (const std::smatch& needle : all_of(values.text, kNumberNeedle)) {
    EXPECT_EQ(needle[1], of_one.query);
    said.push_back(needle[2]);
  }
  EXPECT_EQ(said, of_one.references);  // in the order of the text
  EXPECT_EQ(said.size(), 4U);
  EXPECT_TRUE(
      values.text.starts_with("Some special magic numbers are hidden within the following text. Make sure to memorize "
                              "it. I will quiz you about "
                              "the numbers afterwards.\n"));
  EXPECT_TRUE(values.text.ends_with("\nWhat are all the special magic numbers for " + of_one.query +
                                    " mentioned in the provided text? The special magic numbers for " + of_one.query +
                                    " mentioned in the provided text are"));
  EXPECT_EQ(values.places[0].answer, " " + said[0] + ", " + said[1] + ", " + said[2] + ", and " + said[3]);

  const SuitePrompt queries = prompt_of("niah_multiquery");
  const SuiteQuestion& of_four = queries.places.at(0).asked;
  EXPECT_TRUE(std::regex_match(of_four.query, std::regex("(\\w+-\\w+, ){3}and \\w+-\\w+"))) << of_four.query;
  EXPECT_EQ(std::set<std::string>(of_four.references.begin(), of_four.references.end()).size(), 4U);
  // Values in the order in which their keys are asked for.
  std::size_t at = 0;
  for (const std::string& value : of_four.references) {
    for (const std::smatch& needle : all_of(queries.text, kNumberNeedle)) {
      if (needle[2] != value) continue;
      const std::size_t key = of_four.query.find(needle[1]);
      EXPECT_GE(key, at);
      at = key;
    }
  }
}

TEST(RulerPrompt, PromptAndAnswerFitTheLengthAndNoLongerPromptWould) {
  // Tokens that the smallest piece of a haystack takes: a word, a line of noise, a line of uuids.
  const auto spare = [](const SuiteTask& of) {
    return of.hay == SuiteTask::Hay::kEssay    ? 12
           : of.hay == SuiteTask::Hay::kNoise  ? 45
           : of.key == SuiteTask::Word::kUuids ? 160
                                               : 60;
  };
  for (const SuiteTask& of : suite_tasks()) {
    if (of.suite != Suite::kRuler) continue;
    for (const Wording wording : {Wording::kOfficial, Wording::kOwn}) {
      SuiteSettings settings;
      settings.wording = wording;
      for (const std::int64_t prompt : {0, 1, 2}) {
        const SuitePrompt made = prompt_of(of.name, 2048, prompt, settings);
        const auto tokens = static_cast<std::int64_t>(demo().tokenizer->encode(made.text, false).ids.size());
        EXPECT_LE(tokens + kSuiteAnswerTokens, 2048) << of.name;
        EXPECT_LE(made.places[0].answer_ids.size(), static_cast<std::size_t>(kSuiteAnswerTokens));
        EXPECT_EQ(tokens + 1, static_cast<std::int64_t>(made.encoding.ids.size()));  // <bos>
        if (prompt == 0) {
          EXPECT_GT(tokens + kSuiteAnswerTokens + spare(of), 2048) << of.name;
        }
      }
    }
  }
  EXPECT_THROW(static_cast<void>(prompt_of("niah_multikey_1", 256)), Error);
}

// Later prompts of a cell are a little longer than its first; a short one has no 500 words to lose.
TEST(RulerPrompt, ShortPromptsThatAreTooLongLoseHalfOfTheirText) {
  for (const std::int64_t prompt : {0, 1, 2, 3, 4, 5, 6, 7}) {
    const SuitePrompt made = prompt_of("niah_single_3", 640, prompt);
    const auto tokens = static_cast<std::int64_t>(made.encoding.ids.size()) - 1;  // without <bos>
    EXPECT_LE(tokens + kSuiteAnswerTokens, 640);
    EXPECT_GT(tokens + kSuiteAnswerTokens, 320);
  }
}

TEST(RulerPrompt, PromptsDifferAndComeAgain) {
  const SuitePrompt once = prompt_of("niah_multikey_1", 2048, 3);
  EXPECT_EQ(once.text, prompt_of("niah_multikey_1", 2048, 3).text);
  EXPECT_NE(once.places[0].asked, prompt_of("niah_multikey_1", 2048, 4).places[0].asked);
  SuiteSettings other;
  other.seed = 2;
  EXPECT_NE(once.places[0].asked, prompt_of("niah_multikey_1", 2048, 3, other).places[0].asked);
}

TEST(QuestionsPrompt, EveryQuestionStandsBehindItsNeedleAndBeforeMoreText) {
  const std::int64_t length = 1500;
  for (const std::int64_t number : {0, 1, 2}) {
    const SuitePrompt prompt = prompt_of("throughout", length, number);
    const auto tokens = static_cast<std::int64_t>(prompt.encoding.ids.size());
    EXPECT_LE(tokens, length);
    EXPECT_GT(tokens, length - 60);  // a sentence
    ASSERT_EQ(prompt.places.size(), 4U);
    for (const SuitePrompt::Place& place : prompt.places) {
      const std::string& value = place.asked.references.at(0);
      const std::string needle = "The secret code of the " + place.asked.query + " is " + value + ".";
      const std::string question = "\nQuestion: What is the secret code of the " + place.asked.query + "?\nAnswer:";
      const std::size_t said = prompt.text.find(needle);
      const std::size_t asked = prompt.text.find(question + " " + value + "\n");
      ASSERT_NE(said, std::string::npos);
      ASSERT_NE(asked, std::string::npos);
      EXPECT_LT(said, asked);
      // Nowhere else.
      EXPECT_EQ(prompt.text.find(value, asked + question.size() + 1 + value.size()), std::string::npos);
      // Its answer's tokens, where they are said to stand.
      const auto at = static_cast<std::size_t>(place.answer_at);
      EXPECT_EQ(demo().tokenizer->decode(std::span(prompt.encoding.ids).subspan(at, place.answer_ids.size())),
                " " + value);
      EXPECT_EQ(prompt.encoding.spans[at].begin, static_cast<std::int64_t>(asked + question.size()));
      EXPECT_LT(place.answer_at + 128, tokens) << "a method that favours the last rows must not favour an answer";
    }
  }
}

TEST(QuestionsPrompt, FromTheCacheTheDocumentDoesNotAsk) {
  const SuitePrompt prompt = prompt_of("from_the_cache", 1024);
  EXPECT_EQ(prompt.text.find("Question:"), std::string::npos);
  const auto document = static_cast<std::int64_t>(prompt.encoding.ids.size());
  for (const SuitePrompt::Place& place : prompt.places) {
    EXPECT_NE(prompt.text.find("The secret code of the " + place.asked.query + " is " + place.asked.references.at(0)),
              std::string::npos);
    EXPECT_EQ(place.question, "\nQuestion: What is the secret code of the " + place.asked.query + "?\nAnswer:");
    EXPECT_EQ(demo().tokenizer->decode(place.question_ids), place.question);
    EXPECT_LE(document + static_cast<std::int64_t>(place.question_ids.size() + place.answer_ids.size()), 1024);
  }
  EXPECT_GT(document, 1024 - 120);
}

TEST(SuiteSettings, UnknownTasksAndOtherSuitesAreRefused) {
  SuiteSettings settings;
  settings.tasks = "niah_single_1,niah_single_9";
  expect_mentions(error_of([&] { check_settings(settings); }), "\"niah_single_9\"; it has niah_single_1, ");
  settings.tasks = "throughout";
  expect_mentions(error_of([&] { check_settings(settings); }), "The suite ruler has no task \"throughout\"");
  settings.tasks = "niah_single_1,niah_single_1";
  expect_mentions(error_of([&] { check_settings(settings); }), "twice");
  settings.tasks = "niah_multiquery,niah_single_1";
  ASSERT_EQ(tasks_of(settings).size(), 2U);
  EXPECT_EQ(tasks_of(settings)[0]->name, "niah_multiquery");
}

}  // namespace
}  // namespace dhsa
