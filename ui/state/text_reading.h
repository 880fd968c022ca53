// How a text is read: what the command's --chat, --question-marks and --allow-long say.
#pragma once

#include <string>

namespace dhsa {

struct TextReading {
  bool allowLong = false;
  std::string chat = "auto";  // auto, on, off
  std::string questionMarks;  // at commas, or none; empty: the usual ones

  [[nodiscard]] bool operator==(const TextReading&) const = default;
};

}  // namespace dhsa
