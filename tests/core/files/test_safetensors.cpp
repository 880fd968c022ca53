#include "core/files/safetensors.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/files/atomic_write.h"
#include "tests/support/expect_error.h"
#include "tests/support/scratch_folder.h"

namespace dhsa {
namespace {

namespace fs = std::filesystem;

std::string file_of(const std::string& header, const std::string& data = "") {
  std::string bytes(8, '\0');
  const std::uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, sizeof(length));
  return bytes + header + data;
}

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

class Safetensors : public testing::Test {
 protected:
  std::shared_ptr<const SafetensorsFile> open(const std::string& bytes) {
    write_file(folder_ / "x.safetensors", bytes);
    return SafetensorsFile::open(folder_ / "x.safetensors");
  }
  // What opening such a file says is wrong with it.
  std::string fault(const std::string& bytes) {
    const std::string sentence = error_of([&] { (void)open(bytes); });
    expect_mentions(sentence, "x.safetensors");
    return sentence;
  }
  ScratchFolder folder_;
};

TEST_F(Safetensors, ReadsTensorsAndMetadata) {
  const float values[] = {1.5F, -2.0F};
  const auto file = open(file_of(R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,1],)"
                                 R"("data_offsets":[0,8],"more":[1,{"ignored":null}]}})",
                                 std::string(reinterpret_cast<const char*>(values), 8)));
  EXPECT_EQ(file->metadata().at("format"), "pt");
  EXPECT_EQ(file->info("a").shape, (std::vector<std::int64_t>{2, 1}));
  EXPECT_EQ(file->floats("a"), (std::vector<float>{1.5F, -2.0F}));
  EXPECT_FALSE(file->contains("b"));
  expect_mentions(error_of([&] { (void)file->info("b"); }), "\"b\"");
}

TEST_F(Safetensors, UnalignedDataIsRead) {
  // A header of 61 bytes puts the floats at an odd offset.
  std::string header = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  header.resize(61, ' ');
  const float value = 3.25F;
  EXPECT_EQ(open(file_of(header, std::string(reinterpret_cast<const char*>(&value), 4)))->floats("a")[0], 3.25F);
}

TEST_F(Safetensors, WhitespaceAroundTheHeaderIsAllowed) {
  EXPECT_TRUE(open(file_of("  "
                           "\n{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_"
                           "offsets\":[0,0]}}   "))
                  ->contains("a"));
  EXPECT_TRUE(open(file_of("{}"))->tensors().empty());
  EXPECT_TRUE(open(file_of(R"({"__metadata__":null})"))->metadata().empty());
}

TEST_F(Safetensors, EmptyAndRankZeroTensorsAreLegal) {
  const auto file = open(file_of(R"({"none":{"dtype":"F32","shape":[2,0],"data_offsets":[0,0]},)"
                                 R"("one":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})",
                                 "z"));
  EXPECT_EQ(file->info("none").elements(), 0);
  EXPECT_TRUE(file->floats("none").empty());
  EXPECT_EQ(file->info("one").elements(), 1);
  EXPECT_EQ(file->bytes("one").size(), 1U);
}

TEST_F(Safetensors, WidensHalfPrecisionExactly) {
  // +-0, smallest subnormal, largest subnormal, smallest normal, 1, -2,
  // largest, +-infinity, a NaN.
  const std::vector<std::uint16_t> half = {0x0000, 0x8000, 0x0001, 0x83ff, 0x0400, 0x3c00,
                                           0xc000, 0x7bff, 0x7c00, 0xfc00, 0x7e01};
  const std::vector<std::uint16_t> brain = {0x3f80, 0xc049, 0x0001, 0x7f80, 0xff80, 0x7fc0};
  write_safetensors(folder_ / "h", {{"half", "F16", {11}, bytes_of(half)}, {"brain", "BF16", {6}, bytes_of(brain)}});
  const auto file = SafetensorsFile::open(folder_ / "h");
  const std::vector<float> h = file->floats("half");
  const std::vector<float> expected = {0.0F, -0.0F, 0x1p-24F, -0x1.ff8p-15F, 0x1p-14F,
                                       1.0F, -2.0F, 65504.0F, INFINITY,      -INFINITY};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(std::bit_cast<std::uint32_t>(h[i]), std::bit_cast<std::uint32_t>(expected[i])) << i;
  }
  EXPECT_TRUE(std::isnan(h[10]));
  const std::vector<float> b = file->floats("brain");
  EXPECT_EQ(b[0], 1.0F);
  EXPECT_EQ(b[1], -3.140625F);
  EXPECT_EQ(b[2], 0x1p-133F);
  EXPECT_EQ(b[3], INFINITY);
  EXPECT_EQ(b[4], -INFINITY);
  EXPECT_TRUE(std::isnan(b[5]));
}

TEST_F(Safetensors, IntegersAreRangeChecked) {
  const std::vector<std::int64_t> good = {-2147483648LL, 7, 2147483647};
  const std::vector<std::int64_t> bad = {2147483648LL};
  const std::vector<std::int32_t> narrow = {5, -6};
  write_safetensors(folder_ / "i", {{"good", "I64", {3}, bytes_of(good)},
                                    {"bad", "I64", {1}, bytes_of(bad)},
                                    {"narrow", "I32", {2}, bytes_of(narrow)}});
  const auto file = SafetensorsFile::open(folder_ / "i");
  EXPECT_EQ(file->int32s("good"), (std::vector<std::int32_t>{std::numeric_limits<std::int32_t>::min(), 7,
                                                             std::numeric_limits<std::int32_t>::max()}));
  EXPECT_EQ(file->int32s("narrow"), narrow);
  expect_mentions(error_of([&] { (void)file->int32s("bad"); }), "2147483648");
  expect_mentions(error_of([&] { (void)file->floats("good"); }), "I64");
}

TEST_F(Safetensors, WriterAlignsSortsAndRoundTrips) {
  const std::vector<std::uint8_t> bytes = {1, 2, 3};
  const std::vector<float> floats = {0.5F, NAN};
  const std::vector<double> doubles = {2.0};
  write_safetensors(
      folder_ / "w",
      {{"b", "U8", {3}, bytes_of(bytes)}, {"f", "F32", {2}, bytes_of(floats)}, {"d", "F64", {1}, bytes_of(doubles)}},
      {{"key \"quoted\"", "\xC3\xA9\n"}});
  const auto file = SafetensorsFile::open(folder_ / "w");
  EXPECT_EQ(file->metadata().at("key \"quoted\""), "\xC3\xA9\n");
  EXPECT_EQ(file->info("d").begin, 0U);
  EXPECT_EQ(file->info("f").begin, 8U);
  EXPECT_EQ(file->info("b").begin, 16U);
  for (const char* name : {"d", "f"}) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(file->bytes(name).data()) % 8, 0U) << name;
  }
  EXPECT_EQ(std::to_integer<int>(file->bytes("b")[2]), 3);
  EXPECT_TRUE(std::isnan(file->floats("f")[1]));
}

TEST_F(Safetensors, WriterRefusesWhatTheReaderWould) {
  const std::vector<float> one = {1.0F};
  const auto write = [&](const std::vector<TensorToWrite>& tensors, const std::map<std::string, std::string>& meta) {
    return error_of([&] { write_safetensors(folder_ / "bad", tensors, meta); });
  };
  expect_mentions(write({{"a", "F32", {1}, bytes_of(one)}, {"a", "F32", {1}, bytes_of(one)}}, {}), "twice");
  expect_mentions(write({{"__metadata__", "F32", {1}, bytes_of(one)}}, {}), "__metadata__");
  expect_mentions(write({{"a", "F32", {2}, bytes_of(one)}}, {}), "4 bytes");
  expect_mentions(write({{"a", "float", {1}, bytes_of(one)}}, {}), "float");
  expect_mentions(write({{"a", "F32", {-1}, bytes_of(one)}}, {}), "negative");
  expect_mentions(write({{"\xFF", "F32", {1}, bytes_of(one)}}, {}), "UTF-8");
  expect_mentions(write({}, {{"k", "\xC3"}}), "UTF-8");
  EXPECT_FALSE(fs::exists(folder_ / "bad"));
}

// ---- Faults, after the reference reader's list ----

constexpr const char* kTwo = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";

TEST_F(Safetensors, LengthFaults) {
  expect_mentions(fault(""), "too few");
  expect_mentions(fault("1234567"), "too few");
  std::string huge = file_of(kTwo, "12345678");
  const std::uint64_t above = 100'000'001;
  std::memcpy(huge.data(), &above, 8);
  expect_mentions(fault(huge), "100000001");
  expect_mentions(fault(std::string(8, '\xFF')), "18446744073709551615");
  std::string longer = file_of(kTwo, "12345678");
  longer[0] = '\x7f';
  expect_mentions(fault(longer), "cut off");
  expect_mentions(fault(file_of("")), "not valid JSON");
}

TEST_F(Safetensors, TruncatedOrPaddedFile) {
  const std::string whole = file_of(kTwo, "12345678");
  EXPECT_EQ(open(whole)->info("a").elements(), 2);
  expect_mentions(fault(whole + "bogus"), "more in it");
  expect_mentions(fault(whole.substr(0, whole.size() - 2)), "cut off");
  for (std::size_t size = 0; size < whole.size(); ++size) (void)fault(whole.substr(0, size));
}

TEST_F(Safetensors, HeaderThatIsNotItsJson) {
  expect_mentions(fault(file_of("\xFF\xFE{}")), "not valid JSON");
  expect_mentions(fault(file_of("{\"\xC3(\":1}")), "not valid JSON");
  expect_mentions(fault(file_of("not json")), "not valid JSON");
  expect_mentions(fault(file_of("{} {}")), "not valid JSON");
  expect_mentions(fault(file_of("\xEF\xBB\xBF{}")), "byte order mark");
  expect_mentions(fault(file_of(std::string("{}\0junk", 7))), "zero byte");
  expect_mentions(fault(file_of("[]")), "an object is expected");
  expect_mentions(fault(file_of("null")), "null");
  expect_mentions(fault(file_of(R"({"a":[]})")), "\"a\"");
  expect_mentions(fault(file_of(std::string(100000, '['))), "deep");
  expect_mentions(fault(file_of(R"({"a":1e999})")), "too large");
}

TEST_F(Safetensors, EntriesThatAreNotTheirForm) {
  const auto entry = [&](const std::string& text) {
    return fault(file_of("{\"the tensor\":" + text + "}", "12345678"));
  };
  for (const char* text : {
           R"({"shape":[2],"data_offsets":[0,8]})",
           R"({"dtype":"F32","data_offsets":[0,8]})",
           R"({"dtype":"F32","shape":[2]})",
           R"({"dtype":32,"shape":[2],"data_offsets":[0,8]})",
           R"({"dtype":"F33","shape":[2],"data_offsets":[0,8]})",
           R"({"dtype":"f32","shape":[2],"data_offsets":[0,8]})",
           R"({"dtype":"F32","shape":2,"data_offsets":[0,8]})",
           R"({"dtype":"F32","shape":[-2],"data_offsets":[0,8]})",
           R"({"dtype":"F32","shape":[2.0],"data_offsets":[0,8]})",
           R"({"dtype":"F32","shape":["2"],"data_offsets":[0,8]})",
           R"({"dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,8]})",
           R"({"dtype":"F32","shape":[2],"data_offsets":[0]})",
           R"({"dtype":"F32","shape":[2],"data_offsets":[0,8,8]})",
           R"({"dtype":"F32","shape":[2],"data_offsets":[0,-8]})",
           R"({"dtype":"F32","shape":[2],"data_offsets":[0,8.5]})",
           R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})",
           R"({"dtype":"F32","shape":[2],"data_offsets":[8,0]})",
           R"({"dtype":"F4","shape":[1],"data_offsets":[0,8]})",
       }) {
    expect_mentions(entry(text), "\"the tensor\"");
  }
}

TEST_F(Safetensors, OverflowingShapes) {
  const auto shape = [&](const char* extents) {
    return fault(
        file_of(std::string(R"({"a":{"dtype":"F32","shape":)") + extents + R"(,"data_offsets":[0,4]}})", "1234"));
  };
  expect_mentions(shape("[2,18446744073709551614]"), "overflows");
  expect_mentions(shape("[2,9223372036854775807]"), "overflows");
  expect_mentions(shape("[4611686018427387905,1]"), "overflows");
  expect_mentions(shape("[9223372036854775807,9223372036854775807,0]"), "overflows");
}

TEST_F(Safetensors, OverlapsHolesAndAliases) {
  std::string attack = "{";
  for (int i = 0; i < 10; ++i) {
    attack += (i != 0 ? ",\"t" : "\"t") + std::to_string(i) + R"(":{"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  }
  expect_mentions(fault(file_of(attack + "}", "12345678")), "should come next");
  const auto two = [&](const char* a, const char* b, const std::string& data) {
    return fault(file_of(std::string(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)") + a +
                             R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + b + "}}",
                         data));
  };
  expect_mentions(two("[0,4]", "[5,9]", "123456789"), "\"b\"");
  expect_mentions(two("[0,4]", "[3,7]", "1234567"), "\"b\"");
  expect_mentions(two("[1,5]", "[5,9]", "123456789"), "\"a\"");
}

TEST_F(Safetensors, DuplicateNamesAreRefused) {
  const std::string one = R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  expect_mentions(fault(file_of("{" + one + "," + one + "}", "1")), "\"a\" is given twice");
  expect_mentions(fault(file_of(R"({"__metadata__":{},"__metadata__":{}})")), "twice");
  expect_mentions(fault(file_of(R"({"__metadata__":{"k":"1","k":"2"}})")), "\"k\" is given twice");
  expect_mentions(fault(file_of(R"({"a":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}})", "1")),
                  "\"shape\"");
  // An escape does not hide the second one.
  expect_mentions(fault(file_of("{" + one + R"(,"\u0061":{"dtype":"U8","shape":[0],"data_offsets":[1,1]}})", "1")),
                  "twice");
}

TEST_F(Safetensors, MetadataIsTextOnly) {
  expect_mentions(fault(file_of(R"({"__metadata__":{"k":1}})")), "\"k\"");
  expect_mentions(fault(file_of(R"({"__metadata__":[]})")), "__metadata__");
}

TEST_F(Safetensors, NoFile) {
  expect_mentions(error_of([&] { (void)SafetensorsFile::open(folder_ / "absent"); }), "absent");
  expect_mentions(error_of([&] { (void)SafetensorsFile::open(folder_.path()); }), "not a file");
}

// ---- Folders ----

class Folder : public Safetensors {
 protected:
  void SetUp() override {
    write_safetensors(folder_ / "one.safetensors",
                      {{"a", "F32", {1}, bytes_of(a_)}, {"spare", "F32", {1}, bytes_of(a_)}});
    write_safetensors(folder_ / "two.safetensors", {{"b", "F32", {2}, bytes_of(b_)}});
  }
  std::string fault_of_index(const std::string& text) {
    write_file(folder_ / "model.safetensors.index.json", text);
    return error_of([&] { (void)TensorFolder::open(folder_.path()); });
  }
  std::vector<float> a_ = {1.0F};
  std::vector<float> b_ = {2.0F, 3.0F};
};

TEST_F(Folder, ShardsAreFoundByTheIndex) {
  // Wrong on purpose: total_size binds nobody.
  write_file(folder_ / "model.safetensors.index.json",
             R"({"metadata":{"total_size":1},"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})");
  const TensorFolder folder = TensorFolder::open(folder_.path());
  EXPECT_EQ(folder.names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(SafetensorsFile::open(folder.file_of("b").path())->floats("b"), b_);
  EXPECT_EQ(folder.info("a").shape, (std::vector<std::int64_t>{1}));
  EXPECT_FALSE(folder.contains("spare"));
  expect_mentions(error_of([&] { (void)folder.file_of("c"); }), "\"c\"");
}

TEST_F(Folder, SingleFile) {
  fs::rename(folder_ / "two.safetensors", folder_ / "model.safetensors");
  EXPECT_EQ(TensorFolder::open(folder_.path()).names(), (std::vector<std::string>{"b"}));
}

TEST_F(Folder, SingleFileGoesBeforeAnIndex) {
  write_file(folder_ / "model.safetensors.index.json", R"({"weight_map":{"a":"gone.safetensors"}})");
  fs::rename(folder_ / "two.safetensors", folder_ / "model.safetensors");
  EXPECT_EQ(TensorFolder::open(folder_.path()).names(), (std::vector<std::string>{"b"}));
}

TEST_F(Folder, WholeSetOfShardsNeedsNoIndexAndOutlivesAStaleOne) {
  fs::rename(folder_ / "one.safetensors", folder_ / "model-00001-of-00002.safetensors");
  fs::rename(folder_ / "two.safetensors", folder_ / "model-00002-of-00002.safetensors");
  const std::vector<std::string> all = {"a", "b", "spare"};
  EXPECT_EQ(TensorFolder::open(folder_.path()).names(), all);
  write_file(folder_ / "model.safetensors.index.json",
             R"({"weight_map":{"a":"model-00001-of-00003.safetensors","b":"model-00002-of-00002.safetensors"}})");
  EXPECT_EQ(TensorFolder::open(folder_.path()).names(), all);
  fs::remove(folder_ / "model-00002-of-00002.safetensors");
  expect_mentions(error_of([&] { (void)TensorFolder::open(folder_.path()); }), "model-00001-of-00003.safetensors");
  fs::remove(folder_ / "model.safetensors.index.json");
  expect_mentions(error_of([&] { (void)TensorFolder::open(folder_.path()); }),
                  "model-00002-of-00002.safetensors is missing");
}

TEST_F(Folder, GitLfsPointerIsNamedAsWhatItIs) {
  write_file(folder_ / "model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 498\n");
  const std::string sentence = error_of([&] { (void)TensorFolder::open(folder_.path()); });
  expect_mentions(sentence, "Git-LFS pointer");
  expect_mentions(sentence, "git lfs pull");
}

TEST_F(Folder, LinkedShardIsFollowed) {
  // As the download cache of Hugging Face lays its files out.
  fs::create_directory(folder_ / "snapshot");
  fs::create_symlink("../two.safetensors", folder_ / "snapshot/model.safetensors");
  EXPECT_TRUE(TensorFolder::open(folder_ / "snapshot").contains("b"));
}

TEST_F(Folder, Faults) {
  expect_mentions(fault_of_index(R"({"weight_map":{"a":"three.safetensors"}})"), "three.safetensors");
  expect_mentions(fault_of_index(R"({"weight_map":{"b":"one.safetensors"}})"), "does not hold it");
  expect_mentions(fault_of_index(R"({"weight_map":{"a":"one.safetensors","a":"two.safetensors"}})"), "twice");
  expect_mentions(fault_of_index(R"({"weight_map":[]})"), "weight_map");
  expect_mentions(fault_of_index(R"({"weight_map":{}})"), "weight_map");
  expect_mentions(fault_of_index(R"({"weight_map":{"a":1}})"), "\"a\"");
  expect_mentions(fault_of_index("{}"), "weight_map");
  expect_mentions(fault_of_index("[]"), "object");
  expect_mentions(fault_of_index("{\"weight_map\":\n{\"a\":}}"), "line 2, column 6");
  expect_mentions(fault_of_index("\xFF"), "not valid JSON");
  expect_mentions(error_of([&] { (void)TensorFolder::open(folder_ / "nowhere"); }), "nowhere");
  expect_mentions(error_of([&] { (void)TensorFolder::open(folder_ / "one.safetensors"); }), "not a folder");
  fs::remove(folder_ / "model.safetensors.index.json");
  expect_mentions(error_of([&] { (void)TensorFolder::open(folder_.path()); }), "neither");
}

TEST_F(Folder, TruncatedShardIsNamed) {
  fs::resize_file(folder_ / "two.safetensors", fs::file_size(folder_ / "two.safetensors") - 1);
  const std::string sentence = fault_of_index(R"({"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})");
  expect_mentions(sentence, "two.safetensors");
  expect_mentions(sentence, "cut off");
}

TEST_F(Folder, ShardNamesStayInTheFolder) {
  for (const char* name : {"", ".", "..", "../one.safetensors", "/etc/passwd", "sub/one.safetensors", "..\\\\one",
                           "one.safetensors\\u0000.txt", "one\\n"}) {
    expect_mentions(fault_of_index(std::string(R"({"weight_map":{"a":")") + name + "\"}}"), "beside the index");
  }
}

TEST_F(Folder, DemoModelOpens) {
  const TensorFolder folder = TensorFolder::open(fs::path(DHSA_RESOURCES) / "models/demo");
  EXPECT_EQ(folder.names().size(), 8U * 11U + 2U);
  EXPECT_EQ(folder.info("model.embed_tokens.weight").dtype, "BF16");
}

}  // namespace
}  // namespace dhsa
