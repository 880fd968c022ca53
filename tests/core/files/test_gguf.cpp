#include "core/files/gguf.h"

#include <gtest/gtest.h>

#include "tests/support/expect_error.h"
#include "tests/support/gguf.h"
#include "tests/support/scratch_folder.h"

namespace dhsa {
namespace {

class Gguf : public testing::Test {
 protected:
  std::shared_ptr<const GgufFile> open(const std::string& bytes) {
    write_file(folder_ / "x.gguf", bytes);
    return GgufFile::open(folder_ / "x.gguf");
  }
  std::string refusal(const std::string& bytes) {
    return error_of([&] { (void)open(bytes); });
  }
  ScratchFolder folder_;
};

GgufWriter small(std::size_t alignment = 32) {
  GgufWriter out;
  out.alignment = alignment;
  out.text("general.architecture", "gemma2");
  out.count("a.count", 7);
  out.real("a.real", 0.5);
  out.number("a.small", 1, std::int8_t{-3});
  out.number("a.large", 10, std::uint64_t{1} << 63U);
  out.texts("a.texts", {"one", "", "three"});
  out.numbers("a.floats", 6, std::vector<float>{1.5F, -2});
  out.numbers("a.shorts", 2, std::vector<std::uint16_t>{5, 65535});
  out.tensor("m", 0, {2, 3}, std::string(24, 'x'));
  out.tensor("q", 8, {2, 32}, std::string(68, 'y'));
  out.tensor("h", 1, {5}, std::string(10, 'z'));
  return out;
}

TEST_F(Gguf, MetadataAndTensorsAreRead) {
  for (const std::uint32_t version : {2U, 3U}) {
    GgufWriter out = small();
    out.version = version;
    const auto file = open(out.file());
    EXPECT_EQ(file->text("general.architecture"), "gemma2");
    EXPECT_EQ(file->integer("a.count"), 7);
    EXPECT_EQ(file->number("a.count"), 7.0);
    EXPECT_EQ(file->number("a.real"), 0.5);
    EXPECT_EQ(file->integer("a.small"), -3);
    EXPECT_EQ(file->texts("a.texts"), (std::vector<std::string>{"one", "", "three"}));
    EXPECT_EQ(file->floats("a.floats"), (std::vector<float>{1.5F, -2}));
    EXPECT_EQ(file->integers("a.shorts"), (std::vector<std::int64_t>{5, 65535}));
    EXPECT_EQ(file->integer("absent"), std::nullopt);
    EXPECT_TRUE(file->texts("absent").empty());
    EXPECT_EQ(file->info("m").shape, (std::vector<std::int64_t>{2, 3}));
    EXPECT_EQ(file->info("q").dtype, "Q8_0");
    EXPECT_EQ(file->bytes("m").size(), 24U);
    EXPECT_EQ(file->bytes("q").front(), std::byte{'y'});
    EXPECT_EQ(file->bytes("h").back(), std::byte{'z'});
  }
}

TEST_F(Gguf, ValuesOfAnotherKindAreRefusedByTheirKey) {
  const auto file = open(small().file());
  expect_mentions(error_of([&] { (void)file->integer("a.real"); }), "a.real is not a whole number");
  expect_mentions(error_of([&] { (void)file->integer("a.large"); }), "a.large is not a whole number");
  expect_mentions(error_of([&] { (void)file->text("a.count"); }), "a.count is not a text");
  expect_mentions(error_of([&] { (void)file->number("a.floats"); }), "a.floats is not one value");
  expect_mentions(error_of([&] { (void)file->texts("a.floats"); }), "a.floats is not a list of texts");
  expect_mentions(error_of([&] { (void)file->integers("a.texts"); }), "a.texts is not a list of whole numbers");
  expect_mentions(error_of([&] { (void)file->floats("a.count"); }), "a.count is not a list");
}

TEST_F(Gguf, FilesThatAreCutOffAreRefusedWhereverTheyEnd) {
  const std::string whole = small().file();
  ASSERT_NO_THROW(open(whole));
  // Behind the last tensor there is only padding.
  for (std::size_t size = 0; size + 22 < whole.size(); size += 7) {
    const std::string sentence = refusal(whole.substr(0, size));
    EXPECT_NE(sentence.find("cut off"), std::string::npos) << size << ": " << sentence;
  }
}

TEST_F(Gguf, OtherVersionsAndFilesAreRefused) {
  GgufWriter out = small();
  out.version = 1;
  expect_mentions(refusal(out.file()), "version 1");
  out.version = 0x03000000;
  expect_mentions(refusal(out.file()), "big-endian");
  expect_mentions(refusal("GGML and more bytes"), "no GGUF file");
  expect_mentions(refusal("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull");
  EXPECT_FALSE(is_gguf(folder_ / "x.gguf"));
  EXPECT_FALSE(is_gguf(folder_.path()));
  EXPECT_FALSE(is_gguf(folder_ / "absent"));
}

TEST_F(Gguf, OtherQuantisationsAreNamedWithWhatToDo) {
  for (const auto& [number, name] : {std::pair{2U, "Q4_0"}, {12U, "Q4_K"}, {14U, "Q6_K"}, {99U, "number 99"}}) {
    GgufWriter out;
    out.tensor("blk.0.attn_q.weight", number, {2, 256}, std::string(512, 'x'));
    const std::string sentence = refusal(out.file());
    expect_mentions(sentence, std::string("\"blk.0.attn_q.weight\" is of type ") + name);
    expect_mentions(sentence, "Q8_0, or as safetensors");
  }
}

TEST_F(Gguf, TensorsMayNotOverlapOrOverflow) {
  GgufWriter half = small();
  half.tensor("odd", 8, {2, 33}, std::string(72, 'x'));
  expect_mentions(refusal(half.file()), "\"odd\" has rows of 33 values");
  GgufWriter large = small();
  large.tensor("large", 0, {std::int64_t{1} << 62U, 4}, "");
  expect_mentions(refusal(large.file()), "\"large\" has a shape whose size overflows");
  GgufWriter twice = small();
  twice.tensor("m", 0, {1}, "1234");
  expect_mentions(refusal(twice.file()), "tensor \"m\" twice");
  twice = small();
  twice.count("a.count", 8);
  expect_mentions(refusal(twice.file()), "key \"a.count\" twice");
  GgufWriter deep;
  deep.tensor("deep", 0, {1, 1, 1, 1, 1}, "1234");
  expect_mentions(refusal(deep.file()), "5 dimensions");
  // The place of the second tensor is that of the first.
  GgufWriter same;
  same.tensor("a", 0, {8}, std::string(32, 'x'));
  same.tensor("b", 0, {8}, std::string(32, 'x'));
  std::string bytes = same.file();
  const std::size_t place = bytes.find('b', 40) + 1 + 4 + 8 + 4;
  ASSERT_EQ(bytes[place], 32);
  bytes[place] = 0;
  expect_mentions(refusal(bytes), "none can begin");
  bytes[place] = 33;
  expect_mentions(refusal(bytes), "cut off");
}

TEST_F(Gguf, OnePartOfASplitModelIsRefused) {
  GgufWriter out = small();
  out.number("split.count", 2, std::uint16_t{3});
  expect_mentions(refusal(out.file()), "one of the 3 parts");
}

TEST_F(Gguf, TheAlignmentMayBeAnother) {
  GgufWriter out = small(64);
  out.count("general.alignment", 64);
  EXPECT_EQ(open(out.file())->bytes("h").back(), std::byte{'z'});
  GgufWriter odd = small();
  odd.count("general.alignment", 48);
  expect_mentions(refusal(odd.file()), "general.alignment");
}

}  // namespace
}  // namespace dhsa
