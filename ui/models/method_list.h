// Methods to choose from, with check boxes: those of results that were opened, the present parameters, and every preset
// but dense.
#pragma once

#include <QAbstractListModel>
#include <string>
#include <utility>
#include <vector>

#include "core/run/run.h"
#include "ui/state/parameter_set.h"

namespace dhsa {

// What a person calls a method of a needle test or a sweep: the preset's label, or the method's, and what differs from
// it: "DHSA, budget 512".
[[nodiscard]] QString methodTitle(const MethodChoice& method);

class MethodList : public QAbstractListModel {
  Q_OBJECT

 public:
  explicit MethodList(const ParameterSet* present, QObject* parent = nullptr);

  [[nodiscard]] int rowCount(const QModelIndex& parent = {}) const override;
  [[nodiscard]] QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
  bool setData(const QModelIndex& index, const QVariant& value, int role = Qt::EditRole) override;
  [[nodiscard]] Qt::ItemFlags flags(const QModelIndex& index) const override;

  void check(const QString& preset, bool on);  // empty: the present parameters
  // The methods of results, to go on with; they are checked, and count alone while they are. Empty: none.
  void setGiven(std::vector<MethodChoice> methods);
  [[nodiscard]] bool givenCounts() const noexcept { return !m_given.empty() && m_useGiven; }
  // Parameters that the work sets itself, whatever a method says: they are neither told nor part of a name.
  void setReplaced(std::vector<std::string> keys) { m_replaced = std::move(keys); }
  // The checked ones as they are now, named as the command line names them; none twice. Dense comes first.
  [[nodiscard]] std::vector<MethodChoice> choices() const;

 Q_SIGNALS:
  void changed();  // choices() is another

 private:
  const ParameterSet* m_present;
  [[nodiscard]] bool replaces(const std::string& key) const;
  [[nodiscard]] int givenRows() const noexcept { return m_given.empty() ? 0 : 1; }
  std::vector<MethodChoice> m_given;
  std::vector<std::string> m_replaced;
  bool m_useGiven = false;
  std::vector<bool> m_checked;  // [1 + presets]
};

}  // namespace dhsa
