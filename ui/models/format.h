// Numbers as every table and panel of the window writes them.
#pragma once

#include <QString>

namespace dhsa {

[[nodiscard]] QString formatPercent(double share, int decimals = 1);     // "93.4 %"; "–" for NaN
[[nodiscard]] QString formatBytes(qint64 bytes);                         // "412 MiB", "5.2 GiB"
[[nodiscard]] QString formatSeconds(double seconds);                     // "82 ms", "4.31 s", "2 min 05 s"
[[nodiscard]] QString formatReal(double value, int digits = 3);          // significant digits; "–" for NaN
[[nodiscard]] QString formatSampled(const QString& text, bool sampled);  // "≈ 93.4 %" where it rests on some rows only
[[nodiscard]] QString formatCount(qint64 count);                         // with the locale's thousands separator

}  // namespace dhsa
