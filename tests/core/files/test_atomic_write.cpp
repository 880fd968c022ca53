#include "core/files/atomic_write.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <iostream>

#include "core/files/leftovers.h"
#include "tests/support/expect_error.h"
#include "tests/support/scratch_folder.h"

namespace dhsa {
namespace {

namespace fs = std::filesystem;

// For a death test's child: prints the Error of `work` and ends with 2, or with 0 if there was none.
template <class Work>
[[noreturn]] void end_with(Work work) {
  try {
    work();
  } catch (const Error& error) {
    std::cerr << error.what() << std::endl;
    _exit(2);
  }
  _exit(0);
}

TEST(AtomicFile, AppearsOnCommitOnly) {
  const ScratchFolder folder;
  AtomicFile file(folder / "a.txt");
  file.write("hello ");
  file.write(std::as_bytes(std::span("world", 5)));
  EXPECT_FALSE(fs::exists(folder / "a.txt"));
  file.commit();
  EXPECT_EQ(read_file(folder / "a.txt"), "hello world");
  EXPECT_EQ(folder.entries(), 1U);
  EXPECT_THROW(file.write("more"), Error);
  EXPECT_THROW(file.commit(), Error);
}

TEST(AtomicFile, WithoutCommitNothingIsLeftAndTheOldStays) {
  const ScratchFolder folder;
  write_file(folder / "a.txt", "old");
  {
    AtomicFile file(folder / "a.txt");
    file.write("new");
    EXPECT_EQ(read_file(folder / "a.txt"), "old");
  }
  EXPECT_EQ(read_file(folder / "a.txt"), "old");
  EXPECT_EQ(folder.entries(), 1U);
  write_file(folder / "a.txt", "new");
  EXPECT_EQ(read_file(folder / "a.txt"), "new");
}

TEST(AtomicFile, KeepsModeOfTheReplacedAndHonoursTheMaskOtherwise) {
  const ScratchFolder folder;
  const auto mode = [&] {
    struct stat found {};
    EXPECT_EQ(stat((folder / "a").c_str(), &found), 0);
    return found.st_mode & 0777U;
  };
  const mode_t before = umask(027);
  write_file(folder / "a", "1");
  umask(before);
  EXPECT_EQ(mode(), 0640U);
  ASSERT_EQ(chmod((folder / "a").c_str(), 0604), 0);
  write_file(folder / "a", "2");
  EXPECT_EQ(mode(), 0604U);
}

TEST(AtomicFile, LinkStaysALink) {
  const ScratchFolder folder;
  fs::create_directory(folder / "deep");
  write_file(folder / "deep/real", "old");
  fs::create_symlink("deep/real", folder / "link");
  write_file(folder / "link", "new");
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_EQ(read_file(folder / "deep/real"), "new");
}

TEST(AtomicFile, DeviceIsWrittenNotReplaced) {
  write_file("/dev/null", "gone");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  const std::string sentence = error_of([] { write_file("/dev/full", "x"); });
  expect_mentions(sentence, "/dev/full");
  expect_mentions(sentence, "No space left");
  expect_mentions(sentence, "free some space");
}

TEST(AtomicFile, MissingFolderAndFolderAsFile) {
  const ScratchFolder folder;
  const std::string missing = error_of([&] { AtomicFile file(folder / "no/a.txt"); });
  expect_mentions(missing, "no/a.txt");
  expect_mentions(missing, "No such file or directory");
  expect_mentions(error_of([&] { AtomicFile file(folder.path()); }), "directory");
  expect_mentions(error_of([&] { AtomicFile file(folder / "no/"); }), "directory");
  expect_mentions(error_of([&] { write_file("", "x"); }), "cannot be written");
  expect_mentions(error_of([&] { write_file(folder / std::string(300, 'n'), "x"); }), "shorter name");
  EXPECT_EQ(folder.entries(), 0U);
}

TEST(AtomicFileDeathTest, FolderThatMayNotBeWritten) {
  const ScratchFolder folder;
  write_file(folder / "a.txt", "old");
  fs::permissions(folder.path(),
                  fs::perms::owner_read | fs::perms::owner_exec | fs::perms::others_read | fs::perms::others_exec);
  const auto attempt = [&] {
    // The superuser may write anywhere.
    if (geteuid() == 0 && setuid(65534) != 0) _exit(3);
    end_with([&] { write_file(folder / "a.txt", "new"); });
  };
  EXPECT_EXIT(attempt(), testing::ExitedWithCode(2), "a.txt: cannot be created: .*may write");
  fs::permissions(folder.path(), fs::perms::owner_all);
  EXPECT_EQ(read_file(folder / "a.txt"), "old");
  EXPECT_EQ(folder.entries(), 1U);
}

TEST(AtomicFileDeathTest, FullDiskLeavesTheOldFileAndNoPart) {
  const ScratchFolder folder;
  write_file(folder / "a.txt", "old");
  const auto attempt = [&] {
    // A limit on file sizes fails in the middle of a write, as a full disk does.
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100000, 100000};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(3);
    end_with([&] { write_file(folder / "a.txt", std::string(300000, 'x')); });
  };
  EXPECT_EXIT(attempt(), testing::ExitedWithCode(2), "a.txt: cannot be written: File too large");
  EXPECT_EQ(read_file(folder / "a.txt"), "old");
  EXPECT_EQ(folder.entries(), 1U);
}

TEST(AtomicFileDeathTest, WhatAKilledProcessLeftGoesAndWhatIsBeingWrittenStays) {
  const ScratchFolder folder;
  const auto killed = [&] {
    AtomicFile half(folder / "a.txt");
    half.write("half");
    std::raise(SIGKILL);
  };
  EXPECT_EXIT(killed(), testing::KilledBySignal(SIGKILL), "");
  write_file(folder / ".dhsa-mine.txt", "not one of them");
  AtomicFile file(folder / "b.txt");
  file.write("b");
  ASSERT_EQ(folder.entries(), 3U);
  remove_leftovers(folder.path());
  EXPECT_EQ(folder.entries(), 2U);
  file.commit();
  EXPECT_EQ(read_file(folder / "b.txt"), "b");
  EXPECT_EQ(read_file(folder / ".dhsa-mine.txt"), "not one of them");
}

TEST(ReadFile, WholeFileOrError) {
  const ScratchFolder folder;
  std::string text(200001, 'x');
  text[70000] = '\0';
  write_file(folder / "a", text);
  EXPECT_EQ(read_file(folder / "a"), text);
  EXPECT_EQ(read_file(folder / "a", text.size()), text);
  expect_mentions(error_of([&] { (void)read_file(folder / "a", text.size() - 1); }), "larger than 200000 bytes");
  expect_mentions(error_of([&] { (void)read_file(folder / "b"); }), "No such file");
  expect_mentions(error_of([&] { (void)read_file(folder.path()); }), "is a folder");
  // Its size is said to be 0, and it is read all the same.
  EXPECT_FALSE(read_file("/proc/self/status").empty());
  expect_mentions(error_of([&] { (void)read_file("/dev/zero", 1000); }), "larger than 1000 bytes");
}

}  // namespace
}  // namespace dhsa
