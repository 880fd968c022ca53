#include "core/files/file_lock.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <optional>

#include "core/files/atomic_write.h"
#include "core/files/leftovers.h"
#include "tests/support/expect_error.h"
#include "tests/support/scratch_folder.h"

namespace dhsa {
namespace {

namespace fs = std::filesystem;

TEST(FileLock, TheSecondHolderIsToldWhoTheFirstIs) {
  const ScratchFolder folder;
  write_file(folder / "results.json", "{}");
  fs::create_symlink("results.json", folder / "link.json");
  fs::create_directory(folder / "sub");
  std::optional<FileLock> first(std::in_place, folder / "results.json");
  const std::string process = "process " + std::to_string(getpid());
  for (const char* name : {"results.json", "link.json", "sub/../results.json"}) {
    const std::string sentence = error_of([&] { const FileLock second(folder / name); });
    expect_mentions(sentence, "another program");
    expect_mentions(sentence, process);
  }
  const FileLock other(folder / "other.json");
  remove_leftovers(folder.path());  // takes no lock away that is held
  EXPECT_THROW(FileLock(folder / "results.json"), Error);
  first.reset();
  const FileLock next(folder / "results.json");
}

TEST(FileLock, LeavesNothingBehind) {
  const ScratchFolder folder;
  {
    FileLock one(folder / "a");
    FileLock two = std::move(one);
    EXPECT_THROW(FileLock(folder / "a"), Error);
    FileLock three;
    three = std::move(two);
    EXPECT_THROW(FileLock(folder / "a"), Error);
    const FileLock long_name(folder / std::string(250, 'n'));
    EXPECT_EQ(folder.entries(), 2U);
  }
  EXPECT_EQ(folder.entries(), 0U);
  const FileLock null("/dev/null");
  const FileLock again("/dev/null");
  const FileLock nowhere(folder / "no/such/folder");
}

TEST(FileLock, AnotherProcessHoldsItUntilItIsKilled) {
  const ScratchFolder folder;
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const FileLock held(folder / "a");
    (void)!write(ready[1], "x", 1);
    pause();
    _exit(0);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  expect_mentions(error_of([&] { const FileLock second(folder / "a"); }), "process " + std::to_string(child));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_EQ(folder.entries(), 1U);
  {
    const FileLock taken_over(folder / "a");
    expect_mentions(error_of([&] { const FileLock second(folder / "a"); }), "process " + std::to_string(getpid()));
  }
  EXPECT_EQ(folder.entries(), 0U);
  close(ready[0]);
  close(ready[1]);
}

}  // namespace
}  // namespace dhsa
