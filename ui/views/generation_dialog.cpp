#include "ui/views/generation_dialog.h"

#include <QDialogButtonBox>
#include <QGridLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QScrollBar>
#include <QSpinBox>
#include <QTextCursor>
#include <QTextEdit>
#include <QVBoxLayout>
#include <algorithm>
#include <span>

#include "core/text/tokenizer.h"
#include "ui/models/format.h"
#include "ui/state/generation.h"

namespace dhsa {
namespace {

QString stateText(const Continued& one) {
  switch (one.state) {
    case Continued::State::kWaiting:
      return GenerationDialog::tr("Waits");
    case Continued::State::kReading:
      return GenerationDialog::tr("Reads the text: %1").arg(formatPercent(one.read, 0));
    case Continued::State::kWriting:
      return GenerationDialog::tr("Writes");
    case Continued::State::kCancelled:
      return GenerationDialog::tr("Cancelled");
    case Continued::State::kEnded:
    case Continued::State::kFailed:
      break;
  }
  QString end = one.end;
  if (!end.isEmpty()) end[0] = end[0].toUpper();
  return end;
}

QString figuresText(const Continued& one) {
  if (one.state != Continued::State::kEnded) return {};
  const auto tokens = static_cast<qint64>(one.ids.size());
  QString text = GenerationDialog::tr("%1 · prefill %2")
                     .arg(counted(tokens, "token", "tokens"), formatSeconds(one.prefillSeconds));
  if (tokens > 1 && one.seconds > 0) {
    text += GenerationDialog::tr(" · %1 tokens/s").arg(formatReal(static_cast<double>(tokens) / one.seconds));
  }
  return text;
}

}  // namespace

GenerationDialog::GenerationDialog(Generation* generation, QWidget* parent)
    : QDialog(parent),
      m_generation(generation),
      m_most(new QSpinBox(this)),
      m_start(new QPushButton(tr("&Generate"), this)),
      m_cancel(new QPushButton(tr("&Cancel"), this)),
      m_prompt(new QLabel(this)),
      m_agreement(new QLabel(this)) {
  setObjectName(QStringLiteral("generationDialog"));
  setWindowTitle(tr("Generate"));
  m_most->setObjectName(QStringLiteral("mostTokens"));
  m_most->setRange(1, 4096);
  m_most->setValue(128);
  m_most->setToolTip(tr("Each continuation ends here at the latest. Default: 128."));
  auto* mostLabel = new QLabel(tr("&Most tokens"), this);
  mostLabel->setBuddy(m_most);
  m_start->setObjectName(QStringLiteral("startGeneration"));
  m_start->setDefault(true);
  m_start->setToolTip(
      tr("Continue the text greedily, first after a dense prefill, then after one with the present "
         "parameters. Decoding itself is dense."));
  m_cancel->setObjectName(QStringLiteral("cancelGeneration"));
  m_cancel->setAutoDefault(false);
  m_prompt->setObjectName(QStringLiteral("generationPrompt"));
  m_prompt->setWordWrap(true);

  auto* top = new QHBoxLayout;
  top->addWidget(mostLabel);
  top->addWidget(m_most);
  top->addWidget(m_start);
  top->addWidget(m_cancel);
  top->addStretch(1);
  auto* grid = new QGridLayout;
  for (int index = 0; index < 2; ++index) {
    Side& side = m_sides[static_cast<std::size_t>(index)];
    side.method = new QLabel(this);
    QFont bold = side.method->font();
    bold.setBold(true);
    side.method->setFont(bold);
    side.text = new QPlainTextEdit(this);
    side.text->setObjectName(QStringLiteral("continuation%1").arg(index));
    side.text->setReadOnly(true);
    side.text->setTabChangesFocus(true);
    side.text->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
    side.state = new QLabel(this);
    side.state->setObjectName(QStringLiteral("continuationState%1").arg(index));
    side.state->setWordWrap(true);
    side.state->setMinimumHeight(fontMetrics().lineSpacing() * 2);
    side.state->setAlignment(Qt::AlignLeft | Qt::AlignTop);
    grid->addWidget(side.method, 0, index);
    grid->addWidget(side.text, 1, index);
    side.figures = new QLabel(this);
    side.figures->setObjectName(QStringLiteral("continuationFigures%1").arg(index));
    grid->addWidget(side.figures, 2, index);
    grid->addWidget(side.state, 3, index);
    grid->setColumnStretch(index, 1);
  }
  // The same place of both, once neither grows any more.
  for (std::size_t index = 0; index < m_sides.size(); ++index) {
    QScrollBar* other = m_sides[1 - index].text->verticalScrollBar();
    connect(m_sides[index].text->verticalScrollBar(), &QScrollBar::valueChanged, this, [this, other](int value) {
      if (!m_generation->isRunning()) other->setValue(value);
    });
  }
  m_agreement->setObjectName(QStringLiteral("agreement"));
  m_agreement->setWordWrap(true);
  auto* buttons = new QDialogButtonBox(QDialogButtonBox::Close, this);
  buttons->button(QDialogButtonBox::Close)->setAutoDefault(false);
  connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::reject);
  auto* layout = new QVBoxLayout(this);
  layout->addWidget(m_prompt);
  layout->addLayout(top);
  layout->addLayout(grid, 1);
  layout->addWidget(m_agreement);
  layout->addWidget(buttons);

  connect(m_start, &QPushButton::clicked, this, [this] { m_generation->start(m_most->value()); });
  connect(m_cancel, &QPushButton::clicked, m_generation, &Generation::cancel);
  connect(this, &QDialog::finished, m_generation, &Generation::cancel);
  connect(generation, &Generation::begun, this, &GenerationDialog::refresh);
  connect(generation, &Generation::ended, this, &GenerationDialog::refreshButtons);
  connect(generation, &Generation::ended, this, &GenerationDialog::compare);
  connect(generation, &Generation::presentChanged, this, &GenerationDialog::refreshHeadings);
  connect(generation, &Generation::changed, this, &GenerationDialog::say);
  connect(generation, &Generation::grown, this, &GenerationDialog::add);
  connect(generation->session(), &Session::documentChanged, this, &GenerationDialog::refresh);
  refresh();
  m_start->setFocus();
  resize(fontMetrics().averageCharWidth() * 110, fontMetrics().lineSpacing() * 26);
}

void GenerationDialog::refresh() {
  const auto document = m_generation->session()->document();
  m_prompt->setText(
      document ? tr("Prompt: %1, %2 tokens, as it is read").arg(document->title, formatCount(document->tokens()))
               : tr("No text is open."));
  const std::vector<Continued>& sides = m_generation->sides();
  for (std::size_t index = 0; index < m_sides.size(); ++index) {
    const Side& side = m_sides[index];
    const bool there = index < sides.size();
    side.text->setPlainText(there ? sides[index].text : QString());
    for (QWidget* widget : std::initializer_list<QWidget*>{side.method, side.text, side.figures, side.state})
      widget->setVisible(there || sides.empty());
  }
  refreshHeadings();
  for (int index = 0; index < static_cast<int>(m_sides.size()); ++index) say(index);
  refreshButtons();
  compare();
}

void GenerationDialog::refreshHeadings() {
  const std::vector<Continued>& sides = m_generation->sides();
  for (std::size_t index = 0; index < m_sides.size(); ++index) {
    const bool there = index < sides.size();
    QString name = there ? sides[index].method : index == 0 ? tr("Dense") : m_generation->presentMethod();
    if (there && m_generation->isOutdated(sides[index])) name += tr(" · parameters have changed since");
    m_sides[index].method->setText(name);
    m_sides[index].text->setAccessibleName(tr("Continuation under %1").arg(name));
  }
}

// Marks the first token in which the two differ, and says which it is.
void GenerationDialog::compare() {
  const std::vector<Continued>& sides = m_generation->sides();
  for (const Side& side : m_sides) side.text->setExtraSelections({});
  m_agreement->clear();
  const auto model = m_generation->session()->model();
  if (sides.size() < 2 || !model || sides[1].state != Continued::State::kEnded) return;
  const std::size_t common = commonTokens(sides[0], sides[1]);
  const auto count = static_cast<qint64>(common);
  if (common == sides[0].ids.size() && common == sides[1].ids.size()) {
    m_agreement->setText(tr("Both are the same, all %1.").arg(counted(count, "token", "tokens")));
    return;
  }
  m_agreement->setText(common == 0
                           ? tr("They differ from the first token on (marked).")
                           : tr("The same for %1, then they differ (marked).").arg(counted(count, "token", "tokens")));
  for (std::size_t index = 0; index < m_sides.size(); ++index) {
    const std::span<const std::int32_t> ids = sides[index].ids;
    const int end = m_sides[index].text->document()->characterCount() - 1;
    const auto place = [&](std::size_t tokens) {  // characters of so many tokens
      const std::string text = model->tokenizer->decode(ids.first(std::min(tokens, ids.size())));
      return std::min(end, static_cast<int>(QString::fromStdString(text).size()));
    };
    QTextEdit::ExtraSelection mark;
    mark.format.setBackground(QColor(0xff, 0xd5, 0x4d));
    mark.format.setForeground(Qt::black);
    mark.cursor = QTextCursor(m_sides[index].text->document());
    mark.cursor.setPosition(place(common));
    mark.cursor.setPosition(place(common + 1), QTextCursor::KeepAnchor);
    m_sides[index].text->setExtraSelections({mark});
    m_sides[index].text->setTextCursor(QTextCursor(mark.cursor.block()));  // into sight
    m_sides[index].text->ensureCursorVisible();
  }
}

void GenerationDialog::refreshButtons() {
  const bool running = m_generation->isRunning();
  const bool cancelHadKeyboard = m_cancel->hasFocus();
  m_start->setEnabled(!running && m_generation->session()->document() != nullptr);
  m_most->setEnabled(!running);
  m_cancel->setEnabled(running);
  if (running && !m_cancel->hasFocus()) m_cancel->setFocus();
  if (!running && cancelHadKeyboard) m_start->setFocus();
}

void GenerationDialog::say(int side) {
  const auto index = static_cast<std::size_t>(side);
  const std::vector<Continued>& sides = m_generation->sides();
  QLabel* label = m_sides[index].state;
  label->setText(index < sides.size() ? stateText(sides[index]) : QString());
  m_sides[index].figures->setText(index < sides.size() ? figuresText(sides[index]) : QString());
  label->setAccessibleName(tr("State of %1: %2").arg(m_sides[index].method->text(), label->text()));
}

// The end stays in sight unless a person has scrolled away from it.
void GenerationDialog::add(int side, const QString& piece) {
  QPlainTextEdit* text = m_sides[static_cast<std::size_t>(side)].text;
  QScrollBar* bar = text->verticalScrollBar();
  const bool atEnd = bar->value() == bar->maximum();
  QTextCursor cursor(text->document());
  cursor.movePosition(QTextCursor::End);
  cursor.insertText(piece);
  if (atEnd) bar->setValue(bar->maximum());
}

}  // namespace dhsa
