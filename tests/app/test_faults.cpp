// The command where its process is killed or its disk is full: what it has written before is whole.
#include <gtest/gtest.h>

#include <algorithm>

#include "core/files/safetensors.h"
#include "tests/app/command.h"
#include "tests/support/faulty_disk.h"

namespace dhsa::test {
namespace {

namespace fs = std::filesystem;

struct Case {
  const char* name;
  const char* arguments;   // in a folder that holds note.txt
  const char* again = "";  // what goes on from what is there
  std::vector<int> calls;  // those that go wrong: each file is created, written, flushed, renamed, its folder flushed
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"Needle",
       "needle --lengths 96,128 --depths 1 --methods dense --seed 3 --json r.json --csv r.csv",
       " --resume",
       {2, 6, 7, 10, 16, 24}},
      {"Sweep",
       "sweep --lengths 96 --methods window-sinks --vary budget=48 --sink-tokens 4 --local-tokens 16 --query-block 32 "
       "--repeats 1 --json r.json --csv r.csv",
       " --resume",
       {6, 8, 13}},
      {"Suite",
       "needle --suite ruler --tasks niah_single_1 --lengths 384 --methods dense --json r.json --csv "
       "r.csv",
       " --resume",
       {6, 9, 17}},
      {"Arrays",
       "export mask note.txt --layer 3 --budget 96 --sink-tokens 16 --local-tokens 32 --query-block 32 "
       "--out r.npz",
       "",
       {2, 4}},
      {"Predictor",
       "train-predictor --text note.txt --out r.safetensors --sequences 2 --measure-every 1 --min-tokens 64 "
       "--max-tokens 64 --cuts 64 --batch 32 --hidden 8",
       "",
       {4, 11, 16}},
  };
  return all;
}

// Every file of ours can be read to its end.
void expect_whole(const Folder& folder) {
  for (const std::string& name : folder.names()) {
    const fs::path path = folder.path(name);
    if (name.starts_with(".dhsa-")) continue;  // of a process that was killed
    const std::string text = content(path);
    if (name.ends_with(".json")) {
      EXPECT_TRUE(nlohmann::json::accept(text)) << name << ": " << text;
    } else if (name.ends_with(".csv")) {
      EXPECT_TRUE(text.ends_with('\n')) << name << ": " << text;
    } else if (name.ends_with(".npz")) {
      // The directory of an archive is written last, and ends with this record.
      EXPECT_EQ(text.rfind("PK\x05\x06"), text.size() - 22) << name;
    } else if (name.find(".safetensors") != std::string::npos) {
      EXPECT_NO_THROW((void)SafetensorsFile::open(path)) << name;
    }
  }
}

bool holds_leftovers(const Folder& folder) {
  const auto names = folder.names();
  return std::any_of(names.begin(), names.end(), [](const std::string& name) { return name.starts_with(".dhsa-"); });
}

void write_note(const Folder& folder) {
  std::string text;
  for (int i = 0; i < 120; ++i) text += "On day " + std::to_string(i) + " the keeper wrote down what the sea brought. ";
  static_cast<void>(folder.write("note.txt", text));
}

class Faults : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Commands, Faults, testing::ValuesIn(cases()),
                         [](const auto& tested) { return tested.param.name; });

TEST_P(Faults, KilledAnywhereLeavesWholeFilesAndGoesOn) {
  const Folder folder;
  write_note(folder);
  const Case& tested = GetParam();
  for (const int at : tested.calls) {
    const FaultyDisk disk(folder.path(), Fault::kKilled, at);
    // It goes on from where the one before was killed, so that it may come to its end.
    const Outcome outcome = dhsa(std::string(tested.arguments) + tested.again, "", folder.path());
    EXPECT_EQ(outcome.code, disk.met() ? -1 : 0) << "call " << at << ": " << outcome.err;
    expect_whole(folder);
  }
  done(std::string(tested.arguments) + tested.again, "", folder.path());
  expect_whole(folder);
  if (*tested.again != '\0') {
    EXPECT_EQ(json_of(folder.path("r.json"))["finished"], true);
    EXPECT_FALSE(holds_leftovers(folder));
  }
}

TEST_P(Faults, AFullDiskIsOneSentenceAndLosesNothing) {
  const Folder folder;
  write_note(folder);
  const Case& tested = GetParam();
  bool any = false;
  for (const int at : tested.calls) {
    const FaultyDisk disk(folder.path(), Fault::kFull, at);
    const Outcome outcome = dhsa(std::string(tested.arguments) + tested.again, "", folder.path());
    any = any || outcome.code != 0;
    if (outcome.code != 0) {
      EXPECT_TRUE(disk.met());
      EXPECT_EQ(outcome.code, 2) << outcome.err;
      const std::string last = outcome.err.substr(outcome.err.rfind('\n', outcome.err.size() - 2) + 1);
      expect_said(last, {"dhsa: ", "r.", "No space left", "free some space"});
    }
    expect_whole(folder);
    EXPECT_FALSE(holds_leftovers(folder)) << "call " << at;
  }
  EXPECT_TRUE(any);
}

// A second process on the files of the first, while that is at work.
TEST(TwoPrograms, TheSecondOneSaysSo) {
  for (const char* const command :
       {"needle --lengths 256 --depths 2 --prompts 500 --methods dense --json r.json --csv r.csv --resume",
        "train-predictor --text note.txt --out r.safetensors --sequences 9999 --measure-every 1 --min-tokens 64 "
        "--max-tokens 64 --cuts 64 --hidden 8"}) {
    const Folder folder;
    write_note(folder);
    const std::string second = folder.path("second").string();
    const int code = interrupted(folder, command,
                                 "{ test -e r.csv || test -e r.safetensors.checkpoint; } && { '" DHSA_BINARY "' " +
                                     std::string(command) + " 2>'" + second + "'; echo $? >>'" + second + "'; true; }");
    EXPECT_EQ(code, 1) << content(folder.path("err"));  // cancelled, hence alone until then
    const std::string said = content(second);
    expect_said(said, {"dhsa: r.", ": another program (process ", "\n2\n"});
    EXPECT_FALSE(holds_leftovers(folder));
    expect_whole(folder);
  }
}

}  // namespace
}  // namespace dhsa::test
