#pragma once

#include <gtest/gtest.h>

#include <string>

#include "core/base/error.h"

namespace dhsa {

// The sentence of the Error that `work` throws; fails the test if it throws none.
template <class Work>
std::string error_of(Work work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "no error was thrown";
  return {};
}

inline void expect_mentions(const std::string& sentence, const std::string& part) {
  EXPECT_NE(sentence.find(part), std::string::npos) << "in: " << sentence << "\nmissing: " << part;
}

}  // namespace dhsa
