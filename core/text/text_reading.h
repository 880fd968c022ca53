// How a person wants a text read: what --chat, --question-marks and --allow-long of the command, the window's dialog
// and the document of a session say.
#pragma once

#include <string>

namespace dhsa {

struct TextReading {
  bool allow_long = false;     // leave a text longer than the context whole
  std::string chat = "auto";   // auto, on, off: see ChatMode
  std::string question_marks;  // at commas, or none; empty: the usual ones

  [[nodiscard]] bool operator==(const TextReading&) const = default;
};
// Of a prompt that is ready for the model: whole, no turn of a chat around it.
[[nodiscard]] inline TextReading as_it_is() { return {.allow_long = true, .chat = "off", .question_marks = {}}; }

// Throws Error naming the word that says nothing.
void check_reading(const TextReading& reading);

}  // namespace dhsa
