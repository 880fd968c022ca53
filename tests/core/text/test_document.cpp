#include "core/run/open_model.h"
#include "core/text/document.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/base/parallel.h"

namespace dhsa {
namespace {

std::shared_ptr<const Tokenizer> demo_tokenizer() {
  static const auto tokenizer = Tokenizer::load(std::string(DHSA_RESOURCES) + "/models/demo/tokenizer.model");
  return tokenizer;
}

TEST(Utf8, ReplacesWhatIsNotWellFormed) {
  const auto replaced = [](std::string text) {
    const std::int64_t count = replace_invalid_utf8(text);
    return std::make_pair(text, count);
  };
  const std::string good = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf";
  EXPECT_EQ(replaced(good), std::make_pair(good, std::int64_t{0}));
  const std::string mark = "\xef\xbf\xbd";
  EXPECT_EQ(replaced("a\xff"
                     "b"),
            std::make_pair("a" + mark + "b", std::int64_t{1}));
  EXPECT_EQ(replaced("\xc0\x80").second, 2);          // overlong
  EXPECT_EQ(replaced("\xe0\x80\x80").second, 3);      // overlong
  EXPECT_EQ(replaced("\xed\xa0\x80").second, 3);      // surrogate
  EXPECT_EQ(replaced("\xf4\x90\x80\x80").second, 4);  // past the last code point
  EXPECT_EQ(replaced("x\xe2\x82").second, 2);         // cut off
}

TEST(Utf8, CountsAndCutsByCharacter) {
  const std::string text =
      "a\xc3\xa9\xe2\x82\xac"
      "d";
  EXPECT_EQ(characters(text), 4U);
  EXPECT_EQ(first_characters(text, 2), "a\xc3\xa9");
  EXPECT_EQ(last_characters(text, 2),
            "\xe2\x82\xac"
            "d");
  EXPECT_EQ(first_characters(text, 9), text);
  EXPECT_EQ(last_characters(text, 9), text);
  EXPECT_EQ(last_characters(text, 0), "");
}

TEST(Document, IsWholeBelowTheContext) {
  const Document document =
      make_document("note", "\xef\xbb\xbfOne line.\nQuestion: what?\nAnswer:", *demo_tokenizer(), {512, false});
  EXPECT_EQ(document.text, "One line.\nQuestion: what?\nAnswer:");  // without the byte order mark
  EXPECT_TRUE(document.notes.empty());
  EXPECT_EQ(document.tokens(), document.whole_tokens);
  EXPECT_GT(document.question_tokens, 3);
  EXPECT_EQ(document.info().tokens, document.tokens());
  EXPECT_FALSE(document.sentence_ends.empty());
}

std::string long_text() {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "Line number " + std::to_string(i) + " of a long text. ";
  return text;
}

// The tokens kept are those of the whole text, and the spans point at their text.
void expect_consistent(const Document& document) {
  ASSERT_EQ(document.encoding.ids.size(), document.encoding.spans.size());
  std::int64_t at = 0;
  for (std::size_t i = 0; i < document.encoding.spans.size(); ++i) {
    EXPECT_EQ(document.encoding.spans[i].begin, at) << i;
    at = document.encoding.spans[i].end;
    if (i > 0) {
      const TokenSpan span = document.encoding.spans[i];
      const std::vector<std::int32_t> one = {document.encoding.ids[i]};
      EXPECT_EQ(demo_tokenizer()->decode(one), document.text.substr(static_cast<std::size_t>(span.begin),
                                                                    static_cast<std::size_t>(span.end - span.begin)));
    }
  }
  EXPECT_EQ(at, static_cast<std::int64_t>(document.text.size()));
}

TEST(Document, CutsBetweenTheBeginningAndTheQuestion) {
  const std::string question = "\nQuestion: Which line is last?\nAnswer:";
  const Document whole = make_document("note", long_text() + question, *demo_tokenizer(), {0, false});
  const Document cut = make_document("note", long_text() + question, *demo_tokenizer(), {100, false});
  EXPECT_EQ(cut.tokens(), 100);
  EXPECT_EQ(cut.whole_tokens, whole.tokens());
  EXPECT_EQ(cut.question_tokens, whole.question_tokens);
  EXPECT_TRUE(cut.text.starts_with("Line number 0 of a long"));
  EXPECT_TRUE(cut.text.ends_with("Question: Which line is last?\nAnswer:"));
  EXPECT_EQ(cut.encoding.ids.front(), demo_tokenizer()->bos());
  ASSERT_EQ(cut.notes.size(), 1U);
  EXPECT_NE(cut.notes[0].find("context of 100"), std::string::npos);
  EXPECT_NE(cut.notes[0].find("left out"), std::string::npos);
  expect_consistent(cut);
  for (const std::int32_t end : cut.sentence_ends) EXPECT_LT(end, 100);
}

TEST(Document, CutsTheEndWithoutAQuestion) {
  const Document cut = make_document("note", long_text(), *demo_tokenizer(), {64, false});
  EXPECT_EQ(cut.tokens(), 64);
  EXPECT_TRUE(long_text().starts_with(cut.text));
  expect_consistent(cut);
}

TEST(Document, AQuestionOfMoreThanHalfTheContextIsNoReasonToDropTheText) {
  const std::string question = "\nQuestion: " + long_text();
  const Document cut = make_document("note", long_text() + question, *demo_tokenizer(), {64, false});
  EXPECT_EQ(cut.tokens(), 64);
  EXPECT_EQ(cut.question_tokens, 0);
  EXPECT_TRUE(long_text().starts_with(cut.text));
}

// Also where most of the text is not even read.
TEST(Document, ALineTooFarForTheQuestionIsSaid) {
  std::string long_one;
  for (int i = 0; i < 30; ++i) long_one += long_text();
  for (const std::string& question : {long_text(), long_one}) {
    const Document cut = make_document("note", long_one + "\nQuestion: which? " + question, *demo_tokenizer(), {64});
    EXPECT_EQ(cut.question_tokens, 0);
    ASSERT_EQ(cut.notes.size(), 2U);
    EXPECT_NE(cut.notes[0].find("\"Question: which? Line number 0"), std::string::npos) << cut.notes[0];
  }
}

// A question is asked of something that stands before it.
TEST(Document, ATextThatBeginsAsAQuestionHasNone) {
  for (const char* text : {"Question: what is this?\nA list of questions.", "\n  \nQuery: all of this is the text."}) {
    EXPECT_EQ(make_document("note", text, *demo_tokenizer(), {}).question_tokens, 0) << text;
  }
  EXPECT_GT(make_document("note", "Question: one?\nOne.\nQuestion: two?", *demo_tokenizer(), {}).question_tokens, 0);
}

TEST(Document, AllowLongKeepsAllAndSaysSo) {
  const Document document = make_document("note", long_text(), *demo_tokenizer(), {64, true});
  EXPECT_EQ(document.text, long_text());
  EXPECT_EQ(document.tokens(), document.whole_tokens);
  ASSERT_EQ(document.notes.size(), 1U);
}

TEST(Document, RefusesNothing) {
  EXPECT_THROW(static_cast<void>(make_document("note", "", *demo_tokenizer(), {64, false})), Error);
  EXPECT_THROW(static_cast<void>(make_document("note", "\xef\xbb\xbf", *demo_tokenizer(), {64, false})), Error);
}

TEST(Document, ReadsUtf16AndUtf32ByTheirMark) {
  const std::string text = "Gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80.";
  const std::u32string characters = U"Gr\u00fc\u00df \U0001f600.";
  const std::u16string units = u"Gr\u00fc\u00df \U0001f600.";
  const auto bytes = [](const auto& string, bool big) {
    std::string out;
    for (const auto c : string) {
      constexpr std::size_t kSize = sizeof(c);
      for (std::size_t b = 0; b < kSize; ++b) {
        out += static_cast<char>(static_cast<std::uint32_t>(c) >> (8 * (big ? kSize - 1 - b : b)) & 0xffU);
      }
    }
    return out;
  };
  for (const bool big : {false, true}) {
    for (const std::string& file : {bytes(u"\ufeff" + units, big), bytes(U"\ufeff" + characters, big)}) {
      const Document document = make_document("note", file, *demo_tokenizer(), {0, false});
      EXPECT_EQ(document.text, text);
      ASSERT_EQ(document.notes.size(), 1U);
      EXPECT_NE(document.notes[0].find("UTF-"), std::string::npos);
    }
  }
}

TEST(Document, RefusesWhatIsNoText) {
  const auto refused = [](const std::string& bytes) {
    try {
      static_cast<void>(make_document("note", bytes, *demo_tokenizer(), {0, false}));
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(refused("%PDF-1.7\n").find("PDF"), std::string::npos);
  EXPECT_NE(refused("\x89PNG\r\n\x1a\n").find("image"), std::string::npos);
  EXPECT_NE(refused("PK\x03\x04rest").find("archive"), std::string::npos);
  EXPECT_NE(refused("\x1f\x8b\x08").find("compressed"), std::string::npos);
  EXPECT_NE(refused("\xcf\xf0\xe8\xe2\xe5\xf2, \xec\xe8\xf0").find("not UTF-8"), std::string::npos);
  EXPECT_NE(refused(std::string("a\0b\0c\0d\0", 8)).find("UTF-16"), std::string::npos);
  // "Привет", "天地玄黄" and the like without a mark: no byte of them is zero.
  const std::string cyrillic = "\x1f\x04\x40\x04\x38\x04\x32\x04\x35\x04\x42\x04";
  EXPECT_NE(refused(cyrillic).find("UTF-16"), std::string::npos);
  const std::string chinese = "\x29\x59\x30\x57\x0c\xff\x07\x5b\x19\x5b\x02\x30\x3a\x4e\x2d\x4e";
  EXPECT_NE(refused(chinese).find("UTF-16"), std::string::npos);
  // What moves and colours in a terminal is of texts.
  EXPECT_EQ(refused("\x1b[1mNAME\x1b[0m\n\tl\bls\bs\f\n"), "");
}

TEST(Document, WordsThatBeginOtherFilesAreText) {
  const auto kept = [](const std::string& text) {
    std::vector<std::string> notes;
    return decode_text("note", text, notes) == text;
  };
  for (const char* text : {"GGUF is a format.", "BZh", "BZh9 stands first.", "GIF89a and GIF87a", "Rar! said the bear.",
                           "SQLite format 3 is old."}) {
    EXPECT_TRUE(kept(text)) << text;
  }
  using namespace std::string_literals;
  for (const std::string& file :
       {"GGUF\3\0\0\0\1"s, "BZh91AY&SY\x9a"s, "GIF89a\1\0\1\0\x80\0\0"s, "Rar!\x1a\7"s, "SQLite format 3\0\x10"s}) {
    EXPECT_THROW((void)kept(file), Error) << file;
  }
}

TEST(Chat, BlanksAndBeginningsInFrontOfAWrittenChatBelongToItsBegin) {
  const std::string chat = "<start_of_turn>user\nHello<end_of_turn>\n";
  const TurnMarkers markers{105, 106};
  const std::vector<std::int32_t> expected =
      encode_written_chat(*demo_tokenizer(), markers, chat, EncodeOptions()).encoding.ids;
  for (const char* lead : {"<bos>", "\n\n", "<bos><bos>", " \r\n<bos>\n"}) {
    EXPECT_TRUE(is_written_chat(lead + chat)) << lead;
    const Encoding encoding = encode_written_chat(*demo_tokenizer(), markers, lead + chat, EncodeOptions()).encoding;
    EXPECT_EQ(encoding.ids, expected) << lead;
    EXPECT_EQ(encoding.spans[1].begin, static_cast<std::int64_t>(std::string(lead).size()));
  }
  EXPECT_FALSE(is_written_chat("Hello " + chat));
}

TEST(Document, AQuestionFarFromTheEndIsPartOfTheTextAndSaidSo) {
  const Document document =
      make_document("note", "Text.\nQuestion: what is this?\n" + long_text(), *demo_tokenizer(), {0, false});
  EXPECT_EQ(document.question_tokens, 0);
  ASSERT_EQ(document.notes.size(), 1U);
  EXPECT_NE(document.notes[0].find("\"Question: what is this?\""), std::string::npos) << document.notes[0];
  const Document other = make_document("note", "Text.\nFrage: was?\n", *demo_tokenizer(), {0, false});
  EXPECT_GT(other.question_tokens, 2);
  DocumentOptions options;
  options.question_marks = {"Q>"};
  EXPECT_EQ(make_document("note", "Text.\nFrage: was?\n", *demo_tokenizer(), options).question_tokens, 0);
  EXPECT_GT(make_document("note", "Text.\nQ> what?", *demo_tokenizer(), options).question_tokens, 1);
}

TEST(Document, AQuestionAsksAboutATextBeforeIt) {
  for (const char* begin : {"", " \n\n"}) {
    const Document document =
        make_document("note", std::string(begin) + "Question: what is this?\nAnswer:", *demo_tokenizer(), {0, false});
    EXPECT_EQ(document.question_tokens, 0);
    ASSERT_EQ(document.notes.size(), 1U);
    EXPECT_NE(document.notes[0].find("\"Question: what is this?\""), std::string::npos) << document.notes[0];
  }
  const std::string two = "Question: what?\nA list.\nQuestion: which?\nAnswer:";
  const Document document = make_document("note", two, *demo_tokenizer(), {0, false});
  EXPECT_GT(document.question_tokens, 3);
  EXPECT_LT(document.question_tokens, 16);
  EXPECT_TRUE(document.notes.empty());

  DocumentOptions options;
  options.chat = ChatMode::kOn;
  const std::string turn = "<start_of_turn>user\n";
  const auto chat = [&](const std::string& text) { return make_document("chat", text, *demo_tokenizer(), options); };
  EXPECT_EQ(chat("Question: what?").question_tokens, 0);
  EXPECT_EQ(chat(turn + "Question: what?<end_of_turn>\n").question_tokens, 0);
  EXPECT_GT(chat(turn + "A list.\nQuestion: what?<end_of_turn>\n").question_tokens, 3);
}

// A list of questions and answers in the middle of essays, and a line of another kind at the end: what the marks say.
TEST(Document, MarksSayWhichLineIsTheQuestion) {
  std::string inner;
  for (int i = 0; i < 40; ++i) inner += "The tide comes up the slip below the window, twice a day.\n";
  const std::string text = "Essays\n\n" + inner + "Question> why does it come?\nAnswer: the moon.\n\n" + inner +
                           "\nQuery: what is the code?\nAnswer:";
  const auto read = [&](std::vector<std::string> marks) {
    DocumentOptions options;
    options.question_marks = std::move(marks);
    return make_document("essays", text, *demo_tokenizer(), options);
  };
  const Document usual = make_document("essays", text, *demo_tokenizer(), {});
  EXPECT_GT(usual.question_tokens, 5);
  EXPECT_LT(usual.question_tokens, 40);
  EXPECT_LT(read({"Answer:"}).question_tokens, usual.question_tokens);

  const Document far = read({"Question>"});  // more than 256 tokens before the end
  EXPECT_EQ(far.question_tokens, 0);
  ASSERT_EQ(far.notes.size(), 1U);
  EXPECT_NE(far.notes[0].find("\"Question> why does it come?\""), std::string::npos) << far.notes[0];
  EXPECT_EQ(read({}).question_tokens, 0);
  EXPECT_TRUE(read({}).notes.empty());
}

TEST(Document, OneFarLongerThanTheContextIsNotReadToItsEnd) {
  std::string text;
  while (text.size() < 4'000'000) text += long_text();
  text += "\nQuestion: Which line?\nAnswer:";
  double share = 0;
  DocumentOptions options;
  options.context = 400;
  options.progress = [&](double now) { share = now; };
  const Document document = make_document("note", text, *demo_tokenizer(), options);
  EXPECT_EQ(share, 1.0);
  EXPECT_TRUE(document.whole_tokens_estimated);
  const double whole = static_cast<double>(demo_tokenizer()->encode(text).ids.size());
  EXPECT_NEAR(static_cast<double>(document.whole_tokens), whole, whole / 50);
  EXPECT_EQ(document.tokens(), 400);
  EXPECT_TRUE(document.text.ends_with("Question: Which line?\nAnswer:"));
  expect_consistent(document);
}

TEST(Document, AQuestionFarBeyondTheContextThatIsNoneIsSaid) {
  set_compute_threads(1);
  std::string text;
  while (text.size() < 300'000) text += long_text();
  const auto read = [&](const std::string& question, std::int64_t context) {
    return make_document("note", text + question, *demo_tokenizer(), {context, false});
  };
  const auto said = [](const Document& document, const char* part) {
    return std::any_of(document.notes.begin(), document.notes.end(),
                       [&](const std::string& note) { return note.find(part) != std::string::npos; });
  };
  std::string question = "\nQuestion: Which line?\n";
  const Document near = read(question, 400);
  EXPECT_TRUE(near.whole_tokens_estimated);
  EXPECT_GT(near.question_tokens, 3);
  EXPECT_FALSE(said(near, "\"Question: Which line?\""));
  const Document small = read(question, 10);
  EXPECT_EQ(small.question_tokens, 0);
  EXPECT_TRUE(said(small, "more than half the context"));
  question += long_text();  // more than 256 tokens
  for (const std::string& more : {question, question + text.substr(0, 30'000)}) {
    const Document far = read(more, 400);
    EXPECT_TRUE(far.whole_tokens_estimated);
    EXPECT_EQ(far.tokens(), 400);
    EXPECT_EQ(far.question_tokens, 0);
    EXPECT_TRUE(said(far, "\"Question: Which line?\" stands more than the 256 tokens"));
    expect_consistent(far);
  }
  set_compute_threads(0);
}

TEST(Document, AQuestionThatBeginsInWhatWasReadIsWhole) {
  set_compute_threads(1);
  const std::string question = "\nQuestion: Which line is the last of them?\nAnswer:";
  std::string text;
  while (text.size() < (1U << 18U)) text += long_text();  // as much as one thread reads at a time
  text.resize((1U << 18U) - 20);
  const Document document = make_document("note", text + question, *demo_tokenizer(), {60, false});
  set_compute_threads(0);
  EXPECT_TRUE(document.whole_tokens_estimated);
  EXPECT_EQ(document.tokens(), 60);
  EXPECT_GT(document.question_tokens, 8);
  EXPECT_TRUE(document.text.ends_with("Question: Which line is the last of them?\nAnswer:"));
  expect_consistent(document);
}

TEST(Document, ExcerptsAreOneLine) {
  const Document document = make_document("note", "First\nline and\ta second one.", *demo_tokenizer(), {0, false});
  EXPECT_EQ(excerpt(document, 0, document.tokens(), 100), "First line and a second one.");
  const std::string cut = excerpt(document, 0, document.tokens(), 15);
  EXPECT_EQ(characters(cut), 15U);
  EXPECT_TRUE(cut.starts_with("First"));
  EXPECT_TRUE(cut.ends_with("one."));
  EXPECT_EQ(excerpt(document, 2, 2, 100), "");
}

TEST(Vocabulary, MustFitTheModel) {
  Gemma2Config config;
  config.vocab_size = demo_tokenizer()->size();
  config.bos_token = demo_tokenizer()->bos();
  EXPECT_NO_THROW(check_vocabulary(config, *demo_tokenizer()));
  config.vocab_size += 64;  // padded embeddings are usual
  EXPECT_NO_THROW(check_vocabulary(config, *demo_tokenizer()));
  config.vocab_size = demo_tokenizer()->size() - 1;
  EXPECT_THROW(check_vocabulary(config, *demo_tokenizer()), Error);
  config.vocab_size = demo_tokenizer()->size();
  config.bos_token += 1;
  EXPECT_THROW(check_vocabulary(config, *demo_tokenizer()), Error);
}

}  // namespace
}  // namespace dhsa
