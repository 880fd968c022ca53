#include "ui/views/matrix_picture.h"

#include <algorithm>
#include <cmath>

#include "ui/plot/axis_ticks.h"

namespace dhsa {

namespace {

constexpr int kWhole = 384;  // pixels per side of the sampling that ranges are read from

constexpr std::int64_t kManyRanges = 200'000;  // more than these are compared off the window's thread

std::int64_t rangesOf(const MatrixSource& source) {
  const KeyMask& mask = *source.mask();
  const auto list = static_cast<std::size_t>(source.mask_head() * mask.groups());
  return mask.indptr()[list + static_cast<std::size_t>(mask.groups())] - mask.indptr()[list];
}

// One list of a mask as a mask of its own, so that lists of different masks can be compared. `spelled`: the window
// becomes part of the ranges, row by row.
KeyMask listOf(const MatrixSource& source, bool spelled) {
  const KeyMask& mask = *source.mask();
  const int head = source.mask_head();
  if (!spelled || mask.window() == 0) {
    if (mask.heads() == 1) return mask;
    KeyMask::Builder builder({mask.group_rows().begin(), mask.group_rows().end()}, 1, mask.window());
    for (std::int64_t g = 0; g < mask.groups(); ++g) {
      const auto ranges = mask.ranges(head, g);
      builder.add({ranges.begin(), ranges.end()});
    }
    return builder.finish();
  }
  KeyMask::Builder builder(fixed_groups(mask.rows(), 1), 1, 0);
  std::vector<KeyRange> ranges;
  for (std::int64_t row = 0; row < mask.rows(); ++row) {
    mask.row_ranges(head, row, ranges);
    builder.add(ranges);
  }
  return builder.finish();
}

bool bothMasks(const std::array<MatrixLayer, 2>& layers) {
  const auto& a = layers[0].source;
  const auto& b = layers[1].source;
  return a && b && a->mask() != nullptr && b->mask() != nullptr && a->tokens() == b->tokens();
}

// Set operations on the pairs themselves, so that what differs shows at any zoom however little it is.
MatrixPicture::Sets setsOf(const std::array<MatrixLayer, 2>& layers) {
  const MatrixSource& a = *layers[0].source;
  const MatrixSource& b = *layers[1].source;
  const bool spelled = a.mask()->window() != b.mask()->window();
  const KeyMask one = listOf(a, spelled);
  const KeyMask other = listOf(b, spelled);
  const auto source = [](KeyMask mask) {
    return std::make_shared<const MaskSource>(std::make_shared<const KeyMask>(std::move(mask)));
  };
  return {source(one.intersected(other)), source(one.subtracted(other)), source(other.subtracted(one))};
}

bool comparesPairs(CompareMode mode) { return mode == CompareMode::Composite || mode == CompareMode::Difference; }

std::size_t at(int side) { return static_cast<std::size_t>(side); }

}  // namespace

QString compareModeName(CompareMode mode) {
  const auto tr = [](const char* text) { return QCoreApplication::translate("MatrixPicture", text); };
  switch (mode) {
    case CompareMode::A:
      return tr(QT_TRANSLATE_NOOP("MatrixPicture", "A"));
    case CompareMode::B:
      return tr(QT_TRANSLATE_NOOP("MatrixPicture", "B"));
    case CompareMode::SideBySide:
      return tr(QT_TRANSLATE_NOOP("MatrixPicture", "Side by side"));
    case CompareMode::Split:
      return tr(QT_TRANSLATE_NOOP("MatrixPicture", "Split line"));
    case CompareMode::Composite:
      return tr(QT_TRANSLATE_NOOP("MatrixPicture", "Composite"));
    case CompareMode::Difference:
      return tr(QT_TRANSLATE_NOOP("MatrixPicture", "A − B"));
  }
  return {};
}

void MatrixPicture::setLayers(MatrixLayer a, MatrixLayer b) {
  // The same matrices under other titles: what was made of them stays.
  const bool same = layer(0).source == a.source && layer(1).source == b.source;
  m_sources.layers = {std::move(a), std::move(b)};
  if (same) return;
  m_sources.sets.reset();
  m_setGrids = {};
  m_wholeSkip = -1;
  m_grids = {};
}

std::int64_t MatrixPicture::tokens() const {
  for (const MatrixLayer& side : m_sources.layers)
    if (side.source) return side.source->tokens();
  return 0;
}

CompareMode MatrixPicture::effectiveMode(CompareMode wanted) const {
  const bool a = layer(0).source != nullptr;
  const bool b = layer(1).source != nullptr && (!a || layer(1).source->tokens() == layer(0).source->tokens());
  if (a && b) return wanted;
  const bool places = wanted == CompareMode::SideBySide || wanted == CompareMode::Split;
  if (places && (a || b) && layer(a ? 1 : 0).pending) return wanted;
  return b ? CompareMode::B : CompareMode::A;
}

bool MatrixPicture::usesSide(CompareMode mode, int side) {
  return mode == CompareMode::A ? side == 0 : mode == CompareMode::B ? side == 1 : true;
}

void MatrixPicture::sampleSets(const Viewport& view, QSize device, const SampleOptions& options) {
  m_setGrids = {};
  if (!bothMasks(m_sources.layers)) return;
  if (!m_sources.sets) {
    // Many ranges take their time: value by value until refined() has the sets.
    if (rangesOf(*m_sources.layers[0].source) + rangesOf(*m_sources.layers[1].source) > kManyRanges) return;
    m_sources.sets = setsOf(m_sources.layers);
  }
  for (std::size_t set = 0; set < m_setGrids.size(); ++set)
    (*m_sources.sets)[set]->sample(view, device.width(), device.height(), options, m_setGrids[set]);
}

void MatrixPicture::sample(const Viewport& view, QSize device, std::int64_t skipKeys, CompareMode mode) {
  m_skipKeys = skipKeys;
  const SampleOptions options{.skip_keys = skipKeys};
  for (const int side : {0, 1})
    if (layer(side).source && usesSide(mode, side))
      layer(side).source->sample(view, device.width(), device.height(), options, m_grids[at(side)]);
  if (comparesPairs(mode)) sampleSets(view, device, options);
}

bool MatrixPicture::refines(const Viewport& view, QSize device, CompareMode mode) const {
  const auto more = [&](const MatrixSource& source) { return source.refines(view, device.width(), device.height()); };
  for (const int side : {0, 1})
    if (layer(side).source && usesSide(mode, side) && more(*layer(side).source)) return true;
  if (!comparesPairs(mode) || !bothMasks(m_sources.layers)) return false;
  return !m_sources.sets || std::any_of(m_sources.sets->begin(), m_sources.sets->end(),
                                        [&](const auto& set) { return set && more(*set); });
}

MatrixPicture::Refined MatrixPicture::refined(const Sources& sources, const Viewport& view, QSize device,
                                              std::int64_t skipKeys, CompareMode mode, const CancelToken* cancel) {
  Refined refined;
  const SampleOptions options{.skip_keys = skipKeys, .refine = true, .cancel = cancel};
  for (const int side : {0, 1})
    if (sources.layers[at(side)].source && usesSide(mode, side))
      sources.layers[at(side)].source->sample(view, device.width(), device.height(), options, refined.grids[at(side)]);
  if (!comparesPairs(mode) || !bothMasks(sources.layers)) return refined;
  refined.sets = sources.sets ? *sources.sets : setsOf(sources.layers);
  for (std::size_t set = 0; set < refined.sets.size(); ++set)
    refined.sets[set]->sample(view, device.width(), device.height(), options, refined.setGrids[set]);
  return refined;
}

void MatrixPicture::takeRefined(Refined refined, CompareMode mode) {
  for (const int side : {0, 1})
    if (usesSide(mode, side)) m_grids[at(side)] = std::move(refined.grids[at(side)]);
  if (!refined.sets[0]) return;
  m_sources.sets = std::move(refined.sets);
  m_setGrids = std::move(refined.setGrids);
}

std::span<const float> MatrixPicture::values(int side, Reducer reducer) const {
  const SampleGrid& grid = m_grids[at(side)];
  return reducer == Reducer::kMax ? grid.max : grid.mean;
}

const SampleGrid& MatrixPicture::whole(int side, std::int64_t skipKeys) const {
  if (m_wholeSkip != skipKeys) {
    m_whole = {};
    m_wholeSkip = skipKeys;
  }
  SampleGrid& grid = m_whole[at(side)];
  if (grid.width == 0) {
    const auto size = static_cast<double>(tokens());
    layer(side).source->sample({0, size, 0, size}, kWhole, kWhole, {.skip_keys = skipKeys}, grid);
  }
  return grid;
}

ValueScale MatrixPicture::chooseScale(const ColourSettings& settings, Reducer reducer, CompareMode mode) {
  const bool difference = mode == CompareMode::Difference;
  bool diverging = difference;
  bool masks = true;
  ValueRange range{std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
  const auto include = [&range](ValueRange other) {
    range.low = std::min(range.low, other.low);
    range.high = std::max(range.high, other.high);
  };
  for (const int side : {0, 1}) {
    if (!layer(side).source || !usesSide(mode, side)) continue;
    const MatrixSource::Kind kind = layer(side).source->kind();
    if (isMaskBesideValues(side, mode)) continue;
    masks = masks && kind == MatrixSource::Kind::kMask;
    diverging = diverging || kind == MatrixSource::Kind::kDifference;
    if (difference) continue;
    if (settings.range == RangeMode::VisibleArea) {
      include(rangeOf(values(side, reducer)));
    } else if (settings.range == RangeMode::Percentile) {
      const SampleGrid& grid = whole(side, m_skipKeys);
      include(
          rangeOf(reducer == Reducer::kMax ? grid.max : grid.mean, settings.percentileLow, settings.percentileHigh));
    } else if (settings.range == RangeMode::MinMax && kind == MatrixSource::Kind::kMask) {
      include({0, 1});
    } else if (settings.range == RangeMode::MinMax) {
      // Maxima of blocks are maxima of cells at any zoom; minima are taken from the means, the nearest there is.
      const SampleGrid& grid = whole(side, m_skipKeys);
      include({rangeOf(grid.mean).low, rangeOf(grid.max).high});
      if (kind == MatrixSource::Kind::kDifference) include(rangeOf(grid.max));
    }
  }
  if (difference)
    include(masks && settings.range != RangeMode::VisibleArea ? ValueRange{-1, 1} : rangeOf(m_difference));
  if (settings.range == RangeMode::Manual) range = {settings.manualLow, settings.manualHigh};
  if (!(range.low <= range.high)) range = {0, 1};
  m_masks = masks && !difference;
  m_binary = masks && reducer == Reducer::kMax && !difference && settings.range != RangeMode::Manual;
  if (m_binary) return {ColourScale::Linear, 0, 1, false};
  return {settings.scale, range.low, range.high, diverging};
}

void MatrixPicture::paint(const ColourSettings& settings, Reducer reducer, CompareMode mode, const ViewTheme& theme) {
  if (mode == CompareMode::Difference) paintDifference(reducer);
  m_scale = chooseScale(settings, reducer, mode);
  m_maskMap = ColourMap(ColourMapId::Mask, theme.dark);
  m_map = m_masks ? m_maskMap : ColourMap(m_scale.diverging() ? ColourMapId::Diverging : settings.map, theme.dark);
  m_clippedLow = m_clippedHigh = false;
  const auto note_clipping = [&](std::span<const float> shown) {
    const auto low = static_cast<float>(m_scale.low() - 1e-6 * (m_scale.high() - m_scale.low()));
    const auto high = static_cast<float>(m_scale.high() + 1e-6 * (m_scale.high() - m_scale.low()));
    bool below = false;
    bool above = false;
    for (const float v : shown) {
      below |= v < low;
      above |= v > high;
    }
    m_clippedLow |= below;
    m_clippedHigh |= above;
  };
  if (mode == CompareMode::Composite) {
    paintComposite(reducer, theme);
    return;
  }
  if (mode == CompareMode::Difference) {
    const SampleGrid& grid = m_grids[0];
    m_scale.colour(m_difference, grid.width, grid.height, m_map, m_images[0]);
    note_clipping(m_difference);
    return;
  }
  for (const int side : {0, 1}) {
    const SampleGrid& grid = m_grids[at(side)];
    if (!usesSide(mode, side) || !layer(side).source || grid.width == 0) {
      m_images[at(side)] = {};
      continue;
    }
    if (isMaskBesideValues(side, mode)) {
      ValueScale(ColourScale::Linear, 0, 1, false)
          .colour(values(side, reducer), grid.width, grid.height, m_maskMap, m_images[at(side)]);
      continue;
    }
    m_scale.colour(values(side, reducer), grid.width, grid.height, m_map, m_images[at(side)]);
    note_clipping(values(side, reducer));
  }
}

bool MatrixPicture::isMaskBesideValues(int side, CompareMode mode) const {
  if (mode != CompareMode::SideBySide && mode != CompareMode::Split) return false;
  const auto isMask = [this](int s) { return layer(s).source->kind() == MatrixSource::Kind::kMask; };
  return layer(0).source && layer(1).source && isMask(side) && !isMask(1 - side);
}

void MatrixPicture::paintDifference(Reducer reducer) {
  const std::span<const float> a = values(0, reducer);
  const std::span<const float> b = values(1, reducer);
  m_difference.resize(std::min(a.size(), b.size()));
  for (std::size_t i = 0; i < m_difference.size(); ++i) {
    if (!compositeOfMasks()) {
      m_difference[i] = a[i] - b[i];
      continue;
    }
    const float only_a = m_setGrids[1].mean[i];  // NaN where no pair is causal
    const float only_b = m_setGrids[2].mean[i];
    m_difference[i] = only_a - only_b;
    // Maxima of two masks agree wherever both keep something: any pair that differs counts.
    if (reducer == Reducer::kMax && (only_a > 0 || only_b > 0)) m_difference[i] = only_a >= only_b ? 1.0F : -1.0F;
  }
}

std::vector<CompositeKey> MatrixPicture::compositeKeys(const ViewTheme& theme) {
  return {{tr("kept by both"), theme.dark ? QColor(150, 156, 168) : QColor(112, 118, 130), 0},
          {tr("only A"), QColor::fromRgb(theme.dark ? okabe_ito::skyBlue : okabe_ito::blue), 1},
          {tr("only B"), QColor::fromRgb(okabe_ito::orange), 2},
          {tr("only A + only B"), QColor::fromRgb(okabe_ito::reddishPurple), 3}};
}

void MatrixPicture::paintComposite(Reducer reducer, const ViewTheme& theme) {
  const SampleGrid& grid = m_grids[0];
  QImage& image = m_images[0];
  if (image.width() != grid.width || image.height() != grid.height)
    image = QImage(grid.width, grid.height, QImage::Format_ARGB32_Premultiplied);
  const QColor ground = theme.dark ? QColor(22, 24, 29) : QColor(255, 255, 255);
  const auto keys = compositeKeys(theme);
  // Per category: 16 strengths of colour, plain and under a hatch stroke.
  std::array<std::array<std::array<QRgb, 16>, 2>, 4> inks{};
  for (std::size_t c = 0; c < 4; ++c)
    for (std::size_t s = 0; s < 16; ++s) {
      const double strength = 0.5 + 0.5 * static_cast<double>(s) / 15.0;
      const QColor plain = mixed(ground, keys[c].colour, strength);
      inks[c][0][s] = plain.rgb();
      inks[c][1][s] = mixed(plain, theme.dark ? QColor(0, 0, 0) : QColor(255, 255, 255), 0.45).rgb();
    }
  const QColor blue = theme.seriesA;
  const QColor orange = theme.seriesB;
  for (int y = 0; y < grid.height; ++y) {
    auto* to = reinterpret_cast<QRgb*>(image.scanLine(y));
    for (int x = 0; x < grid.width; ++x) {
      const std::size_t i =
          static_cast<std::size_t>(y) * static_cast<std::size_t>(grid.width) + static_cast<std::size_t>(x);
      if (std::isnan(compositeOfMasks() ? m_setGrids[0].max[i] : grid.max[i])) {
        to[x] = 0;
        continue;
      }
      if (compositeOfMasks()) {
        const float both = m_setGrids[0].mean[i];
        const float a = m_setGrids[1].mean[i];
        const float b = m_setGrids[2].mean[i];
        if (!(both + a + b > 0)) {
          to[x] = ground.rgb();
          continue;
        }
        // What differs is never hidden behind what agrees.
        const std::size_t category = a > 0 && b > 0 ? 3 : a > 0 ? 1 : b > 0 ? 2 : 0;
        const float density = reducer == Reducer::kMax ? 1.0F : std::sqrt(std::min(1.0F, category == 0 ? both : a + b));
        const int hatch = keys[category].hatch;
        const bool stroke = ((hatch & 1) != 0 && (x + y) % 8 == 0) || ((hatch & 2) != 0 && (x - y + 8 * 4096) % 8 == 4);
        to[x] = inks[category][stroke ? 1 : 0][static_cast<std::size_t>(density * 15.0F)];
        continue;
      }
      const auto level = [&](float v) { return std::isnan(v) ? 0.0 : m_scale.position(static_cast<double>(v)); };
      const double a = level(values(0, reducer)[i]);
      const double b = level(values(1, reducer)[i]);
      const auto blend = [&](int from, int one, int two) {
        if (theme.dark) return std::min(255, static_cast<int>(from + a * one * 0.75 + b * two * 0.75));
        return static_cast<int>(255 * (1 - a * (1 - one / 255.0)) * (1 - b * (1 - two / 255.0)));
      };
      to[x] = qRgb(blend(ground.red(), blue.red(), orange.red()), blend(ground.green(), blue.green(), orange.green()),
                   blend(ground.blue(), blue.blue(), orange.blue()));
    }
  }
}

std::vector<float> MatrixPicture::keyProfile(int side) const {
  const SampleGrid& grid = m_grids[at(side)];
  const auto width = static_cast<std::size_t>(grid.width);
  std::vector<float> sums(width), cells(width);
  for (int y = 0; y < grid.height; ++y) {
    const float* mean = grid.mean.data() + static_cast<std::size_t>(y) * width;
    const float* count = grid.cells.data() + static_cast<std::size_t>(y) * width;
    for (std::size_t x = 0; x < width; ++x) {
      sums[x] += count[x] > 0 ? mean[x] * count[x] : 0.0F;
      cells[x] += count[x];
    }
  }
  for (std::size_t x = 0; x < width; ++x)
    sums[x] = cells[x] > 0 ? sums[x] / cells[x] : std::numeric_limits<float>::quiet_NaN();
  return sums;
}

std::vector<float> MatrixPicture::rowProfile(int side) const {
  const SampleGrid& grid = m_grids[at(side)];
  const auto width = static_cast<std::size_t>(grid.width);
  std::vector<float> profile(static_cast<std::size_t>(grid.height));
  const auto& source = layer(side).source;
  const bool largest = source && source->kind() == MatrixSource::Kind::kProbability;
  for (std::size_t y = 0; y < profile.size(); ++y) {
    float sum = 0;
    float cells = 0;
    float most = std::numeric_limits<float>::quiet_NaN();
    for (std::size_t i = y * width; i < (y + 1) * width; ++i) {
      sum += grid.cells[i] > 0 ? grid.mean[i] * grid.cells[i] : 0.0F;
      cells += grid.cells[i];
      if (largest) most = std::fmax(most, grid.max[i]);
    }
    profile[y] = largest ? most : cells > 0 ? sum / cells : std::numeric_limits<float>::quiet_NaN();
  }
  return profile;
}

QImage MatrixPicture::overview(int side, QSize device, const ColourSettings& settings, Reducer reducer,
                               std::int64_t skipKeys, const ViewTheme& theme) const {
  MatrixPicture small;
  small.setLayers(layer(side), {});
  const auto reach = static_cast<double>(tokens());
  small.sample({0, reach, 0, reach}, device, skipKeys, CompareMode::A);
  small.paint(settings, reducer, CompareMode::A, theme);
  return small.image(0);
}

QString MatrixPicture::valueText(int side, std::int64_t row, std::int64_t key) const {
  const MatrixLayer& shown = layer(side);
  if (!shown.source) return {};
  const float value = shown.source->at(row, key);
  if (std::isnan(value)) return tr("not causal");
  if (shown.source->kind() == MatrixSource::Kind::kMask) return value > 0 ? tr("kept") : tr("dropped");
  QString text = valueLabel(static_cast<double>(value));
  if (shown.source->kind() == MatrixSource::Kind::kDifference && value > 0) text.prepend(QLatin1Char('+'));
  return shown.unit.isEmpty() ? text : tr("%1 (%2)", "value (unit)").arg(text, shown.unit);
}

QString MatrixPicture::reducerText(Reducer reducer, CompareMode mode) const {
  const int side = mode == CompareMode::B || !layer(0).source ? 1 : 0;
  const SampleGrid& grid = m_grids[at(side)];
  if (!layer(side).source || grid.width == 0) return {};
  const auto rows = static_cast<qint64>(std::llround(grid.rows_per_value));
  const auto keys = static_cast<qint64>(std::llround(grid.keys_per_value));
  if (mode != CompareMode::Difference || (rows <= 1 && keys <= 1)) {
    return tr("1 px: %1")
        .arg(QString::fromStdString(
            describe_reducer(reducer, layer(side).source->kind(), grid.rows_per_value, grid.keys_per_value)));
  }
  const QString size = tr("%1×%2 pairs", "rows times keys").arg(rows).arg(keys);
  return reducer == Reducer::kMean ? tr("1 px: difference of means of %1").arg(size)
         : compositeOfMasks()      ? tr("1 px: any differing pair of %1").arg(size)
                                   : tr("1 px: difference of maxima of %1").arg(size);
}

}  // namespace dhsa
