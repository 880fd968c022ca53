#include "core/files/csv.h"

#include <gtest/gtest.h>

namespace dhsa {
namespace {

TEST(Csv, QuotesWhatWouldPartARowAndDefusesFormulas) {
  EXPECT_EQ(csv_field("plain text"), "plain text");
  EXPECT_EQ(csv_field("a, \"b\""), "\"a, \"\"b\"\"\"");
  EXPECT_EQ(csv_field("two\r\nlines"), "\"two\r\nlines\"");
  EXPECT_EQ(csv_field("=SUM(A1), 2"), "\"'=SUM(A1), 2\"");
  EXPECT_EQ(csv_field("-3"), "'-3");
  EXPECT_EQ(csv_field(""), "");
}

}  // namespace
}  // namespace dhsa
