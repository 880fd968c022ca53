#include "core/verify/gemma2.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>

#include "core/analysis/metrics.h"
#include "core/files/safetensors.h"
#include "core/sparsity/planner.h"

namespace dhsa {
namespace {

class Comparison {
 public:
  void add(std::span<const float> ours, std::span<const float> expected) {
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const double difference = std::abs(static_cast<double>(ours[i]) - static_cast<double>(expected[i]));
      // Written so that a NaN counts as infinitely wrong.
      if (!(difference <= max_abs_)) max_abs_ = std::isnan(difference) ? INFINITY : difference;
      largest_ = std::max(largest_, std::abs(static_cast<double>(expected[i])));
    }
  }
  [[nodiscard]] TensorCheck check(std::string name, double tolerance) const {
    double relative = 0;
    if (max_abs_ > 0) relative = largest_ > 0 ? max_abs_ / largest_ : INFINITY;
    return {std::move(name), max_abs_, relative, relative <= tolerance};
  }

 private:
  double max_abs_ = 0;
  double largest_ = 0;
};

// "hidden.12" -> 12 for prefix "hidden."; nothing for other names.
std::optional<int> number_after(const std::string& prefix, const std::string& name) {
  if (!name.starts_with(prefix)) return {};
  int number = 0;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + prefix.size(), end, number);
  if (error != std::errc() || stop != end || number < 0) return {};
  return number;
}

// The expected tensors, checked against the model, and the comparisons made as the prefill passes by.
class Verifier : public PrefillObserver {
 public:
  Verifier(const SafetensorsFile& file, const Gemma2Config& config, double tolerance)
      : file_(file), config_(config), tolerance_(tolerance) {
    if (!file.contains("input_ids")) fail("has no tensor input_ids");
    ids_ = file.int32s("input_ids");
    if (ids_.empty()) fail("has no tokens in input_ids");
    positions_ = rows_named("positions", {});
    attention_rows_ = rows_named("attention_positions", positions_);
    const auto rows = static_cast<std::int64_t>(positions_.size());
    const auto attention_rows = static_cast<std::int64_t>(attention_rows_.size());
    for (const auto& [name, info] : file.tensors()) {
      if (const auto hidden_index = number_after("hidden.", name)) {
        expect_layer(name, *hidden_index, config.layers);
        expect_shape(name, {rows, config.hidden_size});
        hidden_[*hidden_index] = name;
      } else if (const auto layer = number_after("attention.", name)) {
        expect_layer(name, *layer, config.layers - 1);
        expect_shape(name, {config.heads, attention_rows, static_cast<std::int64_t>(ids_.size())});
        attention_[*layer] = name;
      }
    }
    if (file.contains("logits")) expect_shape("logits", {rows, config.vocab_size});
    if (hidden_.empty() && attention_.empty() && !file.contains("logits")) {
      fail("holds none of hidden.N, attention.N and logits, so there is nothing to compare");
    }
  }

  [[nodiscard]] const std::vector<std::int32_t>& ids() const { return ids_; }
  [[nodiscard]] std::vector<std::int32_t> logit_positions() const {
    if (!file_.contains("logits")) return {};
    return {positions_.begin(), positions_.end()};
  }

  [[nodiscard]] bool wants_hidden(int index) const override { return hidden_.contains(index); }
  void hidden(int index, const HeadsView& states) override {
    const std::vector<float> expected = file_.floats(hidden_.at(index));
    const auto width = static_cast<std::size_t>(states.dim);
    std::vector<float> row(width);
    Comparison comparison;
    for (std::size_t i = 0; i < positions_.size(); ++i) {
      states.load_row(0, positions_[i], row.data());
      comparison.add(row, std::span(expected).subspan(i * width, width));
    }
    hidden_checks_.push_back(comparison.check(hidden_.at(index), tolerance_));
  }

  [[nodiscard]] bool wants_attention(int layer) const override { return attention_.contains(layer); }
  void attended(const AttendedLayer& layer) override {
    const auto found = attention_.find(layer.layer.index);
    if (found == attention_.end()) return;
    const std::vector<float> expected = file_.floats(found->second);
    const std::size_t per_head = attention_rows_.size() * ids_.size();
    std::vector<float> ours(per_head);
    Comparison comparison;
    for (std::int64_t head = 0; head < config_.heads; ++head) {
      dense_rows(layer.q, layer.k, head, attention_rows_, layer.layer, ours.data());
      comparison.add(ours, std::span(expected).subspan(static_cast<std::size_t>(head) * per_head, per_head));
    }
    attention_checks_.push_back(comparison.check(found->second, tolerance_));
  }

  [[nodiscard]] std::vector<TensorCheck> finish(const PrefillResult& result) {
    std::vector<TensorCheck> checks = std::move(hidden_checks_);
    checks.insert(checks.end(), attention_checks_.begin(), attention_checks_.end());
    if (file_.contains("logits")) {
      Comparison comparison;
      comparison.add(result.logits, file_.floats("logits"));
      checks.push_back(comparison.check("logits", tolerance_));
    }
    return checks;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(fmt::format("{} {}.", file_.path().string(), what));
  }

  [[nodiscard]] std::vector<std::int64_t> rows_named(const std::string& name,
                                                     const std::vector<std::int64_t>& otherwise) const {
    std::vector<std::int64_t> rows = otherwise;
    if (file_.contains(name)) {
      const std::vector<std::int32_t> given = file_.int32s(name);
      rows.assign(given.begin(), given.end());
      if (rows.empty()) fail(fmt::format("has no rows in {}", name));
    } else if (rows.empty()) {
      rows.resize(ids_.size());
      std::iota(rows.begin(), rows.end(), 0);
    }
    for (const std::int64_t row : rows) {
      if (row < 0 || row >= static_cast<std::int64_t>(ids_.size())) {
        fail(fmt::format("asks in {} for row {} of {} tokens", name, row, ids_.size()));
      }
    }
    return rows;
  }

  void expect_layer(const std::string& name, int index, std::int64_t most) const {
    if (index > most) fail(fmt::format("has a tensor {} but the model has {} layers", name, config_.layers));
  }

  void expect_shape(const std::string& name, const std::vector<std::int64_t>& shape) const {
    if (file_.info(name).shape != shape) {
      fail(fmt::format("has {} of shape [{}] where this model gives [{}]", name,
                       fmt::join(file_.info(name).shape, ", "), fmt::join(shape, ", ")));
    }
  }

  const SafetensorsFile& file_;
  const Gemma2Config& config_;
  double tolerance_;
  std::vector<std::int32_t> ids_;
  std::vector<std::int64_t> positions_;
  std::vector<std::int64_t> attention_rows_;
  std::map<int, std::string> hidden_;  // by N
  std::map<int, std::string> attention_;
  std::vector<TensorCheck> hidden_checks_;
  std::vector<TensorCheck> attention_checks_;
};

}  // namespace

std::vector<TensorCheck> verify_gemma2(const std::filesystem::path& model_folder, const std::filesystem::path& expected,
                                       const VerifyGemma2Options& options) {
  const auto file = SafetensorsFile::open(expected);
  // Cheap checks first: a wrong file is reported before gigabytes are read.
  const Gemma2Config config = read_config(model_folder / "config.json");
  Verifier verifier(*file, config, options.tolerance);
  const auto model = Gemma2::load(model_folder, options.model, options.cancel);
  SparsityParameters parameters;
  parameters.method = Method::kDense;
  DocumentInfo document;
  document.tokens = static_cast<std::int64_t>(verifier.ids().size());
  const auto planner = make_planner(parameters, document);
  PrefillOptions prefill;
  prefill.observer = &verifier;
  prefill.cancel = options.cancel;
  prefill.logit_positions = verifier.logit_positions();
  const PrefillResult result = model->prefill(verifier.ids(), *planner, prefill);
  return verifier.finish(result);
}

}  // namespace dhsa
