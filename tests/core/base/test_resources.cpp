#include "core/base/resources.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "core/base/error.h"

namespace {

class Resources : public testing::Test {
 protected:
  void SetUp() override { unsetenv("DHSA_RESOURCES"); }
  void TearDown() override { unsetenv("DHSA_RESOURCES"); }
};

TEST_F(Resources, AreFoundAboveTheBuildFolder) {
  EXPECT_TRUE(std::filesystem::equivalent(dhsa::resource_path("models/demo/config.json"),
                                          std::filesystem::path(DHSA_RESOURCES) / "models/demo/config.json"));
}

TEST_F(Resources, EnvironmentDecidesAlone) {
  setenv("DHSA_RESOURCES", DHSA_FIXTURES, 1);
  EXPECT_EQ(dhsa::resource_path("gemma2_tiny_a"), std::filesystem::path(DHSA_FIXTURES) / "gemma2_tiny_a");
  EXPECT_THROW((void)dhsa::resource_path("models/demo"), dhsa::Error);
}

TEST_F(Resources, MissingOneIsNamed) {
  try {
    (void)dhsa::resource_path("models/nowhere");
    FAIL() << "found a folder that is not there";
  } catch (const dhsa::Error& error) {
    EXPECT_NE(std::string(error.what()).find("models/nowhere"), std::string::npos);
  }
}

}  // namespace
