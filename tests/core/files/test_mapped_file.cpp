// A file that is cut off or written to under its map.
#include "core/files/mapped_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <numeric>

#include "core/files/atomic_write.h"
#include "core/files/safetensors.h"
#include "tests/support/expect_error.h"
#include "tests/support/scratch_folder.h"

namespace dhsa {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBytes = 1'000'000;

int sum(std::span<const std::byte> bytes) {
  return std::accumulate(bytes.begin(), bytes.end(), 0,
                         [](int before, std::byte byte) { return before + std::to_integer<int>(byte); });
}

TEST(MappedFile, CutOffWhileItIsReadIsAnErrorAndNotTheEndOfTheProcess) {
  const ScratchFolder folder;
  // In whole pages, in the middle of the last one, to nothing.
  for (const std::size_t left : {std::size_t{4096}, kBytes - 1, std::size_t{0}}) {
    write_file(folder / "a", std::string(kBytes, '\1'));
    const MappedFile file(folder / "a");
    EXPECT_EQ(sum(file.bytes()), static_cast<int>(kBytes));
    file.check();
    fs::resize_file(folder / "a", left);
    EXPECT_LE(sum(file.bytes()), static_cast<int>(left));
    expect_mentions(error_of([&] { file.check(); }), "cut off or written to while it was read");
  }
}

TEST(MappedFile, GrownAgainOrWrittenOverIsAnErrorTooAndReplacedIsNot) {
  const ScratchFolder folder;
  write_file(folder / "a", std::string(kBytes, '\1'));
  const MappedFile file(folder / "a");
  fs::resize_file(folder / "a", 4096);
  EXPECT_EQ(sum(file.bytes()), 4096);
  fs::resize_file(folder / "a", kBytes);
  EXPECT_THROW(file.check(), Error);

  write_file(folder / "b", std::string(kBytes, '\1'));
  const MappedFile replaced(folder / "b");
  write_file(folder / "b", std::string(kBytes, '\2'));  // a new file of the name
  EXPECT_EQ(sum(replaced.bytes()), static_cast<int>(kBytes));
  replaced.check();
  const MappedFile next(folder / "b");
  const int descriptor = open((folder / "b").c_str(), O_WRONLY);
  ASSERT_EQ(pwrite(descriptor, "\3", 1, 500), 1);
  const timespec later[] = {{0, UTIME_OMIT}, {4'000'000'000, 0}};
  ASSERT_EQ(futimens(descriptor, later), 0);  // the clock of the file system may stand still
  close(descriptor);
  EXPECT_THROW(next.check(), Error);
}

TEST(MappedFile, TensorsOfAFileThatIsCutOffAreNotGiven) {
  const ScratchFolder folder;
  const std::vector<float> values(kBytes / 4, 1.0F);
  write_safetensors(folder / "a.safetensors", {{"a", "F32", {kBytes / 4}, std::as_bytes(std::span(values))}});
  const auto file = SafetensorsFile::open(folder / "a.safetensors");
  EXPECT_EQ(file->floats("a").size(), values.size());
  fs::resize_file(folder / "a.safetensors", 4096);
  expect_mentions(error_of([&] { (void)file->floats("a"); }), "a.safetensors: was cut off");
}

TEST(MappedFile, AsManyAsAreOpenAreToldApart) {
  const ScratchFolder folder;
  write_file(folder / "a", std::string(kBytes, '\1'));
  write_file(folder / "b", std::string(kBytes, '\1'));
  for (int i = 0; i < 2000; ++i) const MappedFile passing(folder / "a");  // their places are free again
  const MappedFile a(folder / "a");
  const MappedFile b(folder / "b");
  fs::resize_file(folder / "b", 0);
  EXPECT_EQ(sum(b.bytes()), 0);
  EXPECT_EQ(sum(a.bytes()), static_cast<int>(kBytes));
  EXPECT_NO_THROW(a.check());
  EXPECT_THROW(b.check(), Error);
}

TEST(MappedFileDeathTest, AFaultElsewhereStillEndsTheProcess) {
  const ScratchFolder folder;
  write_file(folder / "a", std::string(kBytes, '\1'));
  const auto read_beyond = [&] {
    const MappedFile watched(folder / "a");
    const int descriptor = open((folder / "a").c_str(), O_RDONLY);
    const auto* other = static_cast<const volatile char*>(mmap(nullptr, kBytes, PROT_READ, MAP_SHARED, descriptor, 0));
    fs::resize_file(folder / "a", 0);
    _exit(other[0]);
  };
  EXPECT_DEATH(read_beyond(), "");
}

}  // namespace
}  // namespace dhsa
