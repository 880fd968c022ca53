// Figures as arrays and tables.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "core/figures/figure_data_internal.h"

namespace dhsa {

void add_array(FigurePanelData& data, const std::string& name, NpyArray array, const std::string& note) {
  data.arrays[name] = std::move(array);
  data.array_notes[name] = note;
}

void add_mask(const KeyMask& mask, std::map<std::string, NpyArray>& arrays) {
  const auto ranges = mask.all_ranges();
  std::vector<std::int32_t> begin(ranges.size());
  std::vector<std::int32_t> end(ranges.size());
  for (std::size_t r = 0; r < ranges.size(); ++r) {
    begin[r] = ranges[r].begin;
    end[r] = ranges[r].end;
  }
  arrays["group_rows"] = NpyArray::of(mask.group_rows());
  arrays["indptr"] = NpyArray::of(mask.indptr());
  arrays["begin"] = NpyArray::of(std::span<const std::int32_t>(begin));
  arrays["end"] = NpyArray::of(std::span<const std::int32_t>(end));
  const std::int64_t window = mask.window();
  NpyArray scalar = NpyArray::of(std::span(&window, 1));
  scalar.shape.clear();
  arrays["window"] = std::move(scalar);
}

void add_mask_bits(const KeyMask& mask, std::map<std::string, NpyArray>& arrays) {
  const std::int64_t row_bytes = (mask.rows() + 7) / 8;
  const std::int64_t bytes = mask.heads() * mask.rows() * row_bytes;
  if (bytes > kMostBitBytes) {
    throw Error(
        fmt::format("One bit for every pair of {} tokens takes {} MiB, more than the {} MiB allowed; the key "
                    "ranges say the same in less, leave --dense-bits out.",
                    mask.rows(), bytes >> 20U, kMostBitBytes >> 20U));
  }
  NpyArray bits;
  bits.descr = "|u1";
  bits.shape = {mask.heads(), mask.rows(), row_bytes};
  bits.bytes.resize(static_cast<std::size_t>(bytes));
  std::vector<KeyRange> ranges;
  std::byte* row_begin = bits.bytes.data();
  for (int head = 0; head < mask.heads(); ++head) {
    for (std::int64_t row = 0; row < mask.rows(); ++row, row_begin += row_bytes) {
      mask.row_ranges(head, row, ranges);
      for (const KeyRange& range : ranges) {
        for (std::int32_t key = range.begin; key < range.end; ++key) {
          row_begin[key / 8] |= std::byte{1} << (key % 8);
        }
      }
    }
  }
  arrays["kept_bits_little"] = std::move(bits);
}

void add_boundaries(const Plan& plan, const Document& document, FigurePanelData& data) {
  const auto& boundaries = plan.trace.boundaries;
  if (boundaries.size() < 2) return;
  std::vector<std::int64_t> bytes;
  std::vector<std::int64_t> characters_before;
  std::int64_t at = 0;
  std::int64_t seen = 0;
  for (const std::int32_t boundary : boundaries) {
    const auto token = static_cast<std::size_t>(boundary);
    const std::int64_t byte = token < document.encoding.spans.size() ? document.encoding.spans[token].begin
                                                                     : static_cast<std::int64_t>(document.text.size());
    seen += static_cast<std::int64_t>(characters(
        std::string_view(document.text).substr(static_cast<std::size_t>(at), static_cast<std::size_t>(byte - at))));
    at = byte;
    bytes.push_back(byte);
    characters_before.push_back(seen);
  }
  add_array(data, "boundaries", boundaries, {},
            "[N_c + 1] tokens at which chunks begin, and the number of tokens; chunk c is [boundaries[c], "
            "boundaries[c + 1])");
  add_array(data, "boundary_bytes", bytes, {}, "[N_c + 1] the same places as bytes of the text in UTF-8");
  add_array(data, "boundary_characters", characters_before, {}, "[N_c + 1] the same places as characters of the text");
  if (!plan.trace.boundary_scores.empty()) {
    add_array(data, "boundary_scores", plan.trace.boundary_scores, {},
              "[L] score of \"a chunk ends after this token\"; NaN where undefined");
  }
}

std::string panel_letter(std::size_t index) {
  std::string letters(1, static_cast<char>('a' + index % 26));
  if (index >= 26) letters = panel_letter(index / 26 - 1) + letters;
  return letters;
}

namespace {

// Whether panels that have an array of one name have the same one.
bool panels_agree(const FigureData& data) {
  std::map<std::string, const NpyArray*> seen;
  for (const FigurePanelData& panel : data.panels) {
    for (const auto& [name, array] : panel.arrays) {
      const auto [found, added] = seen.emplace(name, &array);
      if (added) continue;
      const NpyArray& other = *found->second;
      if (other.descr != array.descr || other.shape != array.shape || other.bytes != array.bytes) return false;
    }
  }
  return true;
}

}  // namespace

std::map<std::string, NpyArray> arrays_of(const FigureData& data) {
  std::map<std::string, NpyArray> arrays;
  const bool agree = panels_agree(data);
  for (std::size_t p = 0; p < data.panels.size(); ++p) {
    for (const auto& [name, array] : data.panels[p].arrays) {
      arrays.emplace(agree ? name : panel_letter(p) + "/" + name, array);
    }
  }
  return arrays;
}

nlohmann::json array_notes_of(const FigureData& data) {
  nlohmann::json notes = nlohmann::json::object();
  const bool agree = panels_agree(data);
  for (std::size_t p = 0; p < data.panels.size(); ++p) {
    for (const auto& [name, array] : data.panels[p].arrays) {
      notes[agree ? name : panel_letter(p) + "/" + name] = {
          {"dtype", array.descr}, {"shape", array.shape}, {"is", data.panels[p].array_notes.at(name)}};
    }
  }
  return notes;
}

std::string csv_of(const FigureData& data) {
  std::string all;
  for (std::size_t p = 0; p < data.panels.size(); ++p) {
    const std::string& csv = data.panels[p].csv;
    if (csv.empty()) continue;
    if (data.panels.size() > 1)
      all += fmt::format("{}# panel {}: {}\n", all.empty() ? "" : "\n", panel_letter(p), data.panels[p].long_name);
    all += csv;
  }
  return all;
}

namespace {

std::vector<std::string> texts_of(const NpyArray& array) {
  std::vector<std::string> texts;
  const auto add = [&](const auto& values) {
    for (const auto value : values) texts.push_back(fmt::format("{}", value));
  };
  if (array.descr == "<f4") add(array.values<float>());
  if (array.descr == "<f8") add(array.values<double>());
  if (array.descr == "<i4") add(array.values<std::int32_t>());
  if (array.descr == "<i8") add(array.values<std::int64_t>());
  if (array.descr == "|u1") add(array.values<std::uint8_t>());
  return texts;
}

std::size_t numbers_of(const NpyArray& array) {
  std::size_t count = 1;
  for (const std::int64_t length : array.shape) count *= static_cast<std::size_t>(length);
  return count;
}

}  // namespace

std::string table_of(const FigureData& data) {
  std::string text = csv_of(data);
  if (!text.empty()) return text;
  const auto arrays = arrays_of(data);
  std::size_t numbers = 0;
  for (const auto& [name, array] : arrays) numbers += numbers_of(array);
  if (numbers > kMostTableNumbers) {
    throw Error(
        fmt::format("These are {} numbers, more than the {} that can be copied; save the figure, its data lie "
                    "beside it as .npz.",
                    numbers, kMostTableNumbers));
  }
  const auto heading = [&](const std::string& name) { text += (text.empty() ? "" : "\n") + name + "\n"; };
  std::map<std::size_t, std::vector<std::string>> lists;  // names by length
  for (const auto& [name, array] : arrays) {
    if (array.shape.size() < 2) {
      lists[numbers_of(array)].push_back(name);
      continue;
    }
    heading(name);
    const auto texts = texts_of(array);
    const auto columns = static_cast<std::size_t>(array.shape.back());
    for (std::size_t i = 0; i < texts.size(); ++i) text += texts[i] + ((i + 1) % columns == 0 ? '\n' : '\t');
  }
  for (const auto& [length, names] : lists) {
    std::vector<std::string> titles;
    for (const std::string& name : names) {
      titles.push_back((arrays.contains(name + kRowStep) ? "≈ " : "") + name);
    }
    heading(fmt::format("{}", fmt::join(titles, "\t")));
    std::vector<std::vector<std::string>> columns;
    for (const std::string& name : names) columns.push_back(texts_of(arrays.at(name)));
    for (std::size_t row = 0; row < length; ++row) {
      for (std::size_t c = 0; c < columns.size(); ++c) text += (c > 0 ? "\t" : "") + columns[c][row];
      text += '\n';
    }
  }
  return text;
}

}  // namespace dhsa
