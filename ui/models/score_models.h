// Tables of scored results: a line for each task, and the samples behind one of them.
#pragma once

#include <QAbstractTableModel>
#include <QSortFilterProxyModel>

#include "ui/state/scored_results.h"

namespace dhsa {

class ScoreLineModel : public QAbstractTableModel {
  Q_OBJECT

 public:
  enum Column { kTask, kLength, kSamples, kFirstMethod };
  static constexpr int kSortRole = Qt::UserRole;  // numbers as numbers

  using QAbstractTableModel::QAbstractTableModel;
  void show(QStringList methods, std::vector<ScoreLine> lines);
  [[nodiscard]] const std::vector<ScoreLine>& lines() const noexcept { return m_lines; }

  [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
  [[nodiscard]] QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

 private:
  QStringList m_methods;
  std::vector<ScoreLine> m_lines;
};

// Means stay below the lines that they are of, whichever way these are sorted.
class SortedScoreLines : public QSortFilterProxyModel {
  Q_OBJECT

 public:
  using QSortFilterProxyModel::QSortFilterProxyModel;

 protected:
  [[nodiscard]] bool lessThan(const QModelIndex& left, const QModelIndex& right) const override;
};

class SampleModel : public QAbstractTableModel {
  Q_OBJECT

 public:
  enum Column { kNumber, kAsked, kAnswers, kDenseScore, kDenseSaid, kScore, kSaid, kColumns };
  enum class Filter : std::uint8_t { kAll, kDenseRight, kWrong };
  static constexpr int kSortRole = Qt::UserRole;

  using QAbstractTableModel::QAbstractTableModel;
  // `method` beside `dense`, numbers among the methods (-1: none).
  void show(std::vector<ScoredSample> samples, int dense, int method, const QString& methodTitle);
  void setFilter(Filter filter);
  [[nodiscard]] int sampleOf(int row) const { return m_shown[static_cast<std::size_t>(row)]; }
  [[nodiscard]] const ScoredSample& at(int row) const { return m_samples[static_cast<std::size_t>(sampleOf(row))]; }

  [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] int columnCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
  [[nodiscard]] QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

 private:
  void sift();
  [[nodiscard]] const ScoredSample::Said* said(const ScoredSample& sample, int method) const;

  std::vector<ScoredSample> m_samples;
  std::vector<int> m_shown;
  Filter m_filter = Filter::kAll;
  int m_dense = -1;
  int m_method = -1;
  QString m_title;
};

}  // namespace dhsa
