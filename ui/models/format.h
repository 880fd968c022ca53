// Numbers as every table and panel of the window writes them.
#pragma once

#include <QString>

#include "core/run/measures.h"

namespace dhsa {

[[nodiscard]] QString formatPercent(double share, int decimals = 1);  // "93.4 %"; "–" for NaN
[[nodiscard]] QString formatBytes(qint64 bytes);                      // "412 MiB", "5.2 GiB"
[[nodiscard]] QString formatSeconds(double seconds);                  // "82 ms", "4.31 s", "2 min 05 s"
[[nodiscard]] QString formatReal(double value, int digits = 3);       // significant digits; "–" for NaN
[[nodiscard]] QString formatCount(qint64 count);                      // with the locale's thousands separator
[[nodiscard]] QString counted(qint64 count, const char* one, const char* several);  // "1 sample", "1,024 tokens"

// A measure's value with its unit: "93.4 %", and where it is sampled "≈ 93.4 ± 0.3 %", with one standard error where
// there is one.
[[nodiscard]] QString formatMeasured(const Measure& measure, const Measured& value);
// What a sampled value rests on, a sentence for tool tips; empty for exact ones.
[[nodiscard]] QString sampledNote(const Measure& measure, const Measured& value);
[[nodiscard]] QString measureHeading(const Measure& measure);  // of a narrow column: "Mass"
[[nodiscard]] QString measureLabel(const Measure& measure);    // "Retained mass"
[[nodiscard]] QString measureHelp(const Measure& measure);

}  // namespace dhsa
