// Keeps a table from scrolling sideways: where the panel is too narrow for every column, those that matter least leave
// first, and come back as it widens. Some columns may share what room is left.
#pragma once

#include <QObject>
#include <QTimer>
#include <vector>

class QAbstractItemView;
class QHeaderView;

namespace dhsa {

class FittingColumns : public QObject {
 public:
  // `leaving`: columns in the order they leave. `filling`: the columns that stretch, each at least `least` pixels.
  FittingColumns(QAbstractItemView* view, QHeaderView* header, std::vector<int> leaving, std::vector<int> filling = {},
                 int least = 0);

 protected:
  bool eventFilter(QObject* watched, QEvent* event) override;

 private:
  void fit();

  QAbstractItemView* m_view;
  QHeaderView* m_header;
  std::vector<int> m_leaving;
  std::vector<int> m_filling;
  int m_least;
  std::vector<int> m_widths;  // of each column when it was last shown
  QTimer m_later;
};

}  // namespace dhsa
