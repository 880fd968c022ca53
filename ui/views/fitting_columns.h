// Keeps a table from scrolling sideways: where the panel is too narrow for every column, those that matter least leave
// first, and come back as it widens. One column may take what room is left.
#pragma once

#include <QObject>
#include <QTimer>
#include <vector>

class QAbstractItemView;
class QHeaderView;

namespace dhsa {

class FittingColumns : public QObject {
 public:
  // `leaving`: columns in the order they leave. `filling`: the column that stretches, at least `least` pixels; -1:
  // none.
  FittingColumns(QAbstractItemView* view, QHeaderView* header, std::vector<int> leaving, int filling = -1,
                 int least = 0);

 protected:
  bool eventFilter(QObject* watched, QEvent* event) override;

 private:
  void fit();

  QAbstractItemView* m_view;
  QHeaderView* m_header;
  std::vector<int> m_leaving;
  int m_filling;
  int m_least;
  std::vector<int> m_widths;  // of each column when it was last shown
  QTimer m_later;
};

}  // namespace dhsa
