// The parameters a person edits, with undo. Every change is one QUndoCommand; the changes of one gesture (a slider
// drag, a burst of key presses) merge into one, and a gesture that ends where it began leaves no step behind.
#pragma once

#include <QElapsedTimer>
#include <QObject>
#include <QString>

#include "core/sparsity/parameters.h"

class QUndoStack;

namespace dhsa {

class ParameterSet : public QObject {
  Q_OBJECT

 public:
  explicit ParameterSet(QObject* parent = nullptr);

  [[nodiscard]] const SparsityParameters& values() const noexcept { return m_values; }
  [[nodiscard]] QUndoStack* undoStack() const noexcept { return m_undo; }
  // What check_parameters() says against the present values; empty while they are fit to run.
  [[nodiscard]] QString problem() const { return m_problem; }

  // What reset() goes back to: instruction tokens are those of the question at the end of the text.
  [[nodiscard]] SparsityParameters defaults() const;
  // Of the text that is opened: instruction tokens that followed the last one's question follow this one's, in the
  // steps that can be undone too.
  void setQuestionTokens(std::int64_t tokens);

  // False, and refused() with the reason, where the value does not fit the parameter.
  // Another method is taken as its name stands for it (named_parameters()), at the present budget.
  bool set(const QString& key, const OptionValue& value);
  void reset(const QString& key);
  void resetAll();
  // Several at once (a preset, a loaded session) as one step called `what`.
  void apply(const SparsityParameters& values, const QString& what);
  // Replaces everything and forgets history: for a restored session.
  void restore(const SparsityParameters& values);

  // Between these, changes of one key merge into one undo step.
  void beginGesture();
  void endGesture();

 Q_SIGNALS:
  void changed();
  void refused(const QString& sentence);

 private:
  friend class SetParametersCommand;
  void assign(SparsityParameters values, bool question);
  [[nodiscard]] bool follows(const SparsityParameters& values) const noexcept {
    return values.instruction_tokens == m_question;
  }
  void push(const SparsityParameters& after, const QString& key, const QString& text);

  SparsityParameters m_values;
  QUndoStack* m_undo;
  QString m_problem;
  std::int64_t m_question = 0;
  QElapsedTimer m_sinceChange;
  bool m_held = false;  // a slider is held down
  int m_gesture = 0;
};

}  // namespace dhsa
