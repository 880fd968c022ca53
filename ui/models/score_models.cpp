#include "ui/models/score_models.h"

#include <QFont>
#include <limits>

#include "ui/models/format.h"

namespace dhsa {
namespace {

constexpr double kRight = 1 - 1e-9;  // a score from here on is a right answer; below kWrong it is a wrong one
constexpr double kWrong = 0.5;

QString scoreText(double percent) { return QString::number(percent, 'f', 2); }

QVariant aligned(bool number) { return QVariant((number ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter); }

}  // namespace

void ScoreLineModel::show(QStringList methods, std::vector<ScoreLine> lines) {
  beginResetModel();
  m_methods = std::move(methods);
  m_lines = std::move(lines);
  endResetModel();
}

int ScoreLineModel::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(m_lines.size());
}
int ScoreLineModel::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : kFirstMethod + static_cast<int>(m_methods.size());
}

QVariant ScoreLineModel::data(const QModelIndex& index, int role) const {
  if (!checkIndex(index, CheckIndexOption::IndexIsValid)) return {};
  const ScoreLine& line = m_lines[static_cast<std::size_t>(index.row())];
  const int column = index.column();
  if (role == Qt::TextAlignmentRole) return aligned(column >= kSamples);
  if (role == Qt::FontRole && line.samples == 0) {
    QFont font;
    font.setBold(true);
    return font;
  }
  if (role != Qt::DisplayRole && role != kSortRole) return {};
  const bool sorts = role == kSortRole;
  switch (column) {
    case kTask:
      return line.task;
    case kLength:
      return sorts ? QVariant(line.order) : QVariant(line.length);
    case kSamples:
      return sorts ? QVariant(line.samples) : line.samples > 0 ? QVariant(formatCount(line.samples)) : QVariant();
    default: {
      const std::optional<double>& percent = line.percents[static_cast<std::size_t>(column - kFirstMethod)];
      if (sorts) return percent.value_or(-1);
      return percent ? scoreText(*percent) : QStringLiteral("–");
    }
  }
}

QVariant ScoreLineModel::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation != Qt::Horizontal) return {};
  if (role == Qt::TextAlignmentRole) return aligned(section >= kSamples);
  if (role == Qt::ToolTipRole && section >= kFirstMethod) {
    return tr("Score of “%1” in percent, by the official metric").arg(m_methods[section - kFirstMethod]);
  }
  if (role != Qt::DisplayRole) return {};
  switch (section) {
    case kTask:
      return tr("Task");
    case kLength:
      return tr("Length");
    case kSamples:
      return tr("Samples");
    default:
      return m_methods[section - kFirstMethod];
  }
}

bool SortedScoreLines::lessThan(const QModelIndex& left, const QModelIndex& right) const {
  const auto isMean = [](const QModelIndex& at) {
    return at.siblingAtColumn(ScoreLineModel::kSamples).data(ScoreLineModel::kSortRole).toInt() == 0;
  };
  if (isMean(left) != isMean(right)) return isMean(right) == (sortOrder() == Qt::AscendingOrder);
  return QSortFilterProxyModel::lessThan(left, right);
}

void SampleModel::show(std::vector<ScoredSample> samples, int dense, int method, const QString& methodTitle) {
  beginResetModel();
  m_samples = std::move(samples);
  m_dense = dense;
  m_method = method;
  m_title = methodTitle;
  sift();
  endResetModel();
}

void SampleModel::setFilter(Filter filter) {
  beginResetModel();
  m_filter = filter;
  sift();
  endResetModel();
}

const ScoredSample::Said* SampleModel::said(const ScoredSample& sample, int method) const {
  if (method < 0 || method >= static_cast<int>(sample.said.size())) return nullptr;
  const auto& said = sample.said[static_cast<std::size_t>(method)];
  return said ? &*said : nullptr;
}

void SampleModel::sift() {
  m_shown.clear();
  for (std::size_t i = 0; i < m_samples.size(); ++i) {
    const ScoredSample::Said* dense = said(m_samples[i], m_dense);
    const ScoredSample::Said* other = said(m_samples[i], m_method);
    const bool wrong = other != nullptr && other->score < kWrong;
    const bool shown = m_filter == Filter::kAll || (m_filter == Filter::kWrong && wrong) ||
                       (m_filter == Filter::kDenseRight && wrong && dense != nullptr && dense->score >= kRight);
    if (shown) m_shown.push_back(static_cast<int>(i));
  }
}

int SampleModel::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(m_shown.size());
}
int SampleModel::columnCount(const QModelIndex& parent) const { return parent.isValid() ? 0 : kColumns; }

QVariant SampleModel::data(const QModelIndex& index, int role) const {
  if (!checkIndex(index, CheckIndexOption::IndexIsValid)) return {};
  const ScoredSample& sample = at(index.row());
  const int column = index.column();
  const bool number = column == kNumber || column == kDenseScore || column == kScore;
  if (role == Qt::TextAlignmentRole) return aligned(number);
  const bool sorts = role == kSortRole;
  if (role != Qt::DisplayRole && role != Qt::ToolTipRole && !sorts) return {};
  const ScoredSample::Said* of = said(sample, column < kScore ? m_dense : m_method);
  switch (column) {
    case kNumber:
      return sorts ? QVariant(sampleOf(index.row())) : QVariant(sampleOf(index.row()) + 1);
    case kAsked:
      return sample.asked;
    case kAnswers:
      return sample.answers.join(QStringLiteral(" | ")).simplified();
    case kDenseScore:
    case kScore:
      if (of == nullptr) return sorts ? QVariant(-1.0) : QVariant(QStringLiteral("–"));
      return sorts ? QVariant(of->score) : QVariant(scoreText(100 * of->score));
    default:
      return of != nullptr ? of->text.simplified() : QString();
  }
}

QVariant SampleModel::headerData(int section, Qt::Orientation orientation, int role) const {
  if (orientation != Qt::Horizontal) return {};
  if (role == Qt::TextAlignmentRole) return aligned(section == kNumber || section == kDenseScore || section == kScore);
  if (role != Qt::DisplayRole && (role != Qt::ToolTipRole || section < kDenseSaid)) return {};
  switch (section) {
    case kNumber:
      return tr("No.");
    case kAsked:
      return tr("Asked");
    case kAnswers:
      return tr("Right answer");
    case kDenseScore:
    case kScore:
      return tr("%");
    case kDenseSaid:
      return tr("Dense says");
    default:
      return tr("%1 says").arg(m_title.isEmpty() ? tr("Method") : m_title);
  }
}

}  // namespace dhsa
