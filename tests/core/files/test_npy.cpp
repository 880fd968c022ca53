// What is written is read by NumPy itself; nothing in the program reads arrays.
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

std::map<std::string, NpyArray> all_kinds() {
  NpyArray scalar = array_of<double>({-0.5});
  scalar.shape.clear();
  return {{"float32", array_of<float>({1.5F, -0.0F, INFINITY, 3.0F, 4.0F, 5.0F}, {3, 2})},
          {"float64", scalar},
          {"int32", array_of<std::int32_t>({std::numeric_limits<std::int32_t>::min(), 7})},
          {"int64", array_of<std::int64_t>({std::numeric_limits<std::int64_t>::max()}, {1, 1, 1})},
          {"uint8", array_of<std::uint8_t>({}, {0, 4})},
          {"layer.3/\xC3\xA9", array_of<std::uint8_t>({255})}};
}

void write(const fs::path& path, const std::map<std::string, NpyArray>& arrays) {
  AtomicFile file(path);
  write_npz(file, arrays);
  file.commit();
}

void write(const fs::path& path, const std::vector<ZipEntry>& entries, std::uint64_t zip64_from) {
  AtomicFile file(path);
  write_stored_zip(file, entries, zip64_from);
  file.commit();
}

TEST(Npy, ValuesAreOfTheirTypeAndShape) {
  EXPECT_EQ(all_kinds().at("float64").values<double>(), std::vector<double>{-0.5});
  EXPECT_EQ(array_of<float>({1, 2, 3}).shape, std::vector<std::int64_t>{3});
  expect_mentions(error_of([] { (void)all_kinds().at("int32").values<float>(); }), "<f4");
  expect_mentions(error_of([] { (void)array_of<float>({1, 2, 3}, {2, 2}); }), "12 bytes");
}

TEST(Npy, DataIsAlignedAndTheHeaderEndsItsLine) {
  const ScratchFolder folder;
  for (std::int64_t extent = 1; extent <= 1000000000; extent *= 10) {
    write(folder / "x.npz", {{"x", array_of<std::uint8_t>({}, {0, extent, extent})}});
    const std::string bytes = read_file(folder / "x.npz");
    const std::size_t begin = bytes.find("\x93NUMPY");
    const std::size_t end = bytes.find("PK\1\2", begin);  // the directory follows: there are no data
    EXPECT_EQ((end - begin) % 64, 0U);
    EXPECT_EQ(bytes[end - 1], '\n');
  }
}

TEST(Npz, SameBytesEveryTime) {
  const ScratchFolder folder;
  write(folder / "a.npz", all_kinds());
  write(folder / "b.npz", all_kinds());
  EXPECT_EQ(read_file(folder / "a.npz"), read_file(folder / "b.npz"));
}

TEST(Npz, CrcIsTheStandardOne) {
  const ScratchFolder folder;
  const std::string digits = "123456789";
  // In two parts, as an array's header and data are.
  write(folder / "x.zip", {{"n", {bytes_of(digits).first(4), bytes_of(digits).subspan(4)}}}, 1U << 31U);
  std::uint32_t crc = 0;
  std::memcpy(&crc, read_file(folder / "x.zip").data() + 14, 4);
  EXPECT_EQ(crc, 0xCBF43926U);  // the check value of CRC-32
}

TEST(Npz, Faults) {
  const ScratchFolder folder;
  expect_mentions(error_of([&] { write(folder / "y.npz", {{"", array_of<float>({})}}); }), "no name");
  expect_mentions(error_of([&] {
                    write(folder / "y.npz", {{std::string(70000, 'n'), array_of<float>({})}});
                  }),
                  "65530");
  EXPECT_FALSE(fs::exists(folder / "y.npz"));
}

TEST(Npz, NumpyReadsIt) {
  // The distribution's package belongs to its own interpreter, which need not be the first on the path.
  std::string python;
  for (const char* name : {"python3", "/usr/bin/python3"}) {
    if (std::system((std::string(name) + " -c 'import numpy' 2>/dev/null").c_str()) == 0) python = name;
  }
  if (python.empty()) GTEST_SKIP() << "python3-numpy is not installed";
  const ScratchFolder folder;
  write(folder / "a.npz", all_kinds());
  // As entries of more than 4 GiB and more of them than 16 bits count would be written, with the limit of bytes
  // lowered.
  const std::string whole = read_file(folder / "a.npz");
  const std::string small = "small";
  write(folder / "wide.zip", {{"a", {bytes_of(small)}}, {"b", {bytes_of(whole)}}, {"c", {bytes_of(small)}}}, 300);
  EXPECT_NE(read_file(folder / "wide.zip").find(std::string("PK\6\6", 4)), std::string::npos);
  std::vector<ZipEntry> many(65600);
  for (std::size_t i = 0; i < many.size(); ++i) many[i].name = std::to_string(i);
  write(folder / "many.zip", many, 1U << 31U);
  write_file(folder / "script.py", R"(
import io, zipfile
import numpy as np
f = np.load('a.npz')
assert sorted(f.files) == sorted(['float32', 'float64', 'int32', 'int64', 'uint8', 'layer.3/\u00e9']), f.files
assert f['float32'].dtype == np.float32
assert f['float32'].tolist() == [[1.5, -0.0], [np.inf, 3.0], [4.0, 5.0]]
assert f['float64'].shape == () and f['float64'] == -0.5 and f['float64'].dtype == np.float64
assert f['int32'].dtype == np.int32 and f['int32'].tolist() == [-2147483648, 7]
assert f['int64'].dtype == np.int64 and f['int64'].tolist() == [[[9223372036854775807]]]
assert f['uint8'].dtype == np.uint8 and f['uint8'].shape == (0, 4)
assert f['layer.3/\u00e9'].tolist() == [255]
wide = zipfile.ZipFile('wide.zip')
assert wide.read('a') == wide.read('c') == b'small'
assert np.load(io.BytesIO(wide.read('b')))['int32'].tolist() == [-2147483648, 7]
many = zipfile.ZipFile('many.zip')
assert many.namelist() == [str(i) for i in range(65600)]
for file in (zipfile.ZipFile('a.npz'), wide, many):
    assert file.testzip() is None
)");
  const std::string command = "cd '" + folder.path().string() + "' && " + python + " script.py";
  EXPECT_EQ(std::system(command.c_str()), 0);
}

}  // namespace
}  // namespace dhsa
