// All heads of a layer, or all layers of a head, as small pictures of one matrix: made on the engine while the panel is
// seen, from some rows of long texts.
#pragma once

#include <QTimer>
#include <QWidget>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

class QComboBox;
class QLabel;
class QPushButton;

namespace dhsa {

class Explorer;
class MultiplesView;
struct Multiple;
struct Plan;

class MultiplesPanel : public QWidget {
  Q_OBJECT

 public:
  explicit MultiplesPanel(Explorer* explorer, QWidget* parent = nullptr);
  void setSeen(bool seen);  // a panel behind another tab counts as visible to Qt, but is not seen

 Q_SIGNALS:
  void statusText(const QString& text);
  // As one figure: key of its kind, and whether over the layers of the head in view or the heads of the layer.
  void figureWanted(const QString& what, bool byLayer);

 private:
  // Pictures by plan, head and what is shown; the plan is kept, so that no other takes its address.
  using Key = std::tuple<std::shared_ptr<const Plan>, int, int>;
  struct Picture {
    std::shared_ptr<const std::vector<float>> values;
    int side = 0;
  };
  [[nodiscard]] bool byLayer() const;
  [[nodiscard]] const Picture* pictureOf(const Multiple& one) const;  // of its present plan; null until made
  void refresh();                                                     // what is to be shown; makes what is not made yet
  void show();
  void say();

  Explorer* m_explorer;
  MultiplesView* m_view;
  QComboBox* m_over;
  QComboBox* m_what;
  QLabel* m_note;
  QPushButton* m_export;
  std::map<Key, Picture> m_pictures;
  bool m_seen = false;
  int m_shown = -1;  // index of what the pictures show
  QTimer m_soon;
};

}  // namespace dhsa
