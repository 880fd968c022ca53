// tokenizer.json in place of tokenizer.model: the same ids of every text, or a sentence.
#include <gtest/gtest.h>

#include <random>

#include "core/base/parallel.h"
#include "core/text/tokenizer.h"
#include "tests/support/expect_error.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/tokenizer_json.h"

namespace dhsa {
namespace {

namespace fs = std::filesystem;
const fs::path kDemo = fs::path(DHSA_RESOURCES) / "models/demo";

const Tokenizer& demo() {
  static const auto tokenizer = Tokenizer::load(kDemo / "tokenizer.model");
  return *tokenizer;
}

std::shared_ptr<const Tokenizer> loaded(const nlohmann::json& file) {
  const ScratchFolder folder;
  write_file(folder / "tokenizer.json", file.dump());
  return Tokenizer::load(folder / "tokenizer.json");
}

std::vector<std::string> fixture_texts() {
  std::vector<std::string> texts;
  for (const auto& one : nlohmann::json::parse(read_file(DHSA_FIXTURES "/gemma2_tokenizer_cases.json"))) {
    texts.push_back(one["text"]);
  }
  return texts;
}

TEST(TokenizerJson, GivesTheIdsAndSpansOfTheModelItWasMadeFrom) {
  const auto tokenizer = loaded(demo_tokenizer_json());
  EXPECT_EQ(tokenizer->size(), demo().size());
  EXPECT_EQ(tokenizer->bos(), demo().bos());
  std::vector<std::string> texts = fixture_texts();
  ASSERT_GT(texts.size(), 60U);
  texts.push_back(read_file(fs::path(DHSA_RESOURCES) / "documents/sample.txt"));
  std::mt19937 random(5);
  for (int i = 0; i < 300; ++i) {
    std::string text;
    for (int c = 0; c < 40; ++c) text += "etaoin shrdlu\n\tTH.E,1\xc3\xa9"[random() % 22];
    texts.push_back(text);
  }
  for (const std::string& text : texts) {
    const Encoding ours = tokenizer->encode(text);
    const Encoding model = demo().encode(text);
    EXPECT_EQ(ours.ids, model.ids) << text;
    EXPECT_EQ(ours.spans, model.spans) << text;
    EXPECT_EQ(tokenizer->decode(ours.ids), demo().decode(model.ids));
  }
}

TEST(TokenizerJson, IsKnownByItsName) {
  const ScratchFolder folder;
  const fs::path file = folder / "tokenizer.json";
  write_file(file, "\xef\xbb\xbf" + demo_tokenizer_json().dump());
  EXPECT_EQ(Tokenizer::load(file)->size(), demo().size());
  write_file(file, "");
  expect_mentions(error_of([&] { (void)Tokenizer::load(file); }), "is empty; download it again");
  write_file(file, "nonsense");
  expect_mentions(error_of([&] { (void)Tokenizer::load(file); }), "put the model's tokenizer.model beside it");
}

TEST(TokenizerJson, MergesMayBePairs) {
  nlohmann::json file = demo_tokenizer_json();
  for (auto& merge : file["model"]["merges"]) {
    const std::string text = merge;
    const std::size_t space = text.find(' ');
    merge = {text.substr(0, space), text.substr(space + 1)};
  }
  EXPECT_EQ(loaded(file)->encode("The tide turns.").ids, demo().encode("The tide turns.").ids);
}

TEST(TokenizerJson, WhatWouldGiveOtherIdsIsRefused) {
  const nlohmann::json good = demo_tokenizer_json();
  const auto refusal = [&](const std::string& pointer, const nlohmann::json& value) {
    nlohmann::json file = good;
    file[nlohmann::json::json_pointer(pointer)] = value;
    return error_of([&] { (void)loaded(file); });
  };
  expect_mentions(refusal("/model/type", "WordPiece"), "model.type is WordPiece");
  expect_mentions(refusal("/model/type", "WordPiece"), "tokenizer.model");
  expect_mentions(refusal("/model/byte_fallback", false), "byte_fallback");
  expect_mentions(refusal("/model/ignore_merges", true), "ignore_merges");
  expect_mentions(refusal("/normalizer/type", "NFKC"), "normalizer.type");
  expect_mentions(refusal("/pre_tokenizer/type", "ByteLevel"), "pre_tokenizer.type");
  expect_mentions(refusal("/model/vocab", nlohmann::json::object()), "merge");

  nlohmann::json missing = good;  // a way to make a piece that the merges do not know
  missing["model"]["merges"].erase(100);
  expect_mentions(error_of([&] { (void)loaded(missing); }), "SentencePiece cannot follow");
  nlohmann::json moved = good;
  moved["model"]["merges"].push_back(moved["model"]["merges"][3000]);
  expect_mentions(error_of([&] { (void)loaded(moved); }), "SentencePiece cannot follow");
  nlohmann::json no_bos = good;
  no_bos["added_tokens"].erase(2);
  expect_mentions(error_of([&] { (void)loaded(no_bos); }), "<bos>");
}

TEST(TokenizerJson, RunsOfTheSpaceMarkAreTokensOfTheirOwn) {
  // As in the real vocabulary: user-defined runs that Hugging Face's library finds before spaces become marks.
  const std::string mark = "\u2581";
  std::vector<SentencePieceFile::Piece> pieces = parse_sentencepiece_file(read_file(kDemo / "tokenizer.model")).pieces;
  const auto two = static_cast<std::int32_t>(pieces.size());
  pieces.push_back({mark + mark, 0, PieceType::kUserDefined, 0});
  pieces.push_back({mark + mark + mark, 0, PieceType::kUserDefined, 0});
  const auto tokenizer = loaded(tokenizer_json_of(pieces));
  const auto ids = [&](const std::string& text) { return tokenizer->encode(text, false).ids; };
  const auto joined = [](std::vector<std::int32_t> a, const std::vector<std::int32_t>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  };
  EXPECT_EQ(ids("a" + mark + mark + "b"), joined(joined(ids("a"), {two}), ids("b")));
  // Longest first; one that is left over is a space for the text behind it.
  EXPECT_EQ(ids(mark + mark + mark + mark + " b"), joined({two + 1}, ids(mark + " b")));
  EXPECT_EQ(ids(" " + mark + mark + " c"), joined(joined(ids(" "), {two}), ids(" c")));
  const Encoding spans = tokenizer->encode("x" + mark + mark + "y", false);
  EXPECT_EQ(spans.spans[1], (TokenSpan{1, 7}));
}

TEST(AddedTokens, HaveTheNamesThatFilesBesideTheTokenizerGive) {
  const ScratchFolder folder;
  fs::copy_file(kDemo / "tokenizer.model", folder / "tokenizer.model");
  const std::int32_t size = demo().size();
  write_file(folder / "added_tokens.json",
             nlohmann::json{{"<|tool|>", size}, {"<|far|>", size + 3}, {"<|outside|>", size + 64}}.dump());
  const nlohmann::json decoder = {{std::to_string(size + 2), {{"content", "HARBOUR"}, {"special", false}}},
                                  {std::to_string(size + 3), {{"content", "<|far|>"}, {"special", true}}}};
  write_file(folder / "tokenizer_config.json", nlohmann::json{{"added_tokens_decoder", decoder}}.dump());
  const auto tokenizer = Tokenizer::of_model(folder.path(), size + 64);
  EXPECT_EQ(tokenizer->size(), size + 4);
  EXPECT_EQ(tokenizer->piece(size), "<|tool|>");
  EXPECT_EQ(tokenizer->piece(size + 1), "<" + std::to_string(size + 1) + ">");
  EXPECT_EQ(tokenizer->piece(size + 60), "<" + std::to_string(size + 60) + ">");
  const std::int32_t a = demo().encode("a", false).ids.at(0);
  EXPECT_EQ(tokenizer->decode(std::vector<std::int32_t>{a, size, size + 5, a}),
            "a<|tool|><" + std::to_string(size + 5) + ">a");
  // Special ones stay text when a text mentions them, others are found in it, as in Hugging Face's library.
  EXPECT_EQ(tokenizer->encode("<|tool|>").ids, demo().encode("<|tool|>").ids);
  EXPECT_EQ(tokenizer->encode("HARBOUR", false).ids, std::vector<std::int32_t>{size + 2});
}

TEST(ShownPieces, BytesThatFormACharacterAreShownAsIt) {
  const Encoding encoding = demo().encode("a\U0001f600\u00e9\tb", false);
  const std::vector<std::string> shown = shown_pieces(demo(), encoding.ids);
  const std::vector<std::string> expected = {"a", "\U0001f600", "", "", "", "\u00e9", ""};
  ASSERT_GT(shown.size(), expected.size());
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), shown.begin())) << shown[1];
  const std::vector<std::int32_t> half = {encoding.ids[1], encoding.ids[2]};
  EXPECT_EQ(shown_pieces(demo(), half), (std::vector<std::string>{"<0xF0>", "<0x9F>"}));
}

// ---- long texts

// Text in parts of the size that is used, and in one piece: a tokenizer that may not part reads whole.
void expect_as_in_one_piece(const std::string& text) {
  const Encoding parted = demo().encode(text, false);
  // From the end of a part on nothing may differ from the tokens of a text that begins there at a token.
  std::int64_t at = 0;
  for (const TokenSpan& span : parted.spans) {
    ASSERT_EQ(span.begin, at);
    at = span.end;
  }
  ASSERT_EQ(at, static_cast<std::int64_t>(text.size()));
  // The whole in one piece, by the program of the library itself.
  const ScratchFolder folder;
  write_file(folder / "in.txt", text + "\n");
  const std::string command = "spm_encode --model='" + (kDemo / "tokenizer.model").string() +
                              "' --output_format=id --input='" + (folder / "in.txt").string() + "' --output='" +
                              (folder / "out.txt").string() + "' 2>/dev/null";
  ASSERT_EQ(std::system(command.c_str()), 0);
  std::istringstream numbers(read_file(folder / "out.txt"));
  const std::vector<std::int32_t> ids{std::istream_iterator<std::int32_t>(numbers), {}};
  EXPECT_EQ(parted.ids.size(), ids.size());
  EXPECT_TRUE(parted.ids == ids);
}

TEST(LongText, HasTheIdsOfOnePieceWhateverItHolds) {
  if (std::system("command -v spm_encode >/dev/null 2>&1") != 0) GTEST_SKIP() << "spm_encode is not installed";
  constexpr std::size_t kBytes = 300'000;
  std::mt19937 random(3);
  for (const std::string alphabet : {"ab", "abcdefghijklmnopqrstuvwxyz", "the tide ", " ", "a"}) {
    std::string text;
    while (text.size() < kBytes) text += alphabet[random() % alphabet.size()];
    expect_as_in_one_piece(text);
  }
  std::string prose;
  std::string run;
  while (prose.size() < kBytes) prose += "alampkeeperwoundtheclockworkandtrimmedthewick";
  while (run.size() < kBytes) run += "\u2581\u00e9\U0001f600";
  expect_as_in_one_piece(prose);
  expect_as_in_one_piece(run);
}

TEST(LongText, IsReadOnlyAsFarAsAskedAndSaysHowFar) {
  std::string text;
  while (text.size() < 3'000'000) text += "The tide turns at seven, and the gulls follow it. ";
  EncodeOptions options;
  options.most = 2000;
  std::vector<double> shares;
  options.progress = [&](double share) { shares.push_back(share); };
  const Encoding part = demo().encode(text, options);
  EXPECT_GT(part.ids.size(), 2000U);
  EXPECT_LT(part.spans.back().end, 300'000);
  ASSERT_FALSE(shares.empty());
  EXPECT_EQ(shares.back(), 1.0);
  options.most = 0;
  const Encoding whole = demo().encode(text, options);
  EXPECT_TRUE(std::equal(part.ids.begin(), part.ids.begin() + 2001, whole.ids.begin()));
  EXPECT_TRUE(std::is_sorted(shares.begin() + 1, shares.end()));
}

TEST(LongText, CanBeCancelled) {
  std::string text(static_cast<std::size_t>(compute_threads()) * 1'000'000, 'a');
  CancelToken cancel;
  EncodeOptions options;
  options.cancel = &cancel;
  int told = 0;
  options.progress = [&](double /*share*/) {
    if (++told == 1) cancel.cancel();
  };
  EXPECT_THROW((void)demo().encode(text, options), Cancelled);
  EXPECT_EQ(told, 1);
}

}  // namespace
}  // namespace dhsa
