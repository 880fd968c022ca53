// Figures as data: descriptions, masks as arrays, curves from files, and all files or none.
#include "core/figures/figure_data.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cmath>
#include <random>

#include "core/figures/sidecar.h"
#include "core/files/atomic_write.h"
#include "tests/core/run/tiny_model.h"
#include "tests/support/expect_error.h"
#include "tests/support/scratch_folder.h"

namespace dhsa {
namespace {

KeyMask random_mask(std::int64_t rows, std::int64_t block, int heads, std::int64_t window) {
  std::mt19937 random(5);
  const auto groups = fixed_groups(rows, block);
  KeyMask::Builder builder(groups, heads, window);
  for (int head = 0; head < heads; ++head) {
    for (std::size_t g = 0; g + 1 < groups.size(); ++g) {
      std::vector<KeyRange> ranges;
      for (int r = 0; r < 4; ++r) {
        const auto begin = static_cast<std::int32_t>(random() % static_cast<unsigned>(rows));
        ranges.push_back(
            {begin, std::min(begin + static_cast<std::int32_t>(random() % 9U) + 1, static_cast<std::int32_t>(rows))});
      }
      builder.add(ranges);
    }
  }
  return builder.finish();
}

TEST(FigureSpec, EveryOptionSurvivesJsonAndTheCommandLine) {
  FigureSpec spec;
  spec.panels = {parse_panel("mask@3"), parse_panel("dense@2.1"), parse_panel("head-mass")};
  for (const auto& option : figure_options()) {
    // Something other than the default.
    const OptionValue now = option.get(spec);
    switch (option.kind) {
      case OptionInfo::Kind::kFlag:
        option.set(spec, !std::get<bool>(now));
        break;
      case OptionInfo::Kind::kCount:
        option.set(spec, static_cast<std::int64_t>(option.minimum + 7) * (option.maximum > 100 ? 10 : 1));
        break;
      case OptionInfo::Kind::kReal:
        option.set(spec, option.minimum + (option.maximum - option.minimum) * 0.3);
        break;
      case OptionInfo::Kind::kChoice:
        option.set(
            spec, option.choices.back() == std::get<std::string>(now) ? option.choices.front() : option.choices.back());
        break;
      default:
        option.set(spec, std::string("Some Font"));
    }
    EXPECT_FALSE(option.get(spec) == now) << option.key;
  }
  const nlohmann::json json = spec;
  FigureSpec back;
  from_json(nlohmann::json::parse(json.dump()), back);
  EXPECT_EQ(back, spec);

  // What the command line would set from these arguments is the same again.
  FigureSpec from_arguments;
  from_arguments.panels = spec.panels;
  const auto arguments = arguments_of(spec);
  for (std::size_t a = 0; a < arguments.size(); ++a) {
    const std::string key = arguments[a].substr(2);
    if (key.starts_with("no-")) {
      figure_options().at(key.substr(3)).set(from_arguments, false);
    } else if (const auto& option = figure_options().at(key); option.kind == OptionInfo::Kind::kFlag) {
      option.set(from_arguments, true);
    } else {
      option.set(from_arguments, arguments[++a]);
    }
  }
  EXPECT_EQ(from_arguments, spec);
}

TEST(FigureSpec, RefusesWhatMakesNoSense) {
  const auto refused = [](const char* json, const char* part) {
    FigureSpec spec;
    const std::string sentence = error_of([&] {
      from_json(nlohmann::json::parse(json), spec);
      check_figure(spec);
    });
    expect_mentions(sentence, part);
  };
  refused(R"({"panels": []})", "no panel");
  refused(R"({"panels": ["cat"]})", "\"cat\"");
  refused(R"({"panels": ["mask@x"]})", "mask@x");
  refused(R"({"panels": ["mask"], "dpi": 1})", "dpi");
  refused(R"({"panels": ["mask"], "dpi": "big"})", "whole number");
  refused(R"({"panels": ["mask"], "map": "jet"})", "viridis");
  refused(R"({"panels": ["mask"], "colour": 1})", "colour");
  refused(R"({"panels": ["mask"], "row-begin": 5, "row-end": 5})", "row-end");
  refused(R"({"panels": ["mask"], "range": "manual", "low": 2, "high": 2})", "high");
  refused(R"({"panels": ["mask"], "columns": "one"})", "one column");
  refused(R"({"panels": ["mask"], "width": 0.1})", "narrow");
  refused(R"({"panels": ["mask"], "map": ["viridis"]})", "map");
}

TEST(FigureSpec, ATexPointIsLargerThanNothingAndSmallerThanAPdfPoint) {
  EXPECT_DOUBLE_EQ(pdf_points(72.27), 72.0);
  EXPECT_DOUBLE_EQ(pdf_points_of_inches(3.25), 234.0);
}

TEST(ShellLine, QuotesWhatAShellWouldReadOtherwise) {
  const std::vector<std::string> arguments = {"dhsa", "a b", "it's", "", "x=1,y@2.3", "$HOME"};
  EXPECT_EQ(shell_line(arguments), R"(dhsa 'a b' 'it'\''s' '' x=1,y@2.3 '$HOME')");
}

TEST(Differences, OfParametersAndBack) {
  SparsityParameters parameters;
  parameters.budget = 333;
  parameters.mass = 0.7;
  parameters.share_masks = true;
  parameters.method = Method::kBlockSparse;
  SparsityParameters back;
  apply_differences(back, differences_of(parameters, {}));
  EXPECT_EQ(back, parameters);
  expect_mentions(error_of([&] { apply_differences(back, "budget"); }), "parameter=value");
  expect_mentions(error_of([&] { apply_differences(back, "budget=many"); }), "budget");
}

TEST(MaskArrays, HoldEveryKeptPairAndNoOther) {
  for (const std::int64_t window : {0, 13}) {
    const KeyMask mask = random_mask(77, 10, 2, window);
    std::map<std::string, NpyArray> arrays;
    add_mask(mask, arrays);
    add_mask_bits(mask, arrays);
    const auto group_rows = arrays["group_rows"].values<std::int32_t>();
    const auto indptr = arrays["indptr"].values<std::int64_t>();
    const auto begin = arrays["begin"].values<std::int32_t>();
    const auto end = arrays["end"].values<std::int32_t>();
    const auto bits = arrays["kept_bits_little"].values<std::uint8_t>();
    EXPECT_EQ(arrays["window"].values<std::int64_t>()[0], window);
    EXPECT_TRUE(arrays["window"].shape.empty());
    EXPECT_EQ(arrays["kept_bits_little"].shape, (std::vector<std::int64_t>{2, 77, 10}));
    const std::size_t groups = group_rows.size() - 1;
    for (std::size_t head = 0; head < 2; ++head) {
      for (std::size_t g = 0; g < groups; ++g) {
        for (std::int64_t row = group_rows[g]; row < group_rows[g + 1]; ++row) {
          for (std::int64_t key = 0; key < 77; ++key) {
            bool in_range = false;
            for (auto r = static_cast<std::size_t>(indptr[head * groups + g]);
                 r < static_cast<std::size_t>(indptr[head * groups + g + 1]); ++r) {
              in_range = in_range || (begin[r] <= key && key < end[r]);
            }
            const bool expected = mask.kept(static_cast<int>(head), row, key);
            EXPECT_EQ(in_range && key <= row && (window == 0 || key > row - window), expected) << row << ' ' << key;
            const auto byte = (head * 77 + static_cast<std::size_t>(row)) * 10 + static_cast<std::size_t>(key) / 8;
            EXPECT_EQ((bits[byte] >> (key % 8) & 1) != 0, expected) << row << ' ' << key;
          }
        }
      }
    }
  }
  std::map<std::string, NpyArray> arrays;
  expect_mentions(error_of([&] { add_mask_bits(KeyMask::dense(65536), arrays); }), "512 MiB");
  EXPECT_TRUE(arrays.empty());
}

// A plan of one layer by hand: three chunks, two groups.
FigureMaterial material_of(const Document& document) {
  auto plan = std::make_shared<Plan>();
  plan->mask = random_mask(document.tokens(), 8, 1, 0);
  plan->trace.boundaries = {0, 3, 4, static_cast<std::int32_t>(document.tokens())};
  plan->trace.chunk_scores.assign(static_cast<std::size_t>(plan->mask.groups()) * 3, 1.5F);
  FigureMaterial material;
  material.document = &document;
  material.query_heads = 1;
  material.local = {false};
  material.layers.resize(1);
  material.layers[0].plan = std::move(plan);
  return material;
}

Document document_of(const std::string& text, std::int64_t tokens) {
  Document document;
  document.name = "test";
  document.text = text;
  const auto step = static_cast<std::int64_t>(text.size()) / tokens;
  for (std::int64_t t = 0; t < tokens; ++t) {
    document.encoding.ids.push_back(static_cast<std::int32_t>(t));
    document.encoding.spans.push_back({t * step, (t + 1) * step});
  }
  return document;
}

TEST(FigureData, BoundariesSayWhereTheyLieInTheText) {
  std::string text;
  for (int i = 0; i < 16; ++i) text += i % 2 == 0 ? "ab" : "\xc3\xa4";  // an umlaut of two bytes
  const Document document = document_of(text, 16);
  FigureSpec spec;
  spec.panels = {parse_panel("chunk-scores@0")};
  const FigureData data = make_figure_data(spec, material_of(document), true, {}, nullptr);
  auto arrays = arrays_of(data);
  EXPECT_EQ(arrays["boundaries"].values<std::int32_t>(), (std::vector<std::int32_t>{0, 3, 4, 16}));
  EXPECT_EQ(arrays["boundary_bytes"].values<std::int64_t>(), (std::vector<std::int64_t>{0, 6, 8, 32}));
  EXPECT_EQ(arrays["boundary_characters"].values<std::int64_t>(), (std::vector<std::int64_t>{0, 5, 6, 24}));
  EXPECT_EQ(arrays["chunk_scores"].shape, (std::vector<std::int64_t>{1, 2, 3}));
}

TEST(FigureData, PanelsThatDisagreeKeepTheirArraysApart) {
  const Document document = document_of(std::string(64, 'x'), 16);
  FigureMaterial material = material_of(document);
  material.layers.push_back(material.layers[0]);
  material.local = {false, false};
  FigureSpec spec;
  spec.panels = {parse_panel("mask@0"), parse_panel("chunk-scores@0")};
  EXPECT_TRUE(arrays_of(make_figure_data(spec, material, true, {}, nullptr)).contains("begin"));
  auto other = std::make_shared<Plan>(*material.layers[0].plan);
  other->mask = KeyMask::dense(16);
  material.layers[1].plan = other;
  spec.panels = {parse_panel("mask@0"), parse_panel("mask@1")};
  const auto arrays = arrays_of(make_figure_data(spec, material, true, {}, nullptr));
  EXPECT_FALSE(arrays.contains("begin"));
  EXPECT_EQ(arrays.at("b/group_rows").values<std::int32_t>(), (std::vector<std::int32_t>{0, 16}));
  spec.row_begin = 16;
  expect_mentions(error_of([&] { (void)make_figure_data(spec, material, true, {}, nullptr); }), "16 tokens");
  spec.row_begin = 0;
  spec.panels = {parse_panel("dense@0")};
  expect_mentions(error_of([&] { (void)make_figure_data(spec, material, true, {}, nullptr); }), "not kept");
}

// Numbers of some rows say so in the figure, its table and its arrays; exact ones have nothing beside them.
TEST(FigureData, SampledNumbersAreMarked) {
  Document document = document_of(std::string(280, 'x'), 140);
  document.encoding.ids = random_ids(140);
  const SparsityParameters parameters = small_choice(Method::kDhsa).parameters;
  FigureSpec spec;
  spec.panels = {parse_panel("head-mass"), parse_panel("importance@1")};
  const auto made = [&](std::int64_t rows) {
    spec.metrics_rows = rows;
    const FigureMaterial material =
        prefill_for_figure(*tiny_model(), document, parameters, parameters, nullptr, spec, {}, nullptr);
    return make_figure_data(spec, material, true, {}, nullptr);
  };
  const FigureData exact = made(1);
  EXPECT_EQ(exact.panels[0].value_title, "retained mass");
  EXPECT_TRUE(exact.panels[0].csv.starts_with("layer,head,local,retained_mass,output_error\n"));
  EXPECT_FALSE(exact.panels[0].arrays.contains("retained_mass_row_step"));
  EXPECT_TRUE(exact.panels[1].series[0].row_step.empty());
  EXPECT_EQ(table_of(exact).find("≈"), std::string::npos);

  FigureData some = made(7);
  FigurePanelData& cells = some.panels[0];
  EXPECT_EQ(cells.value_title, "≈ retained mass");
  EXPECT_TRUE(cells.csv.starts_with(
      "layer,head,local,retained_mass,retained_mass_standard_error,retained_mass_row_step,output_error,output_error_"
      "standard_error,output_error_row_step\n"));
  const auto mass = cells.arrays["retained_mass"].values<double>();
  const auto error = cells.arrays["retained_mass_standard_error"].values<double>();
  const auto truth = exact.panels[0].arrays.at("retained_mass").values<double>();
  ASSERT_EQ(mass.size(), truth.size());
  EXPECT_NE(mass, truth);
  const auto heads = static_cast<std::size_t>(tiny_model()->config().heads);
  for (std::size_t i = 0; i < mass.size(); ++i) {
    const bool whole = truth[i] == 1;  // a layer of which the mask keeps everything: exact without looking
    EXPECT_EQ(cells.arrays["retained_mass_row_step"].values<std::int64_t>()[i], whole ? 1 : 7) << i;
    EXPECT_EQ(error[i] > 0, !whole) << i;
    const nlohmann::json& facts = cells.facts["layers"][i / heads]["heads"][i % heads];
    EXPECT_EQ(facts["retained_mass"], mass[i]);
    if (!whole) {
      EXPECT_EQ(facts["standard_error"]["retained_mass"], error[i]);
    }
  }
  EXPECT_EQ(some.panels[1].series[0].row_step.front(), 7);
  EXPECT_TRUE(some.panels[1].series.back().row_step.empty());  // retention is counted, and always exact
  expect_mentions(some.panels[1].long_name, "≈");
  expect_mentions(some.panels[1].long_name, "one row in 7");
  some.panels.erase(some.panels.begin());
  expect_mentions(table_of(some), "≈ received_mass");
  expect_mentions(table_of(some), "received_mass_row_step\n7\n");
}

TEST(FigureData, ChunkLengthsAddUp) {
  const Document document = document_of(std::string(64, 'x'), 16);
  FigureSpec spec;
  spec.panels = {parse_panel("chunk-lengths@0")};
  const FigureData data = make_figure_data(spec, material_of(document), true, {}, nullptr);
  const FigureSeries& bars = data.panels[0].series[0];
  ASSERT_EQ(bars.x.size(), bars.y.size() + 1);
  double chunks = 0;
  for (std::size_t b = 0; b < bars.y.size(); ++b) {
    chunks += bars.y[b];
    for (const double length : {3.0, 1.0, 12.0}) {
      if (bars.x[b] <= length && length < bars.x[b + 1]) {
        EXPECT_GE(bars.y[b], 1) << length;
      }
    }
  }
  EXPECT_EQ(chunks, 3);
  EXPECT_EQ(data.panels[0].facts["longest"], 12);
}

TEST(FigureFiles, CurvesOfABenchmarkSortedWithTheirSpread) {
  const ScratchFolder folder;
  const auto path = (folder / "bench.json").string();
  write_file(path, R"({"kind": "dhsa-bench-prefill", "machine": {"processor": "p"}, "results": [
    {"method": "dense", "model": "demo", "tokens": 4096, "peak_bytes": 2147483648,
     "seconds": {"median": 4, "lowest": 3.5, "highest": 5}},
    {"method": "dense", "model": "demo", "tokens": 2048, "peak_bytes": 1073741824,
     "seconds": {"median": 1, "lowest": 0.9, "highest": 1.25}},
    {"method": "dhsa", "model": "demo", "tokens": 2048, "peak_bytes": 1073741824,
     "seconds": {"median": 0.5, "lowest": 0.5, "highest": 0.5}}]})");
  FigureMaterial material;
  material.files = {read_figure_file(path)};
  FigureSpec spec;
  spec.panels = {parse_panel("latency"), parse_panel("memory")};
  const FigureData data = make_figure_data(spec, material, false, {}, nullptr);
  const auto& latency = data.panels[0].series;
  ASSERT_EQ(latency.size(), 2U);
  EXPECT_EQ(latency[0].name, "dense");
  EXPECT_EQ(latency[0].x, (std::vector<double>{2048, 4096}));
  EXPECT_EQ(latency[0].y, (std::vector<double>{1, 4}));
  EXPECT_EQ(latency[0].low, (std::vector<double>{0.9, 3.5}));
  EXPECT_EQ(latency[0].high, (std::vector<double>{1.25, 5}));
  EXPECT_EQ(data.panels[1].series[0].y, (std::vector<double>{1, 2}));
  EXPECT_EQ(data.panels[0].csv,
            "series,tokens,seconds,lowest,highest\ndense,2048,1,0.9,1.25\ndense,4096,4,3.5,5\ndhsa,2048,0.5,0.5,0.5\n");

  for (const char* bad : {"", "[]", "{", R"({"kind": 3})"}) {
    write_file(path, bad);
    expect_mentions(error_of([&] { (void)read_figure_file(path); }), "bench.json");
  }
  for (const char* bad : {R"({"kind": "dhsa-bench-prefill"})", R"({"kind": "dhsa-bench-prefill", "results": [1]})",
                          R"({"kind": "dhsa-bench-prefill", "results": []})", R"({"kind": "other"})"}) {
    write_file(path, bad);
    material.files = {read_figure_file(path)};
    const std::string sentence = error_of([&] { (void)make_figure_data(spec, material, false, {}, nullptr); });
    EXPECT_FALSE(sentence.empty()) << bad;
  }
}

TEST(FigureFiles, AllOrNone) {
  const ScratchFolder folder;
  FigureFiles files;
  files.path = folder / "a.pdf";
  files.figure = "figure";
  files.json = "{}";
  files.csv = "x\n";
  const std::vector<float> values = {1, 2};
  files.arrays["v"] = NpyArray::of(std::span<const float>(values));
  write_figure_files(files);
  EXPECT_EQ(folder.entries(), 4U);
  EXPECT_EQ(read_file(folder / "a.pdf"), "figure");

  // A folder in the place of one of them: the others stay as they were.
  files.path = folder / "b.pdf";
  ASSERT_EQ(mkdir((folder / "b.json").c_str(), 0700), 0);
  expect_mentions(error_of([&] { write_figure_files(files); }), "b.json");
  EXPECT_EQ(folder.entries(), 5U);
}

}  // namespace
}  // namespace dhsa
