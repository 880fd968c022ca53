// What a matrix view shows, without the widget: sources A and B sampled for a viewport, their colours and comparisons.
#pragma once

#include <QCoreApplication>
#include <QImage>
#include <QSize>
#include <QString>
#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "core/analysis/pyramid.h"
#include "ui/plot/colour_map.h"
#include "ui/views/view_theme.h"

namespace dhsa {

struct MatrixLayer {
  std::shared_ptr<const MatrixSource> source;  // null: nothing on this side
  QString title;                               // "Retained mask, layer 3"
  QString unit;                                // of the values, for the colour bar: "probability"; may be empty
  bool pending = false;                        // the source is being made: its place is kept free
};

enum class CompareMode { A, B, SideBySide, Split, Composite, Difference };
[[nodiscard]] QString compareModeName(CompareMode mode);

// Categories of a composite of two masks.
struct CompositeKey {
  QString text;
  QColor colour;
  int hatch = 0;  // 0 none, 1 rising, 2 falling, 3 crossed
};

class MatrixPicture {
  Q_DECLARE_TR_FUNCTIONS(MatrixPicture)
 public:
  void setLayers(MatrixLayer a, MatrixLayer b);
  [[nodiscard]] const MatrixLayer& layer(int side) const { return m_sources.layers[static_cast<std::size_t>(side)]; }
  [[nodiscard]] std::int64_t tokens() const;
  // The mode that can be shown: comparisons need both sides, or one and a place for the other.
  [[nodiscard]] CompareMode effectiveMode(CompareMode wanted) const;
  [[nodiscard]] static bool usesSide(CompareMode mode, int side);

  // Samples what `mode` needs. Fast; refine() with the same arguments may show more, and may run on another thread.
  void sample(const Viewport& view, QSize device, std::int64_t skipKeys, CompareMode mode);
  [[nodiscard]] bool refines(const Viewport& view, QSize device, CompareMode mode) const;
  using Grids = std::array<SampleGrid, 2>;
  // Both are masks of one document: pairs kept by both, only by A, only by B. All null where they are not.
  using Sets = std::array<std::shared_ptr<const MaskSource>, 3>;
  struct Sources {
    std::array<MatrixLayer, 2> layers;
    std::optional<Sets> sets;  // none: not made yet
  };
  struct Refined {
    Grids grids;
    Sets sets;
    std::array<SampleGrid, 3> setGrids;
  };
  [[nodiscard]] static Refined refined(const Sources& sources, const Viewport& view, QSize device,
                                       std::int64_t skipKeys, CompareMode mode, const CancelToken* cancel);
  void takeRefined(Refined refined, CompareMode mode);
  [[nodiscard]] const Sources& sources() const { return m_sources; }
  [[nodiscard]] const SampleGrid& grid(int side) const { return m_grids[static_cast<std::size_t>(side)]; }

  // Colours of the last sampling: images of both sides, or one of the comparison (in side 0).
  void paint(const ColourSettings& settings, Reducer reducer, CompareMode mode, const ViewTheme& theme);
  [[nodiscard]] const QImage& image(int side) const { return m_images[static_cast<std::size_t>(side)]; }
  [[nodiscard]] const ValueScale& scale() const { return m_scale; }
  [[nodiscard]] const ColourMap& map() const { return m_map; }
  [[nodiscard]] bool clippedLow() const { return m_clippedLow; }
  [[nodiscard]] bool clippedHigh() const { return m_clippedHigh; }
  // That of masks where one is shown, also beside values; they have colours of their own, unlike those of any value.
  [[nodiscard]] const ColourMap& maskMap() const { return m_maskMap; }
  // Kept or dropped only, so a legend of two colours says more than a colour bar.
  [[nodiscard]] bool binary() const { return m_binary; }
  // A mask shown next to scores or probabilities: the colour bar belongs to those, the mask goes from 0 to 1.
  [[nodiscard]] bool isMaskBesideValues(int side, CompareMode mode) const;
  [[nodiscard]] bool hasMaskBesideValues(CompareMode mode) const {
    return isMaskBesideValues(0, mode) || isMaskBesideValues(1, mode);
  }
  [[nodiscard]] bool compositeOfMasks() const { return m_setGrids[0].width > 0; }
  [[nodiscard]] static std::vector<CompositeKey> compositeKeys(const ViewTheme& theme);

  // Means over the rows in view for every pixel column, and over the keys for every pixel row; of probabilities, whose
  // row means say nothing, the largest of the row.
  [[nodiscard]] std::vector<float> keyProfile(int side) const;
  [[nodiscard]] std::vector<float> rowProfile(int side) const;
  // One side's full extent in a small image, for the minimap.
  [[nodiscard]] QImage overview(int side, QSize device, const ColourSettings& settings, Reducer reducer,
                                std::int64_t skipKeys, const ViewTheme& theme) const;

  [[nodiscard]] QString valueText(int side, std::int64_t row, std::int64_t key) const;  // exact, from the data
  [[nodiscard]] QString reducerText(Reducer reducer, CompareMode mode) const;

 private:
  void sampleSets(const Viewport& view, QSize device, const SampleOptions& options);
  [[nodiscard]] ValueScale chooseScale(const ColourSettings& settings, Reducer reducer, CompareMode mode);
  [[nodiscard]] std::span<const float> values(int side, Reducer reducer) const;
  void paintComposite(Reducer reducer, const ViewTheme& theme);
  void paintDifference(Reducer reducer);
  [[nodiscard]] const SampleGrid& whole(int side, std::int64_t skipKeys) const;

  Sources m_sources;
  Grids m_grids;
  std::array<QImage, 2> m_images;
  std::array<SampleGrid, 3> m_setGrids;       // width 0: compared value by value
  mutable std::array<SampleGrid, 2> m_whole;  // full extent, for ranges; width 0: to be made
  mutable std::int64_t m_wholeSkip = -1;
  std::int64_t m_skipKeys = 0;
  std::vector<float> m_difference;
  ValueScale m_scale;
  ColourMap m_map{ColourMapId::Viridis};
  ColourMap m_maskMap{ColourMapId::Mask};
  bool m_clippedLow = false;
  bool m_clippedHigh = false;
  bool m_masks = false;  // nothing else is shown
  bool m_binary = false;
};

}  // namespace dhsa
