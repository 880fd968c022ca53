// dhsa verify scores and dhsa longbench as a person meets them.
#include <gtest/gtest.h>

#include "tests/app/command.h"

namespace dhsa::test {
namespace {

const std::string kCases = DHSA_FIXTURES "/scores/";

TEST(VerifyScores, ZeroWhereAllAgreeAndOneWhereOneDiffers) {
  const Outcome fine = dhsa("verify scores --cases '" + kCases + "longbench_metric_cases.json'");
  EXPECT_EQ(fine.code, 0) << fine.err;
  EXPECT_NE(fine.out.find("All 147 scores agree"), std::string::npos) << fine.out;

  const Folder folder;
  nlohmann::json cases = json_of(kCases + "ruler_metric_cases.json");
  cases[2]["score"] = 2e-6;
  const std::string changed = folder.write("cases.json", cases.dump());
  const std::string json = folder.path("scores.json").string();
  const Outcome wrong = dhsa("verify scores --cases '" + changed + "' --json '" + json + "'");
  EXPECT_EQ(wrong.code, 1) << wrong.err;
  EXPECT_NE(wrong.out.find("1 of 26 scores differ"), std::string::npos) << wrong.out;
  EXPECT_NE(wrong.out.find("niah_single_1, case 3"), std::string::npos) << wrong.out;
  EXPECT_EQ(json_of(json)["passed"], false);
  EXPECT_EQ(json_of(json)["scores"].size(), 26U);
}

TEST(VerifyScores, OtherFilesAreRefused) {
  const Folder folder;
  EXPECT_REFUSED(dhsa("verify scores --cases /nowhere.json"), "/nowhere.json");
  EXPECT_REFUSED(dhsa("verify scores --cases '" + folder.write("a.json", "[]") + "'"), "no case");
  EXPECT_REFUSED(dhsa("verify scores --cases '" + folder.write("b.json", R"([{"dataset":"squad"}])") + "'"),
                 "no LongBench task");
}

}  // namespace
}  // namespace dhsa::test
