// Round tick values and number texts for axes and colour bars.
#pragma once

#include <QString>
#include <vector>

namespace dhsa {

// Multiples of 1, 2 or 5 times a power of ten inside [low, high], about `about` of them.
[[nodiscard]] std::vector<double> niceTicks(double low, double high, int about);
// The same for token indices: never closer than 1.
[[nodiscard]] std::vector<double> indexTicks(double low, double high, int about);
// Short text of a value: "0.25", "1e-5", "12 000".
[[nodiscard]] QString valueLabel(double value);
[[nodiscard]] QString indexLabel(double value);

}  // namespace dhsa
