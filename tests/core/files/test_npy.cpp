#include "core/files/npy.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "core/files/atomic_write.h"
#include "core/files/zip_internal.h"
#include "tests/support/expect_error.h"
#include "tests/support/scratch_folder.h"

namespace dhsa {
namespace {

namespace fs = std::filesystem;

template <class T>
NpyArray array_of(const std::vector<T>& values, std::vector<std::int64_t> shape = {}) {
  return NpyArray::of(std::span<const T>(values), std::move(shape));
}

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::map<std::string, NpyArray> all_kinds() {
  const bool flags[] = {true, false, true};
  NpyArray scalar = array_of<double>({-0.5});
  scalar.shape.clear();
  return {{"float32", array_of<float>({1.5F, -0.0F, INFINITY, 3.0F, 4.0F, 5.0F}, {3, 2})},
          {"float64", scalar},
          {"int32", array_of<std::int32_t>({std::numeric_limits<std::int32_t>::min(), 7})},
          {"int64", array_of<std::int64_t>({std::numeric_limits<std::int64_t>::max()}, {1, 1, 1})},
          {"uint8", array_of<std::uint8_t>({}, {0, 4})},
          {"bool", NpyArray::of(std::span<const bool>(flags))},
          {"layer.3/\xC3\xA9", array_of<std::uint8_t>({255})}};
}

void expect_equal(const NpyArray& a, const NpyArray& b) {
  EXPECT_EQ(a.descr, b.descr);
  EXPECT_EQ(a.shape, b.shape);
  EXPECT_EQ(a.bytes, b.bytes);
}

// An .npy file with this header text and data.
std::string npy(std::string header, const std::string& data = "", char version = 1) {
  std::string bytes = "\x93NUMPY";
  bytes += {version, '\0', static_cast<char>(header.size() & 0xFFU), static_cast<char>(header.size() >> 8U)};
  if (version > 1) bytes += {'\0', '\0'};
  return bytes + header + data;
}

std::string fault_of_npy(const std::string& bytes) {
  const std::string sentence = error_of([&] { (void)parse_npy(bytes_of(bytes), "x.npy"); });
  EXPECT_EQ(sentence.rfind("x.npy: ", 0), 0U) << sentence;
  return sentence;
}

TEST(Npy, EveryKindRoundTrips) {
  const ScratchFolder folder;
  for (const auto& [name, array] : all_kinds()) {
    write_npy(folder / "x.npy", array);
    expect_equal(read_npy(folder / "x.npy"), array);
  }
  EXPECT_EQ(all_kinds().at("bool").values<bool>(), (std::vector<bool>{true, false, true}));
  EXPECT_EQ(all_kinds().at("float64").values<double>(), std::vector<double>{-0.5});
  EXPECT_EQ(array_of<float>({1, 2, 3}).shape, std::vector<std::int64_t>{3});
  expect_mentions(error_of([] { (void)all_kinds().at("bool").values<float>(); }), "<f4");
  expect_mentions(error_of([] { (void)array_of<float>({1, 2, 3}, {2, 2}); }), "12 bytes");
}

TEST(Npy, DataIsAlignedAndTheHeaderEndsItsLine) {
  for (std::int64_t extent = 1; extent <= 1000000000; extent *= 10) {
    const std::string bytes = text_of(npy_bytes(array_of<std::uint8_t>({}, {0, extent, extent})));
    EXPECT_EQ(bytes.size() % 64, 0U);
    EXPECT_EQ(bytes.back(), '\n');
  }
}

TEST(Npy, OtherWritersHeadersAreRead) {
  const std::string data = "12345678";
  const auto shape = [&](const std::string& bytes) { return parse_npy(bytes_of(bytes), "x").shape; };
  using Shape = std::vector<std::int64_t>;
  EXPECT_EQ(shape(npy("{\"shape\":(2,),\"fortran_order\":False,\"descr\":\"<f4\"}", data)), Shape{2});
  EXPECT_EQ(shape(npy("{'descr':'<i8','fortran_order':False,'shape':()}  \n", data)), Shape{});
  EXPECT_EQ(shape(npy("{'descr':'<f4','fortran_order':True,'shape':(2,)}\n", data)), Shape{2});
  EXPECT_EQ(shape(npy("{ 'descr' : '|u1' , 'fortran_order': False, 'shape': ( 2 , 4 , ) , }\n", data, 2)),
            (Shape{2, 4}));
  EXPECT_EQ(shape(npy("{'descr':'|b1','fortran_order':False,'shape':(8,)}\n", data, 3)), Shape{8});
}

TEST(Npy, Faults) {
  const std::string whole = text_of(npy_bytes(array_of<float>({1, 2, 3})));
  for (std::size_t size = 0; size < whole.size(); ++size) (void)fault_of_npy(whole.substr(0, size));
  expect_mentions(fault_of_npy(whole + "x"), "13 bytes");
  expect_mentions(fault_of_npy("PK\3\4 something else"), "no .npy file");
  expect_mentions(fault_of_npy(npy("{}")), "without descr");
  const auto header = [](const std::string& descr, const std::string& order, const std::string& shape) {
    return fault_of_npy(
        npy("{'descr': " + descr + ", 'fortran_order': " + order + ", 'shape': " + shape + ", }\n", "12345678"));
  };
  expect_mentions(header("'>f4'", "False", "(2,)"), ">f4");
  expect_mentions(header("'<f2'", "False", "(4,)"), "<f2");
  expect_mentions(header("'|O'", "False", "(1,)"), "|O");
  expect_mentions(header("[('a', '<f4')]", "False", "(2,)"), "structured");
  expect_mentions(header("'<f4'", "True", "(2, 1)"), "Fortran");
  expect_mentions(header("'<f4'", "0", "(2,)"), "cannot be read");
  expect_mentions(header("'<f4'", "False", "(2)"), "cannot be read");
  expect_mentions(header("'<f4'", "False", "(2,,)"), "cannot be read");
  expect_mentions(header("'<f4'", "False", "(-2,)"), "negative");
  expect_mentions(header("'<f4'", "False", "(3,)"), "8 bytes");
  expect_mentions(header("'<f4'", "False", "(9223372036854775807, 4)"), "overflows");
  expect_mentions(header("'<f4'", "False", "(4611686018427387904, 4, 0)"), "overflows");
  expect_mentions(header("'<f4'", "False", "(9223372036854775808,)"), "overflows");
  std::string axes = "(";
  for (int i = 0; i < 33; ++i) axes += "1,";
  expect_mentions(header("'<f4'", "False", axes + ")"), "33 axes");
  expect_mentions(
      fault_of_npy(npy("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", "12345678")),
      "\"descr\"");
  expect_mentions(fault_of_npy(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x", "12345678")),
                  "cannot be read");
  expect_mentions(fault_of_npy(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", "12345678", 9)),
                  "version 9");
}

TEST(Npz, RoundTripsWithTheSameBytesEveryTime) {
  const ScratchFolder folder;
  write_npz(folder / "a.npz", all_kinds());
  write_npz(folder / "b.npz", all_kinds());
  EXPECT_EQ(read_file(folder / "a.npz"), read_file(folder / "b.npz"));
  const auto read = read_npz(folder / "a.npz");
  ASSERT_EQ(read.size(), all_kinds().size());
  for (const auto& [name, array] : all_kinds()) expect_equal(read.at(name), array);
  write_npz(folder / "none.npz", {});
  EXPECT_TRUE(read_npz(folder / "none.npz").empty());
}

TEST(Npz, CrcIsTheStandardOne) {
  const ScratchFolder folder;
  const std::string digits = "123456789";
  AtomicFile file(folder / "x.zip");
  // In two parts, as an array's header and data are.
  write_stored_zip(file, {{"n", {bytes_of(digits).first(4), bytes_of(digits).subspan(4)}}});
  file.commit();
  std::uint32_t crc = 0;
  std::memcpy(&crc, read_file(folder / "x.zip").data() + 14, 4);
  EXPECT_EQ(crc, 0xCBF43926U);  // the check value of CRC-32
}

// As one array of more than 4 GiB would be written, with the limit lowered.
void write_wide(const fs::path& path) {
  const std::vector<std::byte> small = npy_bytes(array_of<std::uint8_t>({1}));
  const std::vector<std::byte> large = npy_bytes(array_of<float>(std::vector<float>(100, 2.5F)));
  AtomicFile file(path);
  write_stored_zip(file, {{"a.npy", {small}}, {"b.npy", {large}}, {"c.npy", {small}}}, 300);
  file.commit();
}

TEST(Npz, Zip64) {
  const ScratchFolder folder;
  write_wide(folder / "wide.npz");
  const std::string bytes = read_file(folder / "wide.npz");
  EXPECT_NE(bytes.find(std::string("PK\6\6", 4)), std::string::npos);
  const auto read = read_npz(folder / "wide.npz");
  ASSERT_EQ(read.size(), 3U);
  EXPECT_EQ(read.at("b").values<float>(), std::vector<float>(100, 2.5F));
  EXPECT_EQ(read.at("c").values<std::uint8_t>(), std::vector<std::uint8_t>{1});
}

TEST(Npz, MoreEntriesThanSixteenBitsCount) {
  const ScratchFolder folder;
  const std::vector<ZipEntry> entries(65600, ZipEntry{"same", {}});
  AtomicFile file(folder / "x.zip");
  write_stored_zip(file, entries);
  file.commit();
  // Names are equal here, and the reader comes to see that only if it found the directory.
  expect_mentions(error_of([&] { (void)read_npz(folder / "x.zip"); }), "\"same\" is there twice");
}

TEST(Npz, EveryTruncationAndEveryChangedByteIsAnErrorOrHarmless) {
  const ScratchFolder folder;
  write_npz(folder / "x.npz", {{"a", array_of<float>({1, 2, 3})}, {"b", array_of<std::uint8_t>({9})}});
  const std::string whole = read_file(folder / "x.npz");
  const auto before = parse_npz(bytes_of(whole), "x.npz");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::string cut = whole.substr(0, size);
    expect_mentions(error_of([&] { (void)parse_npz(bytes_of(cut), "x.npz"); }), "x.npz");
  }
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string changed = whole;
    changed[i] = static_cast<char>(changed[i] ^ 0x10);
    try {
      // Whatever still reads as these names holds what was written.
      for (const auto& [name, array] : parse_npz(bytes_of(changed), "x.npz")) {
        if (before.contains(name)) expect_equal(array, before.at(name));
      }
    } catch (const Error&) {
    }
  }
}

TEST(Npz, Faults) {
  const ScratchFolder folder;
  const auto fault = [&](const std::vector<ZipEntry>& entries, std::size_t change = 0, char to = 0) {
    AtomicFile file(folder / "x.npz");
    write_stored_zip(file, entries);
    file.commit();
    std::string bytes = read_file(folder / "x.npz");
    if (change != 0) bytes[bytes.size() - change] = to;
    return error_of([&] { (void)parse_npz(bytes_of(bytes), "x.npz"); });
  };
  const std::vector<std::byte> array = npy_bytes(array_of<std::uint8_t>({1}));
  const std::string text = "plain text";
  expect_mentions(fault({{"readme.txt", {bytes_of(text)}}}), "\"readme.txt\"");
  expect_mentions(fault({{"a.npy", {bytes_of(text)}}}), "x.npz (\"a.npy\"): is no .npy file");
  expect_mentions(fault({{"a.npy", {array}}, {"a.npy", {array}}}), "twice");
  // From the end: 22 bytes of end record, 5 of name, 46 of the directory's entry.
  expect_mentions(fault({{"a.npy", {array}}}, 22 + 5 + 46 - 10, 8), "numpy.savez");
  expect_mentions(fault({{"a.npy", {array}}}, 22 + 5 + 46 - 8, 1), "encrypted");
  expect_mentions(fault({{"a.npy", {array}}}, 22 + 5 + 46 + 1, 7), "CRC-32");
  expect_mentions(error_of([&] { write_npz(folder / "y.npz", {{"", array_of<float>({})}}); }), "no name");
  expect_mentions(error_of([&] {
                    write_npz(folder / "y.npz", {{std::string(70000, 'n'), array_of<float>({})}});
                  }),
                  "65530");
  EXPECT_FALSE(fs::exists(folder / "y.npz"));
  expect_mentions(error_of([&] { (void)read_npz(folder / "y.npz"); }), "y.npz");
}

// ---- Against NumPy itself ----

class WithNumpy : public testing::Test {
 protected:
  void SetUp() override {
    // The distribution's package belongs to its own interpreter, which need not be the first on the path.
    for (const char* python : {"python3", "/usr/bin/python3"}) {
      python_ = python;
      if (std::system((python_ + " -c 'import numpy' 2>/dev/null").c_str()) == 0) return;
    }
    GTEST_SKIP() << "python3-numpy is not installed";
  }
  // Runs `script` with the folder as its working directory.
  void expect_passes(const std::string& script) {
    write_file(folder_ / "script.py", "import numpy as np\n" + script);
    const std::string command = "cd '" + folder_.path().string() + "' && " + python_ + " script.py";
    EXPECT_EQ(std::system(command.c_str()), 0) << script;
  }
  ScratchFolder folder_;
  std::string python_;
};

TEST_F(WithNumpy, NumpyReadsOurs) {
  write_npz(folder_ / "a.npz", all_kinds());
  write_npy(folder_ / "a.npy", all_kinds().at("float32"));
  write_wide(folder_ / "wide.npz");
  expect_passes(R"(
f = np.load('a.npz')
assert sorted(f.files) == sorted(['float32', 'float64', 'int32', 'int64', 'uint8', 'bool', 'layer.3/\u00e9']), f.files
assert f['float32'].dtype == np.float32
assert f['float32'].tolist() == [[1.5, -0.0], [np.inf, 3.0], [4.0, 5.0]]
assert f['float64'].shape == () and f['float64'] == -0.5 and f['float64'].dtype == np.float64
assert f['int32'].dtype == np.int32 and f['int32'].tolist() == [-2147483648, 7]
assert f['int64'].dtype == np.int64 and f['int64'].tolist() == [[[9223372036854775807]]]
assert f['uint8'].dtype == np.uint8 and f['uint8'].shape == (0, 4)
assert f['bool'].dtype == np.bool_ and f['bool'].tolist() == [True, False, True]
assert f['layer.3/\u00e9'].tolist() == [255]
m = np.load('a.npy', mmap_mode='r')
assert m.shape == (3, 2) and m[2, 1] == 5.0
w = np.load('wide.npz')
assert (w['b'] == np.full(100, 2.5, np.float32)).all() and w['c'].tolist() == [1]
import zipfile
assert zipfile.ZipFile('a.npz').testzip() is None and zipfile.ZipFile('wide.npz').testzip() is None
)");
}

TEST_F(WithNumpy, WeReadNumpys) {
  expect_passes(R"(
np.savez('n.npz', f=np.arange(6, dtype=np.float32).reshape(2, 3), b=np.array([True, False]), s=np.int64(5))
np.savez_compressed('c.npz', f=np.zeros(100))
np.save('t.npy', np.asfortranarray(np.zeros((2, 3))))
)");
  const auto arrays = read_npz(folder_ / "n.npz");
  EXPECT_EQ(arrays.at("f").shape, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(arrays.at("f").values<float>(), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(arrays.at("b").values<bool>(), (std::vector<bool>{true, false}));
  EXPECT_TRUE(arrays.at("s").shape.empty());
  EXPECT_EQ(arrays.at("s").values<std::int64_t>(), std::vector<std::int64_t>{5});
  expect_mentions(error_of([&] { (void)read_npz(folder_ / "c.npz"); }), "numpy.savez");
  expect_mentions(error_of([&] { (void)read_npy(folder_ / "t.npy"); }), "Fortran");
}

}  // namespace
}  // namespace dhsa
