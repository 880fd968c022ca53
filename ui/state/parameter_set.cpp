#include "ui/state/parameter_set.h"

#include <QUndoCommand>
#include <QUndoStack>
#include <utility>

#include "core/base/error.h"

namespace dhsa {
namespace {

// Key presses and wheel steps closer together than this are one gesture.
constexpr qint64 kGesturePauseMs = 700;

}  // namespace

class SetParametersCommand : public QUndoCommand {
 public:
  SetParametersCommand(ParameterSet* set, SparsityParameters after, QString key, int gesture, const QString& text)
      : QUndoCommand(text),
        m_set(set),
        m_before(set->values()),
        m_after(std::move(after)),
        m_questionBefore(set->follows(m_before)),
        m_questionAfter(set->follows(m_after)),
        m_key(std::move(key)),
        m_gesture(gesture) {}

  void redo() override { m_set->assign(m_after, m_questionAfter); }
  void undo() override { m_set->assign(m_before, m_questionBefore); }
  [[nodiscard]] int id() const override { return 1; }
  bool mergeWith(const QUndoCommand* other) override {
    const auto* next = static_cast<const SetParametersCommand*>(other);
    if (m_key.isEmpty() || next->m_key != m_key || next->m_gesture != m_gesture) return false;
    m_after = next->m_after;
    m_questionAfter = next->m_questionAfter;
    setText(next->text());
    setObsolete(m_after == m_before);
    return true;
  }

 private:
  ParameterSet* m_set;
  SparsityParameters m_before;
  SparsityParameters m_after;
  bool m_questionBefore;  // instruction tokens are those of the question, of whatever text
  bool m_questionAfter;
  QString m_key;  // empty: never merges
  int m_gesture;
};

ParameterSet::ParameterSet(QObject* parent) : QObject(parent), m_undo(new QUndoStack(this)) { m_sinceChange.start(); }

bool ParameterSet::set(const QString& key, const OptionValue& value) {
  SparsityParameters after = m_values;
  const std::string name = key.toStdString();
  try {
    set_parameter(after, name, value);
    if (after.method != m_values.method) {
      after = named_parameters(name_of(after.method), m_values, {{"budget", m_values.budget}});
    }
  } catch (const Error& error) {
    Q_EMIT refused(QString::fromStdString(error.what()));
    return false;
  }
  if (after == m_values) return true;
  if (!m_held && m_sinceChange.elapsed() > kGesturePauseMs) ++m_gesture;
  m_sinceChange.restart();
  const OptionInfo& info = parameter_table().at(name);
  push(after, key,
       tr("%1 = %2").arg(QString::fromStdString(info.label),
                         QString::fromStdString(to_text(info, get_parameter(after, name)))));
  return true;
}

void ParameterSet::reset(const QString& key) {
  ++m_gesture;
  set(key, get_parameter(defaults(), key.toStdString()));
  ++m_gesture;
}

void ParameterSet::resetAll() { apply(defaults(), tr("Reset all parameters")); }

SparsityParameters ParameterSet::defaults() const {
  SparsityParameters values;
  values.instruction_tokens = m_question;
  return values;
}

void ParameterSet::setQuestionTokens(std::int64_t tokens) {
  const bool followed = follows(m_values);
  m_question = tokens;
  assign(m_values, followed);
}

void ParameterSet::apply(const SparsityParameters& values, const QString& what) {
  if (values != m_values) push(values, {}, what);
}

void ParameterSet::restore(const SparsityParameters& values) {
  m_undo->clear();
  assign(values, false);
}

void ParameterSet::beginGesture() {
  ++m_gesture;
  m_held = true;
}

void ParameterSet::endGesture() {
  ++m_gesture;
  m_held = false;
}

void ParameterSet::push(const SparsityParameters& after, const QString& key, const QString& text) {
  m_undo->push(new SetParametersCommand(this, after, key, m_gesture, text));
}

void ParameterSet::assign(SparsityParameters values, bool question) {
  if (question) values.instruction_tokens = m_question;
  if (values == m_values) return;
  m_values = std::move(values);
  m_problem.clear();
  try {
    check_parameters(m_values);
  } catch (const Error& error) {
    m_problem = QString::fromStdString(error.what());
  }
  Q_EMIT changed();
}

}  // namespace dhsa
