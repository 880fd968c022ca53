// At whatever call the disk fills or the process is killed: a file is the old one or the new one, and whole.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "core/files/atomic_write.h"
#include "core/files/leftovers.h"
#include "core/files/npy.h"
#include "core/files/safetensors.h"
#include "tests/support/expect_error.h"
#include "tests/support/faulty_disk.h"
#include "tests/support/scratch_folder.h"

namespace dhsa {
namespace {

namespace fs = std::filesystem;
using test::Fault;
using test::FaultyDisk;

struct Kind {
  const char* name;
  void (*write)(const fs::path& path, int value);
};

const Kind kKinds[] = {
    {"text", [](const fs::path& path, int value) { write_file(path, std::string(100'000, static_cast<char>(value))); }},
    {"safetensors",
     [](const fs::path& path, int value) {
       const std::vector<float> values(5000, static_cast<float>(value));
       const auto bytes = std::as_bytes(std::span(values));
       write_safetensors(path, {{"a", "F32", {50, 100}, bytes}, {"b", "F32", {5000}, bytes}});
     }},
    {"npz",
     [](const fs::path& path, int value) {
       const std::vector<float> values(5000, static_cast<float>(value));
       AtomicFile file(path);
       write_npz(file, {{"a", NpyArray::of<float>(values)}, {"b", NpyArray::of<float>(values, {50, 100})}});
       file.commit();
     }},
};

// In a process of its own: its exit code, or minus the signal that ended it. 2: refused as a full disk is.
int write_in_child(const Kind& kind, const fs::path& path, int value) {
  const pid_t child = fork();
  if (child == 0) {
    try {
      kind.write(path, value);
      _exit(0);
    } catch (const Error& error) {
      const std::string sentence = error.what();
      const bool says = sentence.find("No space left") != std::string::npos && sentence.ends_with('.') &&
                        sentence.find(path.string()) == 0;
      _exit(says ? 2 : 3);
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

class FaultyDiskTest : public testing::TestWithParam<Kind> {};
INSTANTIATE_TEST_SUITE_P(Files, FaultyDiskTest, testing::ValuesIn(kKinds),
                         [](const auto& tested) { return tested.param.name; });

TEST_P(FaultyDiskTest, FullAtAnyCallTheOldFileStaysAndNothingIsLeft) {
  const ScratchFolder folder;
  const fs::path path = folder / "file";
  GetParam().write(path, 1);
  const std::string old = read_file(path);
  GetParam().write(folder / "other", 2);
  const std::string next = read_file(folder / "other");
  int refused = 0;
  for (int at = 1;; ++at) {
    int code = 0;
    bool met = false;
    {
      const FaultyDisk disk(folder.path(), Fault::kFull, at);
      code = write_in_child(GetParam(), path, 2);
      met = disk.met();
    }
    if (!met) break;
    // Flushing the folder is the last call: the file has its name by then.
    const bool renamed = code == 0;
    EXPECT_TRUE(renamed || code == 2) << "call " << at << ": " << code;
    EXPECT_TRUE(read_file(path) == (renamed ? next : old)) << "call " << at;
    EXPECT_EQ(folder.entries(), 2U) << "call " << at;
    refused += renamed ? 0 : 1;
    GetParam().write(path, 1);
  }
  EXPECT_GE(refused, 4);  // creating, writing, flushing, renaming
}

TEST_P(FaultyDiskTest, KilledAtAnyCallTheFileIsTheOldOrTheNewOne) {
  const ScratchFolder folder;
  const fs::path path = folder / "file";
  GetParam().write(path, 1);
  const std::string old = read_file(path);
  GetParam().write(folder / "other", 2);
  const std::string next = read_file(folder / "other");
  int killed = 0;
  bool seen_old = false;
  bool seen_next = false;
  for (int at = 1;; ++at) {
    int code = 0;
    bool met = false;
    {
      const FaultyDisk disk(folder.path(), Fault::kKilled, at);
      code = write_in_child(GetParam(), path, 2);
      met = disk.met();
    }
    if (!met) break;
    EXPECT_EQ(code, -SIGKILL) << "call " << at;
    const std::string found = read_file(path);
    EXPECT_TRUE(found == old || found == next) << "call " << at;
    seen_old = seen_old || found == old;
    seen_next = seen_next || found == next;
    remove_leftovers(folder.path());
    EXPECT_EQ(folder.entries(), 2U) << "call " << at;
    ++killed;
    GetParam().write(path, 1);
  }
  EXPECT_GE(killed, 5);
  EXPECT_TRUE(seen_old && seen_next);
}

}  // namespace
}  // namespace dhsa
