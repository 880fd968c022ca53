// Chinese words as jieba 0.42.1 cuts them. tests/fixtures/scores/jieba_cases.json, compared in the tests of scores, has
// more.
#include <gtest/gtest.h>

#include <fstream>

#include "core/text/jieba.h"
#include "core/text/unicode.h"
#include "tests/support/expect_error.h"
#include "tests/support/scratch_folder.h"

namespace dhsa {
namespace {

std::vector<std::string> words(const Jieba& cutter, const std::string& text) {
  std::vector<std::string> cut;
  for (const std::u32string& word : cutter.cut(code_points(text))) cut.push_back(to_utf8(word));
  return cut;
}

const Jieba& shipped() {
  static const Jieba cutter(DHSA_RESOURCES "/jieba");
  return cutter;
}

using Words = std::vector<std::string>;

TEST(Jieba, DictionaryWordsAndWordsFoundByTheModel) {
  EXPECT_EQ(words(shipped(), "南河大学。"), (Words{"南河", "大学", "。"}));  // 南河 is in no dictionary
  EXPECT_EQ(words(shipped(), "学习学习再学习"), (Words{"学习", "学习", "再", "学习"}));
}

TEST(Jieba, LatinNumbersAndWhiteSpace) {
  EXPECT_EQ(words(shipped(), "Bert 模型3.5%\r\n,"), (Words{"Bert", " ", "模型", "3.5%", "\r\n", ","}));
  EXPECT_TRUE(words(shipped(), "").empty());
}

TEST(Jieba, NothingIsLost) {
  const std::string text = "“红旗渠”——A股 涨了1.2.3个点…\tC++ 鿖㐀 👍。";
  std::string joined;
  for (const std::string& word : words(shipped(), text)) joined += word;
  EXPECT_EQ(joined, text);
}

TEST(Jieba, RefusesOtherFiles) {
  const ScratchFolder folder;
  expect_mentions(error_of([&] { Jieba cutter(folder.path()); }), "dict.txt");
  std::ofstream(folder / "hmm.txt") << "start 0 0 0 0\n";
  std::ofstream(folder / "dict.txt") << "一 3 m\n二 many m\n";
  expect_mentions(error_of([&] { Jieba cutter(folder.path()); }), "line 2");
  std::ofstream(folder / "dict.txt") << "一二 3 m\n";
  const Jieba small(folder.path());  // with one word and an empty model
  EXPECT_EQ(words(small, "一二"), (Words{"一二"}));
}

}  // namespace
}  // namespace dhsa
