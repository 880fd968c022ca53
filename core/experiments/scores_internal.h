// The parts that scores are made of.
#pragma once

#include <string>
#include <string_view>

namespace dhsa {

// F of ROUGE-L over sentences, as rouge 1.0.1 gives it with its defaults.
[[nodiscard]] double rouge_l(std::u32string_view prediction, std::u32string_view reference);
// ratio() of Python's difflib.SequenceMatcher(None, a, b).
[[nodiscard]] double sequence_ratio(std::u32string_view a, std::u32string_view b);

}  // namespace dhsa
