// The matrix with its pickers: layer, head, what is shown on sides A and B, how they are compared and coloured.
#pragma once

#include <QWidget>
#include <array>
#include <map>
#include <nlohmann/json_fwd.hpp>

#include "ui/views/matrix_view.h"

class QComboBox;
class QDoubleSpinBox;
class QSpinBox;
class QPushButton;

namespace dhsa {

class Explorer;

enum class MatrixContent : std::uint8_t {
  kMask,
  kDense,
  kSparse,
  kDifference,
  kTokenScores,
  kChunkScores,
  kPinnedMask,
  kDropped,
};

class MatrixPanel : public QWidget {
  Q_OBJECT

 public:
  explicit MatrixPanel(Explorer* explorer, QWidget* parent = nullptr);
  [[nodiscard]] MatrixView* matrix() const noexcept { return m_matrix; }
  [[nodiscard]] MatrixContent content(int side) const;
  void setContent(int side, MatrixContent content);
  [[nodiscard]] bool wantsPinnedRun() const;  // a side that is shown is the mask of one
  void setMode(CompareMode mode);
  [[nodiscard]] nlohmann::json settings() const;
  void applySettings(const nlohmann::json& json);  // unknown or bad values keep what is set

 Q_SIGNALS:
  void statusText(const QString& text);
  void reducerChanged(const QString& text);
  void settingsChanged();

 private:
  void fillPickers();
  void refresh();
  void offerDifference();
  void refreshDimming();
  void showColours();
  void applyColours(const ColourSettings& colours);
  [[nodiscard]] MatrixLayer make(MatrixContent content);
  [[nodiscard]] MatrixSource::Kind colourKind() const;
  [[nodiscard]] QWidget* makeDisplayMenu();

  Explorer* m_explorer;
  MatrixView* m_matrix;
  QComboBox* m_layer;
  QComboBox* m_head;
  QComboBox* m_side[2];
  QComboBox* m_mode;
  QPushButton* m_display;
  QComboBox* m_map = nullptr;
  QComboBox* m_scale = nullptr;
  QComboBox* m_range = nullptr;
  QDoubleSpinBox* m_low = nullptr;
  QDoubleSpinBox* m_high = nullptr;
  QComboBox* m_reducer = nullptr;
  QSpinBox* m_skip = nullptr;
  std::map<MatrixSource::Kind, ColourSettings> m_colours;  // as a person left them, for each kind of matrix
  std::shared_ptr<const Plan> m_pinnedPlan;                // that m_pinnedMasks show
  std::vector<std::shared_ptr<const MaskSource>> m_pinnedMasks;
  std::shared_ptr<const AttentionLevels> m_levels;  // that m_attention shows, by What
  std::array<std::shared_ptr<const MatrixSource>, 4> m_attention;
  bool m_filling = false;
};

}  // namespace dhsa
