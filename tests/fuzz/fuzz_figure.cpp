// Descriptions of figures, and the files of bench, sweep, needle and longbench that figures are drawn from.
#include "core/figures/figure_data.h"
#include "core/figures/figure_spec.h"
#include "tests/fuzz/target.h"

namespace {

void describe(const std::string& raw) {
  const nlohmann::json json = nlohmann::json::parse(raw, nullptr, false);
  if (json.is_discarded()) return;
  dhsa::FigureSpec spec;
  dhsa::from_json(json, spec);
  dhsa::check_figure(spec);
  dhsa::FigureSpec again;
  dhsa::from_json(nlohmann::json(spec), again);
  dhsa::fuzz::require(again == spec, "what is written reads back equal");
}

void draw(const dhsa::FigureMaterial& material, dhsa::FigureKind kind) {
  dhsa::FigureSpec spec;
  spec.panels.push_back({kind});
  const dhsa::FigureData data = dhsa::make_figure_data(spec, material, false, {}, nullptr);
  for (const dhsa::FigurePanelData& panel : data.panels) {
    for (const dhsa::FigureSeries& series : panel.series) {
      dhsa::fuzz::require(series.x.size() == series.y.size(), "a curve has as many x as y");
      dhsa::fuzz::require(series.low.empty() || series.low.size() == series.x.size(), "a range for every point");
    }
    const auto& cells = panel.cells;
    dhsa::fuzz::require(cells.values.size() == cells.row_names.size() * cells.column_names.size(), "cells fill rows");
  }
  (void)dhsa::arrays_of(data);
  (void)dhsa::csv_of(data);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string raw = dhsa::fuzz::text_of(data, size);
  dhsa::fuzz::parses_or_refuses([&] { describe(raw); });
  dhsa::FigureMaterial material;
  dhsa::fuzz::parses_or_refuses([&] { material.files.push_back(dhsa::parse_figure_file(raw, "file")); });
  for (const dhsa::FigureKindInfo& kind : dhsa::figure_kinds()) {
    if (material.files.empty()) break;
    if (kind.from != dhsa::FigureKindInfo::From::kFile) continue;
    dhsa::fuzz::parses_or_refuses([&] { draw(material, kind.kind); });
  }
  return 0;
}
