#include "ui/models/method_list.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/experiments/sweep.h"
#include "core/sparsity/parameters_name.h"
#include "ui/models/format.h"

namespace dhsa {
namespace {

std::vector<const Preset*> offered() {
  std::vector<const Preset*> list;
  for (const Preset& preset : presets()) {
    if (preset.parameters.method != Method::kDense) list.push_back(&preset);
  }
  return list;
}

QString text(const std::string& utf8) { return QString::fromStdString(utf8); }

}  // namespace

QString methodTitle(const MethodChoice& method) {
  const std::string base = method.name.substr(0, method.name.find('+'));
  QString title;
  for (const Preset& preset : presets()) {
    if (preset.name == base) title = text(preset.label);
  }
  for (const Method each : all_methods()) {
    if (base == name_of(each)) title = QString::fromUtf8(label_of(each));
  }
  if (title.isEmpty()) return text(method.name);
  try {
    for (const auto& [key, value] : changes_in(method.name)) {
      title += QStringLiteral(", %1 %2").arg(text(parameter_table().at(key).label).toLower(), text(plain_text(value)));
    }
  } catch (const Error&) {  // a name of a file's own
    return text(method.name);
  }
  return title;
}

MethodList::MethodList(const ParameterSet* present, QObject* parent)
    : QAbstractListModel(parent), m_present(present), m_checked(1 + offered().size(), false) {
  m_checked[0] = true;
  connect(present, &ParameterSet::changed, this, [this] {
    const QModelIndex row = index(givenRows());
    Q_EMIT dataChanged(row, row);
    if (m_checked[0] && !givenCounts()) Q_EMIT changed();
  });
}

int MethodList::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : givenRows() + static_cast<int>(m_checked.size());
}

QVariant MethodList::data(const QModelIndex& index, int role) const {
  if (!index.isValid()) return {};
  if (index.row() < givenRows()) {
    QStringList names;
    for (const MethodChoice& method : m_given) names << methodTitle(method);
    if (role == Qt::CheckStateRole) return m_useGiven ? Qt::Checked : Qt::Unchecked;
    if (role == Qt::DisplayRole) return tr("Those of the results shown");
    if (role == Qt::ToolTipRole) return names.join(QStringLiteral(", "));
    return {};
  }
  const auto row = static_cast<std::size_t>(index.row() - givenRows());
  if (role == Qt::CheckStateRole) return m_checked[row] ? Qt::Checked : Qt::Unchecked;
  if (row == 0) {
    const SparsityParameters& now = m_present->values();
    if (role == Qt::DisplayRole) return tr("Present: %1").arg(QString::fromUtf8(label_of(now.method)));
    if (role == Qt::ToolTipRole) return tr("The present parameters, as set in their panel when the work begins");
    return {};
  }
  const Preset& preset = *offered()[row - 1];
  if (role == Qt::DisplayRole) return text(preset.label);
  if (role == Qt::ToolTipRole) {
    const QString help = text(preset.help);
    return replaces("budget") ? help : tr("%1 Budget %2 keys.").arg(help, formatCount(preset.parameters.budget));
  }
  return {};
}

bool MethodList::setData(const QModelIndex& index, const QVariant& value, int role) {
  if (!index.isValid() || role != Qt::CheckStateRole) return false;
  const bool on = value.toInt() == Qt::Checked;
  if (index.row() < givenRows()) {
    m_useGiven = on;
    Q_EMIT dataChanged(this->index(0), this->index(rowCount() - 1));
    Q_EMIT changed();
    return true;
  }
  m_checked[static_cast<std::size_t>(index.row() - givenRows())] = on;
  Q_EMIT dataChanged(index, index, {Qt::CheckStateRole});
  Q_EMIT changed();
  return true;
}

Qt::ItemFlags MethodList::flags(const QModelIndex& index) const {
  if (!index.isValid()) return Qt::NoItemFlags;
  const bool counts = index.row() < givenRows() || !givenCounts();
  return Qt::ItemIsSelectable | Qt::ItemIsUserCheckable | (counts ? Qt::ItemIsEnabled : Qt::NoItemFlags);
}

void MethodList::check(const QString& preset, bool on) {
  const auto list = offered();
  int row = 0;
  if (!preset.isEmpty()) {
    const auto at =
        std::find_if(list.begin(), list.end(), [&](const Preset* each) { return text(each->name) == preset; });
    if (at == list.end()) return;
    row = 1 + static_cast<int>(at - list.begin());
  }
  setData(index(givenRows() + row), on ? Qt::Checked : Qt::Unchecked, Qt::CheckStateRole);
}

void MethodList::setGiven(std::vector<MethodChoice> methods) {
  beginResetModel();
  m_given = std::move(methods);
  m_useGiven = !m_given.empty();
  endResetModel();
  Q_EMIT changed();
}

bool MethodList::replaces(const std::string& key) const {
  return std::find(m_replaced.begin(), m_replaced.end(), key) != m_replaced.end();
}

std::vector<MethodChoice> MethodList::choices() const {
  if (givenCounts()) return m_given;
  const auto list = offered();
  const SparsityParameters& now = m_present->values();
  std::vector<MethodChoice> chosen;
  for (std::size_t row = 1; row < m_checked.size(); ++row) {
    if (!m_checked[row]) continue;
    SparsityParameters parameters = list[row - 1]->parameters;
    parameters.predictor = now.predictor;
    chosen.push_back({list[row - 1]->name, parameters});
  }
  if (m_checked[0] && now.method != Method::kDense) {
    MethodChoice present{{}, now};
    const SparsityParameters own = named_parameters(name_of(now.method));
    for (const std::string& key : m_replaced) set_parameter(present.parameters, key, get_parameter(own, key));
    present.name = parameters_name(present.parameters);
    present.parameters.instruction_tokens = 0;
    const auto same = [&](const MethodChoice& other) { return other.parameters == present.parameters; };
    if (std::none_of(chosen.begin(), chosen.end(), same)) chosen.insert(chosen.begin(), std::move(present));
  }
  return with_dense_first(std::move(chosen));
}

}  // namespace dhsa
