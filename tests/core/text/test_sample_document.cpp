// The document that `dhsa run` reads by default is what its description says, whatever the model makes of it.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <string>

#include "core/text/question.h"
#include "core/text/tokenizer.h"

namespace {

const std::string& sample() {
  static const std::string text = [] {
    std::ifstream stream(DHSA_RESOURCES "/documents/sample.txt", std::ios::binary);
    return std::string{std::istreambuf_iterator<char>(stream), {}};
  }();
  return text;
}

TEST(SampleDocument, HidesThreeCodesAndAsksForOne) {
  const std::regex code(" The secret code of the ([a-z]+ [a-z]+) is ([0-9]{5,7})\\.");
  std::map<std::string, std::string> codes;
  for (std::sregex_iterator at(sample().begin(), sample().end(), code), end; at != end; ++at) {
    codes[at->str(1)] = at->str(2);
  }
  EXPECT_EQ(codes.size(), 3u);
  const std::string tail = sample().substr(sample().rfind("\nQuestion:"));
  std::smatch asked;
  ASSERT_TRUE(std::regex_match(tail, asked,
                               std::regex("\nQuestion: What is the secret code of the ([a-z]+ [a-z]+)\\?\nAnswer:")));
  ASSERT_TRUE(codes.contains(asked.str(1)));
  // Said once, so that the answer can come from nowhere else.
  const std::string number = codes[asked.str(1)];
  EXPECT_EQ(sample().find(number), sample().rfind(number));
}

TEST(SampleDocument, FitsTheDemoModelAndItsQuestionIsFound) {
  const auto tokenizer = dhsa::Tokenizer::load(DHSA_RESOURCES "/models/demo/tokenizer.model");
  const dhsa::Encoding encoding = tokenizer->encode(sample());
  EXPECT_GE(encoding.ids.size(), 6500u);
  EXPECT_LE(encoding.ids.size(), 7800u);
  const auto question = tokens_from(dhsa::question_start(sample(), dhsa::usual_question_marks()), encoding);
  const auto first = encoding.spans[encoding.spans.size() - static_cast<std::size_t>(question)].begin;
  EXPECT_EQ(sample().substr(static_cast<std::size_t>(first), 9), "Question:");
}

}  // namespace
