#include "ui/views/reading_dialog.h"

#include <QCheckBox>
#include <QComboBox>
#include <QDialogButtonBox>
#include <QFormLayout>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QStringList>
#include <QUndoStack>
#include <QVBoxLayout>
#include <utility>

#include "core/base/error.h"
#include "core/text/question.h"
#include "ui/models/format.h"
#include "ui/state/session.h"

namespace dhsa {
namespace {

// Goes onto the stack once the text has been read so: a reading that fails is no step.
class ReadCommand : public QUndoCommand {
 public:
  ReadCommand(Session* session, DocumentRequest before, DocumentRequest after)
      : QUndoCommand(ReadingDialog::tr("how the text is read")),
        m_session(session),
        m_before(std::move(before)),
        m_after(std::move(after)) {}
  void redo() override { read(m_after); }
  void undo() override { read(m_before); }

 private:
  void read(const DocumentRequest& request) {
    const DocumentRequest& open = m_session->request();
    const bool sameText = open.path == request.path && open.text == request.text;
    setObsolete(!sameText);  // another text is not read as this one was
    if (sameText && open.reading != request.reading) m_session->openDocument(request);
  }

  Session* m_session;
  DocumentRequest m_before;
  DocumentRequest m_after;
};

}  // namespace

ReadingDialog::ReadingDialog(Session* session, QUndoStack* undo, QWidget* parent)
    : QDialog(parent),
      m_session(session),
      m_undo(undo),
      m_chat(new QComboBox(this)),
      m_marks(new QLineEdit(this)),
      m_whole(new QCheckBox(tr("&Whole, also where it is longer than the model's context"), this)),
      m_result(new QLabel(this)) {
  setObjectName(QStringLiteral("readingDialog"));
  setWindowTitle(tr("How the text is read"));
  m_chat->setObjectName(QStringLiteral("chat"));
  m_chat->addItem(tr("As one turn of the user where the model is instruction-tuned"), QStringLiteral("auto"));
  m_chat->addItem(tr("As one turn of the user"), QStringLiteral("on"));
  m_chat->addItem(tr("As it is"), QStringLiteral("off"));
  m_chat->setToolTip(
      tr("A turn is closed by the model's own markers, and <end_of_turn> ends its answer. A text that already holds "
         "the markers is read as the chat that it is."));
  m_marks->setObjectName(QStringLiteral("questionMarks"));
  QStringList usual;
  for (const std::string& mark : usual_question_marks()) usual << QString::fromStdString(mark);
  m_marks->setPlaceholderText(usual.join(QStringLiteral(", ")));
  m_marks->setToolTip(tr("The last line that begins with one of these is the question, if it stands at most %1 tokens "
                         "before the end: its rows attend densely. Separated by commas; “none”: no line; empty: %2.")
                          .arg(kMostQuestionTokens)
                          .arg(usual.join(QStringLiteral(", "))));
  m_whole->setObjectName(QStringLiteral("allowLong"));
  m_result->setObjectName(QStringLiteral("readingResult"));
  m_result->setWordWrap(true);
  m_result->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
  m_result->setMinimumHeight(fontMetrics().lineSpacing() * 4);
  m_result->setAlignment(Qt::AlignLeft | Qt::AlignTop);

  auto* form = new QFormLayout;
  form->addRow(tr("&Chat"), m_chat);
  form->addRow(tr("&Question begins with"), m_marks);
  form->addRow(tr("Length"), m_whole);
  form->addRow(tr("Now"), m_result);
  auto* buttons = new QDialogButtonBox(QDialogButtonBox::Ok | QDialogButtonBox::Apply | QDialogButtonBox::Cancel, this);
  connect(buttons, &QDialogButtonBox::accepted, this, &ReadingDialog::accept);
  connect(buttons, &QDialogButtonBox::rejected, this, &ReadingDialog::reject);
  connect(buttons->button(QDialogButtonBox::Apply), &QPushButton::clicked, this, &ReadingDialog::apply);
  auto* layout = new QVBoxLayout(this);
  layout->addLayout(form);
  layout->addStretch(1);
  layout->addWidget(buttons);
  connect(session, &Session::documentChanged, this, &ReadingDialog::refresh);
  refresh();
  resize(fontMetrics().averageCharWidth() * 88, sizeHint().height());
}

bool ReadingDialog::apply() {
  DocumentRequest request = m_session->request();
  TextReading& reading = request.reading;
  reading.chat = m_chat->currentData().toString().toStdString();
  reading.question_marks = m_marks->text().trimmed().toStdString();
  reading.allow_long = m_whole->isChecked();
  try {
    check_reading(reading);
  } catch (const Error& error) {
    m_result->setText(QString::fromStdString(error.what()));
    m_marks->setFocus();
    return false;
  }
  const DocumentRequest before = m_session->request();
  if (reading != before.reading) {
    m_session->openDocument(request, [session = m_session, undo = m_undo, before, request] {
      undo->push(new ReadCommand(session, before, request));
    });
  }
  return true;
}

void ReadingDialog::accept() {
  if (apply()) QDialog::accept();
}

void ReadingDialog::refresh() {
  const TextReading& reading = m_session->request().reading;
  m_chat->setCurrentIndex(m_chat->findData(QString::fromStdString(reading.chat)));
  m_marks->setText(QString::fromStdString(reading.question_marks));
  m_whole->setChecked(reading.allow_long);
  say();
}

void ReadingDialog::say() {
  const auto document = m_session->document();
  if (!document) {
    m_result->setText(tr("No text is open."));
    return;
  }
  const Document& content = document->content;
  QStringList lines(tr("%1 tokens, %2.")
                        .arg(formatCount(content.tokens()))
                        .arg(content.question_tokens > 0
                                 ? tr("the last %1 are its question").arg(formatCount(content.question_tokens))
                                 : tr("no question at the end")));
  for (const std::string& note : content.notes) lines << QString::fromStdString(note);
  m_result->setText(lines.join(u'\n'));
}

}  // namespace dhsa
