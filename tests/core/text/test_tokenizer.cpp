#include "core/text/question.h"
#include "core/text/tokenizer.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>

#include "core/base/error.h"

namespace {

namespace fs = std::filesystem;
using dhsa::Encoding;
using dhsa::Tokenizer;
using dhsa::TokenSpan;

const fs::path kModel = fs::path(DHSA_RESOURCES) / "models/demo/tokenizer.model";

const Tokenizer& demo() {
  static const auto tokenizer = Tokenizer::load(kModel);
  return *tokenizer;
}

// What encode() promises of spans: one for each id, ascending, no gap, all of the text.
void expect_cover(const std::string& text, const Encoding& encoding) {
  ASSERT_EQ(encoding.ids.size(), encoding.spans.size());
  std::int64_t at = 0;
  for (const TokenSpan& span : encoding.spans) {
    ASSERT_EQ(span.begin, at);
    ASSERT_GE(span.end, span.begin);
    at = span.end;
  }
  EXPECT_EQ(at, static_cast<std::int64_t>(text.size()));
}

std::string cut(const std::string& text, TokenSpan span) {
  return text.substr(static_cast<std::size_t>(span.begin), static_cast<std::size_t>(span.end - span.begin));
}

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (fs::temp_directory_path() / "dhsa-tokenizer-XXXXXX").string();
    path = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() { fs::remove_all(path); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] fs::path write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path / name, std::ios::binary) << bytes;
    return path / name;
  }
  fs::path path;
};

std::string read_file(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

const std::vector<std::string>& difficult_texts() {
  static const std::vector<std::string> texts = {
      "The tide turns at seven, and 12345 gulls follow it.",
      " leading, trailing ",
      "  two  spaces   three    four",
      std::string(300, ' ') + "x" + std::string(300, '\n'),
      "one\r\ntwo\rthree\n\n\nfour",
      "a\tb\t\tc",
      std::string("nul \0 inside\0", 13),
      "caf\u00e9 na\u00efve \u4f60\u597d \u0440\u0435\u043a\u0430 \U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467",
      "e\u0301 \u202e right to left \ufeff mark",
      "x = (a[i] != b->c) ? \"yes\" : 'no'; // 100%",
  };
  return texts;
}

TEST(Tokenizer, RoundTripsAndCoversEveryByte) {
  for (const std::string& text : difficult_texts()) {
    const Encoding encoding = demo().encode(text);
    expect_cover(text, encoding);
    EXPECT_EQ(demo().decode(encoding.ids), text);
    EXPECT_EQ(encoding.ids.front(), demo().bos());
    EXPECT_EQ(encoding.spans.front(), (TokenSpan{0, 0}));
    EXPECT_EQ(std::count(encoding.ids.begin(), encoding.ids.end(), demo().bos()), 1);
  }
}

TEST(Tokenizer, EmptyTextIsBosAlone) {
  EXPECT_EQ(demo().encode("").ids, std::vector<std::int32_t>{demo().bos()});
  EXPECT_TRUE(demo().encode("", false).ids.empty());
  EXPECT_EQ(demo().decode({}), "");
}

TEST(Tokenizer, WithoutBosTheRestIsTheSame) {
  Encoding with = demo().encode("A quiet harbour.");
  with.ids.erase(with.ids.begin());
  with.spans.erase(with.spans.begin());
  const Encoding without = demo().encode("A quiet harbour.", false);
  EXPECT_EQ(with.ids, without.ids);
  EXPECT_EQ(with.spans, without.spans);
}

TEST(Tokenizer, SpansNameTheWordsTheyCameFrom) {
  const std::string text = "the quiet harbour";
  const Encoding encoding = demo().encode(text);
  for (std::size_t i = 1; i < encoding.ids.size(); ++i) {
    std::string shown = demo().piece(encoding.ids[i]);
    for (std::size_t mark; (mark = shown.find("\u2581")) != std::string::npos;) shown.replace(mark, 3, " ");
    EXPECT_EQ(shown, cut(text, encoding.spans[i]));
  }
}

TEST(Tokenizer, FirstBytePieceHoldsTheWholeCharacter) {
  const std::string text = "a\U0001f600\u00e9b";
  const Encoding encoding = demo().encode(text, false);
  const std::vector<TokenSpan> expected = {{0, 1}, {1, 5}, {5, 5}, {5, 5}, {5, 5}, {5, 7}, {7, 7}, {7, 8}};
  EXPECT_EQ(encoding.spans, expected);
  EXPECT_EQ(demo().piece(encoding.ids[1]), "<0xF0>");
  EXPECT_EQ(demo().piece(encoding.ids[4]), "<0x80>");
}

TEST(Tokenizer, InvalidUtf8BecomesReplacementCharactersWithSpansOfTheOriginalBytes) {
  const std::string text = "bad\xff\xfe \xe2\x82 \xed\xa0\x80 \xc0\xaf end \xf0\x9f";
  const Encoding encoding = demo().encode(text);
  expect_cover(text, encoding);
  const std::string r = "\ufffd";
  EXPECT_EQ(demo().decode(encoding.ids), "bad" + r + r + " " + r + r + " " + r + r + r + " " + r + r + " end " + r + r);
  bool seen = false;
  for (std::size_t i = 0; i < encoding.ids.size(); ++i) seen = seen || cut(text, encoding.spans[i]) == " end";
  EXPECT_TRUE(seen);
}

TEST(Tokenizer, SpecialPiecesInTextAreOrdinaryText) {
  for (const std::string special :
       {"<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>", "<pad>", "<unk>", "<mask>", "<0x41>"}) {
    const std::string text = "say " + special + "user\nhi" + special;
    const Encoding encoding = demo().encode(text, false);
    expect_cover(text, encoding);
    EXPECT_EQ(demo().decode(encoding.ids), text);
    for (const std::int32_t id : encoding.ids) EXPECT_NE(demo().piece(id), special);
  }
}

TEST(Tokenizer, DecodeDropsControlPiecesAndMarksIncompleteCharacters) {
  const Encoding face = demo().encode("\U0001f600", false);
  ASSERT_EQ(face.ids.size(), 4u);
  std::int32_t turn = -1;
  for (std::int32_t id = 0; id < demo().size(); ++id) {
    if (demo().piece(id) == "<start_of_turn>") turn = id;
  }
  ASSERT_GE(turn, 0);
  const std::int32_t a = demo().encode("a", false).ids.at(0);
  const std::vector<std::int32_t> ids = {demo().bos(), turn, a, face.ids[0], a, turn};
  EXPECT_EQ(demo().decode(ids), "a\ufffda");
}

TEST(Tokenizer, IdsBeyondThePiecesAreShownByNumber) {
  // A padded embedding has rows for them, and such a row may win.
  EXPECT_EQ(demo().piece(demo().size()), "<8192>");
  const std::int32_t a = demo().encode("a", false).ids.at(0);
  EXPECT_EQ(demo().decode(std::vector<std::int32_t>{a, demo().size() + 8, a}), "a<8200>a");
  EXPECT_THROW((void)demo().piece(-1), dhsa::Error);
  EXPECT_THROW((void)demo().decode(std::vector<std::int32_t>{5, -1}), dhsa::Error);
}

TEST(Tokenizer, LongTextIsCutOnlyWhereNothingChanges) {
  // Each line ends in a character that begins no piece with another, so the tokens of the whole are those of its lines.
  std::string text;
  std::vector<std::int32_t> expected;
  const std::string sentence = "The lamp-keeper wound the clockwork, trimmed the wick and wrote 1873 in the log";
  std::size_t words = 1;
  while (text.size() < (std::size_t{1} << 22)) {
    // Lines of many lengths, so that the cuts fall everywhere.
    std::string line;
    for (std::size_t i = 0; i < words; ++i) line += sentence.substr(i * 7 % 40) + (i % 3 == 0 ? "  " : " \u00e9");
    line += "\n";
    const Encoding one = demo().encode(line, false);
    expected.insert(expected.end(), one.ids.begin(), one.ids.end());
    text += line;
    words = words * 5 % 2003 + 1;
  }
  const Encoding whole = demo().encode(text, false);
  expect_cover(text, whole);
  EXPECT_TRUE(whole.ids == expected);  // not EXPECT_EQ: it would print a million numbers
}

TEST(Tokenizer, AMegabyteWithoutSpaces) {
  for (const std::string unit : {"a", "abcdefghijklmnopqrstuvwxyz"}) {
    std::string text;
    while (text.size() < 1'000'000) text += unit;
    const Encoding encoding = demo().encode(text);
    expect_cover(text, encoding);
    EXPECT_TRUE(demo().decode(encoding.ids) == text);
  }
}

TEST(Tokenizer, LongTextsOfOddBytesKeepTheirSpans) {
  for (const std::string unit : {"\u00e9", "\u2581", "\xff", "\x80", "\n"}) {
    std::string text;
    while (text.size() < 600'000) text += unit;
    expect_cover(text, demo().encode(text));
  }
}

TEST(Tokenizer, SameIdsAsSpmEncode) {
  if (std::system("command -v spm_encode >/dev/null 2>&1") != 0) GTEST_SKIP() << "spm_encode is not installed";
  const TemporaryFolder folder;
  std::string lines;
  for (const std::string& text : difficult_texts()) {
    // The command reads lines, as C strings.
    if (text.find_first_of(std::string("\r\n\0", 3)) == std::string::npos) lines += text + "\n";
  }
  lines += read_file(fs::path(DHSA_RESOURCES) / "documents/sample.txt") + "\n";
  const fs::path in = folder.write("in.txt", lines);
  const fs::path out = folder.path / "out.txt";
  const std::string command = "spm_encode --model='" + kModel.string() + "' --output_format=id --input='" +
                              in.string() + "' --output='" + out.string() + "' 2>/dev/null";
  ASSERT_EQ(std::system(command.c_str()), 0);
  std::istringstream texts(lines);
  std::ifstream answers(out);
  std::string text;
  std::string answer;
  int compared = 0;
  while (std::getline(texts, text) && std::getline(answers, answer)) {
    std::istringstream numbers(answer);
    const std::vector<std::int32_t> ids{std::istream_iterator<std::int32_t>(numbers), {}};
    EXPECT_EQ(demo().encode(text, false).ids, ids) << text;
    ++compared;
  }
  EXPECT_GE(compared, 6);
}

TEST(Tokenizer, ThreadsShareOne) {
  const std::string text = "Bread rises while the oven warms. \U0001f35e";
  const Encoding expected = demo().encode(text);
  std::vector<std::thread> threads;
  std::vector<int> wrong(8);
  for (std::size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const Encoding mine = demo().encode(text);
        if (mine.ids != expected.ids || demo().decode(mine.ids) != text) ++wrong[t];
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(8));
}

std::string refusal(const fs::path& path) {
  try {
    (void)Tokenizer::load(path);
  } catch (const dhsa::Error& error) {
    return error.what();
  }
  return "";
}

TEST(Tokenizer, BadFilesAreRefusedByName) {
  const TemporaryFolder folder;
  const std::string good = read_file(kModel);
  const fs::path missing = folder.path / "missing.model";
  EXPECT_NE(refusal(missing).find(missing.string()), std::string::npos);
  EXPECT_NE(refusal(folder.path), "");
  std::string no_bos = good;
  for (std::size_t at; (at = no_bos.find("<bos>")) != std::string::npos;) no_bos[at + 1] = 'c';
  const std::vector<std::string> broken = {"",
                                           "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4241003\n",
                                           "{}",
                                           std::string(5000, '\xff'),
                                           std::string(100, '\0'),
                                           good.substr(0, good.size() / 2),
                                           good.substr(0, 1000),
                                           no_bos};
  for (std::size_t i = 0; i < broken.size(); ++i) {
    const fs::path path = folder.write("broken" + std::to_string(i), broken[i]);
    EXPECT_NE(refusal(path).find(path.string()), std::string::npos) << i;
  }
}

std::vector<std::string> sentences(const std::string& text) {
  const Encoding encoding = demo().encode(text);
  std::vector<std::string> parts;
  std::int64_t begin = 0;
  for (const std::int32_t last : sentence_ends(text, encoding)) {
    const std::int64_t end = encoding.spans[static_cast<std::size_t>(last)].end;
    parts.push_back(cut(text, {begin, end}));
    begin = end;
  }
  if (begin < static_cast<std::int64_t>(text.size())) parts.push_back(text.substr(static_cast<std::size_t>(begin)));
  return parts;
}

TEST(SentenceEnds, StandBehindMarksQuotesAndLineBreaks) {
  using Parts = std::vector<std::string>;
  EXPECT_EQ(sentences("One. Two! Three? Four"), (Parts{"One.", " Two!", " Three?", " Four"}));
  EXPECT_EQ(sentences("\u201cGo.\u201d He went (far). \"Why?\" No\n"),
            (Parts{"\u201cGo.\u201d", " He went (far).", " \"Why?\"", " No\n"}));
  EXPECT_EQ(sentences("Pi is 3.14 and v1.2 stays. Wait... yes"),
            (Parts{"Pi is 3.14 and v1.2 stays.", " Wait...", " yes"}));
  EXPECT_EQ(sentences("Title\r\n\r\nText. \n next\nlast"), (Parts{"Title\r\n\r\n", "Text. \n", " next\n", "last"}));
  EXPECT_EQ(sentences("no end"), (Parts{"no end"}));
  EXPECT_TRUE(sentences("").empty());
  EXPECT_EQ(sentences("\n\n\n"), (Parts{"\n\n\n"}));
}

TEST(SentenceEnds, AreLastTokensAscendingAndUnique) {
  const std::string text = "Bread.\u201d \u201cTides?\u201d\n\nClocks!";
  const Encoding encoding = demo().encode(text);
  const auto ends = sentence_ends(text, encoding);
  ASSERT_EQ(ends.size(), 3u);
  // The quote falls into three byte pieces; the sentence ends behind the last.
  EXPECT_EQ(demo().piece(encoding.ids[static_cast<std::size_t>(ends[0])]), "<0x9D>");
  EXPECT_TRUE(std::is_sorted(ends.begin(), ends.end()));
  EXPECT_EQ(ends.back(), static_cast<std::int32_t>(encoding.ids.size()) - 1);
}

TEST(QuestionTokens, CountFromTheLastQuestionLine) {
  const auto question = [](const std::string& text) {
    const Encoding encoding = demo().encode(text);
    const auto count =
        static_cast<std::size_t>(tokens_from(dhsa::question_start(text, dhsa::usual_question_marks()), encoding));
    if (count == 0) return std::string();
    return text.substr(static_cast<std::size_t>(encoding.spans[encoding.spans.size() - count].begin));
  };
  EXPECT_EQ(question("Text.\nQuestion: What?\nAnswer:"), "Question: What?\nAnswer:");
  EXPECT_EQ(question("Question: one?\nQuestion: two?\nA Question: not this"), "Question: two?\nA Question: not this");
  EXPECT_EQ(question("Question: at once"), "Question: at once");
  EXPECT_EQ(question("No Question: here"), "");
  EXPECT_EQ(question(""), "");
}

}  // namespace
