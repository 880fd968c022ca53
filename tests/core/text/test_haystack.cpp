#include "core/text/haystack.h"

#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/expect_error.h"

namespace dhsa {
namespace {

std::vector<std::string> sentences_of(const std::string& text) {
  std::vector<std::string> sentences;
  std::string sentence;
  for (std::size_t i = 0; i < text.size(); ++i) {
    sentence += text[i];
    const bool mark = text[i] == '.' || text[i] == '!' || text[i] == '?';
    if (mark && (i + 1 == text.size() || text[i + 1] == ' ' || text[i + 1] == '\n')) {
      sentences.push_back(sentence.substr(sentence.find_first_not_of(" \n")));
      sentence.clear();
    }
  }
  return sentences;
}

TEST(Prose, IsTheSameForASeedAndAnotherForAnother) {
  EXPECT_EQ(generate_prose(7, 5000), generate_prose(7, 5000));
  EXPECT_NE(generate_prose(7, 5000), generate_prose(8, 5000));
  const std::string longer = generate_prose(7, 20000);
  EXPECT_TRUE(longer.starts_with(generate_prose(7, 5000)));
  EXPECT_GE(longer.size(), 20000U);
}

TEST(Prose, HardlyEverSaysASentenceTwice) {
  const std::vector<std::string> sentences = sentences_of(generate_prose(3, 200000));
  ASSERT_GT(sentences.size(), 1000U);
  const std::set<std::string> different(sentences.begin(), sentences.end());
  EXPECT_GE(different.size(), sentences.size() * 995 / 1000);
  // Nor are they variations of a handful: of the beginnings of five words, most are met once.
  std::map<std::string, int> beginnings;
  for (const std::string& sentence : sentences) {
    std::istringstream words(sentence);
    std::string beginning;
    std::string word;
    for (int i = 0; i < 5 && words >> word; ++i) beginning += word + ' ';
    ++beginnings[beginning];
  }
  EXPECT_GT(beginnings.size(), sentences.size() / 2);
}

TEST(Prose, IsPlainSentencesWithNothingANeedleSays) {
  const std::string text = generate_prose(11, 200000);
  EXPECT_EQ(text.find_first_of("0123456789{}"), std::string::npos);
  for (const char* word : {"secret", "code", "Question", "  ", " .", ",,"}) {
    EXPECT_EQ(text.find(word), std::string::npos) << word;
  }
  for (const std::string& sentence : sentences_of(text)) {
    const char first = sentence[sentence.front() == '"' ? 1 : 0];
    EXPECT_TRUE(first >= 'A' && first <= 'Z') << sentence;
    EXPECT_LT(sentence.size(), 600U) << sentence;
  }
}

TEST(HaystackFile, StartsAgainWhereItIsTooShort) {
  const Haystack haystack("note.txt", "One line of text.\nAnd another one.\n");
  const std::string text = haystack.text(1, 0, 1, 200);
  EXPECT_EQ(text.size(), 200U);
  EXPECT_TRUE(text.starts_with("One line of text.\nAnd another one.\nOne line"));
}

TEST(HaystackFile, SamplesBeginWithSentencesOfDifferentParts) {
  std::string whole;
  for (int i = 0; i < 400; ++i) whole += "Sentence of number " + std::to_string(i) + " in the file. ";
  const Haystack haystack("note.txt", whole);
  std::set<std::string> beginnings;
  for (std::int64_t sample = 0; sample < 5; ++sample) {
    const std::string text = haystack.text(1, sample, 5, 300);
    EXPECT_TRUE(text.starts_with("Sentence of number ")) << text.substr(0, 40);
    beginnings.insert(text.substr(0, 30));
  }
  EXPECT_EQ(beginnings.size(), 5U);
  EXPECT_NE(haystack.text(1, 0, 5, 300), haystack.text(2, 0, 5, 300));
}

TEST(HaystackFile, SurvivesAnyBytes) {
  const Haystack broken("note\xff", std::string("\xc3\xa4\xff\xfe plain. ", 12) + std::string(100, '\0'));
  const std::string text = broken.text(5, 1, 3, 77);
  EXPECT_NO_THROW(static_cast<void>(nlohmann::json(text).dump()));  // throws where it is not UTF-8
  expect_mentions(error_of([] { Haystack("blank.txt", " \n\t\n"); }), "empty");
}

TEST(HaystackFile, KeepsItsIdentityInAFileButNotItsText) {
  const Haystack haystack("note.txt", "Some text.");
  const Haystack read = nlohmann::json(haystack).get<Haystack>();
  EXPECT_EQ(read, haystack);
  EXPECT_NE(read, Haystack("note.txt", "Some other text."));
  EXPECT_FALSE(read.available());
  expect_mentions(error_of([&] { static_cast<void>(read.text(1, 0, 1, 10)); }), "note.txt");
  EXPECT_EQ(nlohmann::json(Haystack()).get<Haystack>(), Haystack());
  for (const char* bad : {"3", "[]", R"({"name":3})", R"({"digest":"12"})", R"({"name":"a","text":"b"})"}) {
    error_of([&] { static_cast<void>(nlohmann::json::parse(bad).get<Haystack>()); });
  }
}

}  // namespace
}  // namespace dhsa
