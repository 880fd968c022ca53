#include "ui/state/run.h"

#include <QStringList>
#include <algorithm>

#include "core/files/csv.h"
#include "core/run/measures.h"
#include "core/run/provenance.h"

namespace dhsa {
namespace {

QString field(const QString& text) { return QString::fromStdString(csv_field(text.toStdString())); }

}  // namespace

QString labelOf(const SparsityParameters& parameters) {
  QString label = QString::fromUtf8(label_of(parameters.method));
  if (is_read(parameters, "budget")) label += QStringLiteral(" %1").arg(parameters.budget);
  return label;
}

RunInput inputOf(const OpenDocument& document, const LoadedModel& model) {
  const ModelOptions& options = model.weights->options();
  return {document.sha256,
          {model.fingerprint, options.compute, options.device},
          document.tokens(),
          document.content.question_tokens};
}

QString Run::modelLabel() const {
  return QStringLiteral("%1 · %2 · %3")
      .arg(modelName, QString::fromLatin1(name_of(input.model.type)), QString::fromLatin1(name_of(input.model.device)));
}

int RunList::indexOf(int id) const {
  const auto found = std::find_if(m_runs.begin(), m_runs.end(), [id](const Run& run) { return run.id == id; });
  return found == m_runs.end() ? -1 : static_cast<int>(std::distance(m_runs.begin(), found));
}

const Run* RunList::find(int id) const {
  const int index = indexOf(id);
  return index < 0 ? nullptr : &at(index);
}

const Run* RunList::pinned() const {
  const auto found = std::find_if(m_runs.begin(), m_runs.end(), [](const Run& run) { return run.pinned; });
  return found == m_runs.end() ? nullptr : &*found;
}

const Run* RunList::dense(const RunInput& input) const {
  const auto found = std::find_if(m_runs.rbegin(), m_runs.rend(), [&](const Run& run) {
    return run.parameters.method == Method::kDense && run.input == input;
  });
  return found == m_runs.rend() ? nullptr : &*found;
}

int RunList::add(Run run) {
  run.id = m_nextId++;
  run.values = summarise(run.result);
  const int id = run.id;
  Q_EMIT aboutToAdd(size());
  m_runs.push_back(std::move(run));
  Q_EMIT added(size() - 1);
  return id;
}

void RunList::rename(int id, const QString& label) {
  const int index = indexOf(id);
  if (index < 0 || label.trimmed().isEmpty()) return;
  m_runs[static_cast<std::size_t>(index)].label = label.trimmed();
  Q_EMIT changed(index);
}

void RunList::setPinned(int id, bool pinned) {
  for (int index = 0; index < size(); ++index) {
    Run& run = m_runs[static_cast<std::size_t>(index)];
    const bool now = run.id == id ? pinned : (pinned ? false : run.pinned);
    if (now == run.pinned) continue;
    run.pinned = now;
    Q_EMIT changed(index);
  }
  Q_EMIT pinnedChanged();
}

void RunList::setLogits(int id, const LogitCloseness& logits) {
  const int index = indexOf(id);
  if (index < 0) return;
  m_runs[static_cast<std::size_t>(index)].result.logits = logits;
  change(index);
}

void RunList::setMetrics(int id, int layer, const MaskMetrics& metrics) {
  const int index = indexOf(id);
  const auto at = static_cast<std::size_t>(layer);
  if (index < 0 || at >= m_runs[static_cast<std::size_t>(index)].result.metrics.size()) return;
  Run& run = m_runs[static_cast<std::size_t>(index)];
  run.result.metrics[at] = {metrics.values, metrics.heads, {}, {}};
  change(index);
  if (run.pinned) Q_EMIT pinnedChanged();
}

void RunList::change(int index) {
  Run& run = m_runs[static_cast<std::size_t>(index)];
  run.values = summarise(run.result);
  Q_EMIT changed(index);
}

void RunList::remove(int id) {
  const int index = indexOf(id);
  if (index < 0) return;
  const bool wasPinned = at(index).pinned;
  Q_EMIT aboutToRemove(index);
  m_runs.erase(m_runs.begin() + index);
  Q_EMIT removed(index);
  if (wasPinned) Q_EMIT pinnedChanged();
}

QString RunList::csv() const {
  QStringList heading{QStringLiteral("run,label,document,sha256,model,fingerprint,dtype,device,method,budget,tokens")};
  const MeasureColumns columns(measures());
  for (const std::string& column : columns.headings()) heading << QString::fromStdString(column);
  QStringList lines{heading.join(u',')};
  for (const Run& run : m_runs) {
    QStringList cells{QString::number(run.id),
                      field(run.label),
                      field(run.documentTitle),
                      run.input.documentSha,
                      field(run.modelName),
                      run.input.model.fingerprint,
                      QString::fromLatin1(name_of(run.input.model.type)),
                      QString::fromLatin1(name_of(run.input.model.device)),
                      QString::fromLatin1(name_of(run.parameters.method)),
                      QString::number(run.parameters.budget),
                      QString::number(run.input.tokens)};
    for (const std::string& cell : columns.cells(run.values)) cells << QString::fromStdString(cell);
    lines << cells.join(u',');
  }
  return lines.join(QStringLiteral("\r\n")) + QStringLiteral("\r\n");
}

}  // namespace dhsa
