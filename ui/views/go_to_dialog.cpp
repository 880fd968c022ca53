#include "ui/views/go_to_dialog.h"

#include <QComboBox>
#include <QDialogButtonBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QSpinBox>
#include <QVBoxLayout>
#include <algorithm>

#include "ui/models/format.h"
#include "ui/state/explorer.h"

namespace dhsa {
namespace {

constexpr int kShownCharacters = 60;

}  // namespace

GoToDialog::GoToDialog(Explorer* explorer, QWidget* parent)
    : QDialog(parent),
      m_explorer(explorer),
      m_kind(new QComboBox(this)),
      m_number(new QSpinBox(this)),
      m_text(new QLabel(this)) {
  setObjectName(QStringLiteral("goToDialog"));
  setWindowTitle(tr("Go to"));
  m_kind->setObjectName(QStringLiteral("goToKind"));
  m_kind->setAccessibleName(tr("What to go to"));
  m_kind->addItem(tr("Token"));
  if (boundaries()) m_kind->addItem(tr("Chunk"));
  m_number->setObjectName(QStringLiteral("goToNumber"));
  m_number->setAccessibleName(tr("Number"));
  m_number->setGroupSeparatorShown(true);
  m_text->setObjectName(QStringLiteral("goToText"));
  m_text->setMinimumWidth(fontMetrics().averageCharWidth() * kShownCharacters);
  m_text->setTextFormat(Qt::PlainText);
  auto* row = new QHBoxLayout;
  row->addWidget(m_kind);
  row->addWidget(m_number, 1);
  auto* buttons = new QDialogButtonBox(QDialogButtonBox::Ok | QDialogButtonBox::Cancel, this);
  buttons->button(QDialogButtonBox::Ok)->setText(tr("Go"));
  auto* layout = new QVBoxLayout(this);
  layout->addLayout(row);
  layout->addWidget(m_text);
  layout->addWidget(buttons);
  connect(buttons, &QDialogButtonBox::accepted, this, &GoToDialog::accept);
  connect(buttons, &QDialogButtonBox::rejected, this, &GoToDialog::reject);
  connect(m_kind, &QComboBox::currentIndexChanged, this, &GoToDialog::chooseKind);
  connect(m_number, &QSpinBox::valueChanged, this, &GoToDialog::describe);
  // What is numbered here belongs to this text and layer.
  connect(explorer->session(), &Session::documentChanged, this, &QDialog::reject);
  chooseKind();
  m_number->setValue(static_cast<int>(std::max<qint64>(0, explorer->view()->row())));
  m_number->setFocus();
  m_number->selectAll();
}

const std::vector<std::int32_t>* GoToDialog::boundaries() const {
  const auto layer = m_explorer->whatIf()->layerInView();
  return layer && layer->plan && layer->plan->trace.boundaries.size() > 1 ? &layer->plan->trace.boundaries : nullptr;
}

void GoToDialog::chooseKind() {
  const bool chunk = m_kind->currentIndex() == 1 && boundaries();
  const qint64 last =
      chunk ? static_cast<qint64>(boundaries()->size()) - 2 : m_explorer->session()->document()->tokens() - 1;
  m_number->setRange(0, static_cast<int>(last));
  m_number->setSuffix(tr("  (0 to %1)").arg(formatCount(last)));
  describe();
}

qint64 GoToDialog::firstToken() const {
  const auto number = static_cast<std::size_t>(m_number->value());
  if (m_kind->currentIndex() == 0) return m_number->value();
  // The chunks may have been planned anew meanwhile.
  return boundaries() && number + 1 < boundaries()->size() ? (*boundaries())[number] : -1;
}

void GoToDialog::describe() {
  const auto document = m_explorer->session()->document();
  const qint64 token = firstToken();
  m_text->setText(
      token < 0 ? tr("There is no such chunk now")
                : document->shown.mid(document->begin[static_cast<std::size_t>(token)], kShownCharacters).simplified());
}

void GoToDialog::accept() {
  const qint64 token = firstToken();
  if (token < 0) {
    describe();
    return;
  }
  ViewState* view = m_explorer->view();
  if (m_kind->currentIndex() == 0) {
    view->selectRow(token);
    view->show(token, token, token);
  } else {
    view->selectKeys(token, (*boundaries())[static_cast<std::size_t>(m_number->value()) + 1]);
    view->show(token, -1, token);
  }
  QDialog::accept();
}

}  // namespace dhsa
