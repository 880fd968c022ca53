#include <fmt/format.h>

#include "core/experiments/experiment_internal.h"
#include "core/run/provenance.h"
#include "core/sparsity/boundary_predictor.h"

namespace dhsa {

std::string identity_of(const Gemma2& model, const BoundaryPredictor* predictor) {
  const DType type = model.options().compute;
  std::string identity = model.fingerprint();
  if (type != DType::kFloat32) identity += fmt::format(" {}", name_of(type));
  if (predictor != nullptr) identity += " predictor:" + predictor->fingerprint();
  return identity;
}

void require_memory(const Gemma2& model, std::int64_t tokens, const PrefillOptions& options, const char* what) {
  const PrefillEstimate need = model.estimate(tokens, options);
  require(need.activations <= need.available,
          fmt::format("{} of {} tokens does not fit into the free memory; the longest that does has {}.", what, tokens,
                      need.longest));
}

void check_lengths(const std::vector<std::int64_t>& lengths, std::int64_t least) {
  constexpr std::int64_t kLongest = std::int64_t{1} << 24;
  require(!lengths.empty() && lengths.size() <= 64, fmt::format("Give 1 to 64 lengths, not {}.", lengths.size()));
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    require(lengths[i] >= least && lengths[i] <= kLongest,
            fmt::format("A length cannot be {}; give {} to {} tokens.", lengths[i], least, kLongest));
    require(i == 0 || lengths[i] > lengths[i - 1], "Lengths must ascend, each given once.");
  }
}

Values weighed(const Values& values, double weight) {
  Values all;
  for (auto [key, measured] : values.entries()) {
    measured.weight = weight;
    all.set(key, measured);
  }
  return all;
}

void check_method(const std::string& name, const SparsityParameters& parameters, const DocumentInfo& document,
                  const std::shared_ptr<const BoundaryPredictor>& predictor) {
  try {
    check_parameters(parameters);
    static_cast<void>(make_planner(parameters, document, predictor));
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", name, error.what()));
  }
}

}  // namespace dhsa
