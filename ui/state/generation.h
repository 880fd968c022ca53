// Greedy continuations of the open text, one after a dense prefill and one after the present method's.
#pragma once

#include <QObject>
#include <QString>
#include <cstdint>
#include <vector>

#include "ui/state/engine.h"
#include "ui/state/parameter_set.h"
#include "ui/state/session.h"

namespace dhsa {

// One of them as it grows.
struct Continued {
  enum class State : std::uint8_t { kWaiting, kReading, kWriting, kEnded, kCancelled, kFailed };
  QString method;  // label
  QString text;
  State state = State::kWaiting;
  double read = 0;  // share of the prompt, in kReading
  QString end;      // why it ended, in kEnded and kFailed
  SparsityParameters parameters;
  // In kEnded.
  std::vector<std::int32_t> ids;
  double prefillSeconds = 0;
  double seconds = 0;  // of the tokens
};

// The tokens that both begin with; less than the shorter one has where they differ.
[[nodiscard]] std::size_t commonTokens(const Continued& a, const Continued& b);

class Generation : public QObject {
  Q_OBJECT

 public:
  Generation(Session* session, ParameterSet* parameters, Engine* engine, QObject* parent = nullptr);

  [[nodiscard]] const std::vector<Continued>& sides() const noexcept { return m_sides; }
  [[nodiscard]] bool isRunning() const noexcept { return m_running; }
  [[nodiscard]] Session* session() const noexcept { return m_session; }
  // What the present parameters are called, "DHSA 1024".
  [[nodiscard]] QString presentMethod() const;
  // Whether a side is of other parameters than the present ones.
  [[nodiscard]] bool isOutdated(const Continued& side) const;
  // The document as it is is the prompt. Dense first; alone where it is the present method.
  void start(int mostTokens);
  void cancel();

 Q_SIGNALS:
  void begun();  // sides() are new
  void changed(int side);
  void grown(int side, const QString& piece);  // of text, before changed()
  void ended();
  void presentChanged();  // presentMethod() may be another

 private:
  void stopped(Continued::State state, const QString& end);

  Session* m_session;
  ParameterSet* m_parameters;
  Engine* m_engine;
  std::vector<Continued> m_sides;
  bool m_running = false;
};

}  // namespace dhsa
