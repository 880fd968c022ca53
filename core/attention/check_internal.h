// What every implementation of attend() asks of its arguments.
#pragma once

#include "core/attention/attend.h"

namespace dhsa {

// Throws Error naming the argument that does not fit.
void check_attend_arguments(const HeadsView& q, const HeadsView& k, const HeadsView& v, const KeyMask& mask,
                            const ScoreRule& rule, const MutableHeadsView& out);

}  // namespace dhsa
