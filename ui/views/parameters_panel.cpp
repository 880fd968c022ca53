#include "ui/views/parameters_panel.h"

#include <QAction>
#include <QCheckBox>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QEvent>
#include <QFileDialog>
#include <QGridLayout>
#include <QHBoxLayout>
#include <QKeyEvent>
#include <QLabel>
#include <QLineEdit>
#include <QPainter>
#include <QPushButton>
#include <QScrollArea>
#include <QSignalBlocker>
#include <QSlider>
#include <QSpinBox>
#include <QToolButton>
#include <cmath>

#include "core/run/open_model.h"
#include "core/text/question.h"
#include "ui/state/parameter_set.h"
#include "ui/views/theme.h"

namespace dhsa {
namespace {

constexpr int kSliderSteps = 1000;

QString translated(const std::string& text) { return QString::fromStdString(text); }

// Where a slider ends; the spin box beside it takes the whole range.
double sliderEnd(const OptionInfo& info, qint64 tokens) {
  const double end = info.slider_end == kLengthOfText ? std::max(static_cast<double>(tokens), 64.0) : info.slider_end;
  return std::max(end > 0 ? std::min(info.maximum, end) : info.maximum, info.minimum + 1e-9);
}

// Fine steps at the low end, coarse ones at the high end.
double sliderValue(int position, double low, double high) {
  const double share = static_cast<double>(position) / kSliderSteps;
  const double growth = high - low > 32 ? 64.0 : 1.0001;
  return low + (high - low) * (std::pow(growth, share) - 1) / (growth - 1);
}

int sliderPosition(double value, double low, double high) {
  const double growth = high - low > 32 ? 64.0 : 1.0001;
  const double share = std::clamp((value - low) / (high - low), 0.0, 1.0);
  return static_cast<int>(std::lround(kSliderSteps * std::log(1 + share * (growth - 1)) / std::log(growth)));
}

std::int64_t rounded(double value) {
  const double step = value > 4096 ? 128 : value > 1024 ? 64 : value > 256 ? 16 : value > 64 ? 4 : 1;
  return static_cast<std::int64_t>(std::llround(value / step) * static_cast<std::int64_t>(step));
}

// The wheel scrolls the panel; it changes a control only once that has the focus. Undo and redo mean the parameters,
// not the digits in a box.
class ControlGuard : public QObject {
 public:
  using QObject::QObject;
  bool eventFilter(QObject* watched, QEvent* event) override {
    if (event->type() == QEvent::Wheel && !static_cast<QWidget*>(watched)->hasFocus()) {
      event->ignore();
      return true;
    }
    if (event->type() == QEvent::ShortcutOverride) {
      const auto* key = static_cast<QKeyEvent*>(event);
      if (key->matches(QKeySequence::Undo) || key->matches(QKeySequence::Redo)) {
        event->ignore();
        return true;
      }
    }
    return QObject::eventFilter(watched, event);
  }
};

QIcon resetIcon(const QPalette& palette) {
  QIcon icon;
  for (const int scale : {1, 2}) {
    QPixmap pixmap(14 * scale, 14 * scale);
    pixmap.setDevicePixelRatio(scale);
    pixmap.fill(Qt::transparent);
    QPainter painter(&pixmap);
    painter.setRenderHint(QPainter::Antialiasing);
    painter.setPen(QPen(palette.color(QPalette::WindowText), 1.4, Qt::SolidLine, Qt::RoundCap));
    painter.drawArc(QRectF(2.5, 2.5, 9, 9), 30 * 16, 280 * 16);
    painter.setBrush(palette.color(QPalette::WindowText));
    painter.setPen(Qt::NoPen);
    painter.drawPolygon(QPolygonF({{11.9, 1.6}, {12.6, 6.0}, {8.4, 5.0}}));
    icon.addPixmap(pixmap);
  }
  return icon;
}

}  // namespace

ParametersPanel::ParametersPanel(ParameterSet* parameters, QWidget* parent)
    : QWidget(parent),
      m_parameters(parameters),
      m_preset(new QComboBox(this)),
      m_scroll(new QScrollArea(this)),
      m_problem(new QLabel(this)),
      m_run(new QPushButton(this)) {
  setObjectName(QStringLiteral("parametersPanel"));
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(8, 6, 4, 6);
  layout->setSpacing(6);

  auto* top = new QHBoxLayout;
  auto* presetLabel = new QLabel(tr("Pre&set"), this);
  presetLabel->setBuddy(m_preset);
  m_preset->setObjectName(QStringLiteral("preset"));
  m_preset->setAccessibleName(tr("Preset"));
  m_preset->setToolTip(
      tr("Named settings. Applying one is a single undo step; instruction tokens and predictor stay."));
  m_preset->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
  m_preset->setMinimumContentsLength(8);
  m_preset->addItem(tr("Custom"));
  for (const Preset& preset : presets()) {
    m_preset->addItem(translated(preset.label), translated(preset.name));
    m_preset->setItemData(m_preset->count() - 1, translated(preset.help), Qt::ToolTipRole);
  }
  auto* resetAll = new QToolButton(this);
  resetAll->setObjectName(QStringLiteral("resetAll"));
  resetAll->setText(tr("Reset"));
  resetAll->setAccessibleName(tr("Reset all parameters"));
  resetAll->setToolTip(tr("Set every parameter to its default (one undo step)"));
  resetAll->setAutoRaise(true);
  top->addWidget(presetLabel);
  top->addWidget(m_preset, 1);
  top->addWidget(resetAll);
  layout->addLayout(top);

  m_scroll->setWidgetResizable(true);
  m_scroll->setFrameShape(QFrame::NoFrame);
  m_scroll->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  m_scroll->setFocusPolicy(Qt::NoFocus);
  layout->addWidget(m_scroll, 1);

  m_problem->setObjectName(QStringLiteral("problem"));
  m_problem->setWordWrap(true);
  m_problem->hide();
  layout->addWidget(m_problem);

  m_run->setObjectName(QStringLiteral("run"));
  layout->addWidget(m_run);
  setRunning(false);

  connect(resetAll, &QToolButton::clicked, m_parameters, &ParameterSet::resetAll);
  connect(m_preset, &QComboBox::activated, this, [this](int index) {
    if (index > 0) {
      const std::string name = m_preset->itemData(index).toString().toStdString();
      m_parameters->apply(named_parameters(name, m_parameters->values()),
                          tr("Preset “%1”").arg(m_preset->itemText(index)));
    }
    refresh();
  });
  connect(m_run, &QPushButton::clicked, this, [this] {
    if (m_running) {
      Q_EMIT cancelRequested();
    } else {
      Q_EMIT runRequested();
    }
  });
  connect(m_parameters, &ParameterSet::changed, this, &ParametersPanel::refresh);
  build();
  refresh();
}

void ParametersPanel::build() {
  auto* content = new QWidget;
  auto* grid = new QGridLayout(content);
  grid->setContentsMargins(0, 0, 3, 0);
  grid->setHorizontalSpacing(5);
  grid->setVerticalSpacing(3);
  grid->setColumnStretch(1, 1);
  int row = 0;
  std::string group;
  for (const Option<SparsityParameters>& info : parameter_table()) {
    if (info.group != group) {
      group = info.group;
      auto* heading = new QLabel(translated(group), content);
      QFont font = heading->font();
      font.setBold(true);
      heading->setFont(font);
      heading->setContentsMargins(0, row == 0 ? 0 : 7, 0, 1);
      grid->addWidget(heading, row++, 0, 1, 4);
      m_headings[group] = heading;
    }
    addRow(grid, row++, info);
  }
  grid->setRowStretch(row, 1);
  inkIcons();
  m_scroll->setWidget(content);
  // Nothing is cut off at the side: there is no horizontal scroll bar.
  m_scroll->setMinimumWidth(content->minimumSizeHint().width() + style()->pixelMetric(QStyle::PM_ScrollBarExtent) + 4);
}

void ParametersPanel::addRow(QGridLayout* grid, int row, const Option<SparsityParameters>& info) {
  Control control;
  control.info = &info;
  QWidget* content = grid->parentWidget();
  const QString key = translated(info.key);
  const QString caption = translated(info.label);
  const SparsityParameters defaults;
  const QString unit = translated(info.unit);
  QString help =
      QStringLiteral("<b>%1</b><br>%2<br>").arg(caption.toHtmlEscaped(), translated(info.help).toHtmlEscaped());
  QString standardText = translated(to_text(info, info.get(defaults)));
  if (standardText.isEmpty()) standardText = tr("none");
  // As the command does.
  if (info.key == "instruction-tokens") {
    standardText = tr("those of the question: the last line that begins with “Question:” or the like, if it stands "
                      "within %1 tokens of the end")
                       .arg(kMostQuestionTokens);
  }
  help += unit.isEmpty() || standardText.contains(unit) ? tr("Default: %1").arg(standardText)
                                                        : tr("Default: %1 %2").arg(standardText, unit);
  if (info.numeric()) {
    help += QStringLiteral("<br>") + tr("Range: %1 to %2").arg(info.minimum, 0, 'g', 10).arg(info.maximum, 0, 'g', 10) +
            (unit.isEmpty() ? QString() : QStringLiteral(" ") + unit);
  }
  help += QStringLiteral("<br>") + tr("Command line: --%1").arg(key);

  auto* label = new QLabel(caption, content);
  label->setToolTip(help);
  control.widgets.push_back(label);
  grid->addWidget(label, row, 0);

  auto* guard = new ControlGuard(content);
  const auto adopt = [&](QWidget* widget, const QString& name) {
    widget->setObjectName(name);
    widget->setAccessibleName(caption);
    widget->setAccessibleDescription(translated(info.help));
    widget->setToolTip(help);
    widget->setFocusPolicy(Qt::StrongFocus);
    widget->installEventFilter(guard);
    if (auto* line = widget->findChild<QLineEdit*>()) line->installEventFilter(guard);
    control.widgets.push_back(widget);
  };

  switch (info.kind) {
    case OptionInfo::Kind::kFlag: {
      auto* box = new QCheckBox(content);
      adopt(box, key);
      control.editor = box;
      grid->addWidget(box, row, 1, 1, 2);
      connect(box, &QCheckBox::toggled, this, [this, key](bool on) {
        if (!m_refreshing) m_parameters->set(key, on);
      });
      break;
    }
    case OptionInfo::Kind::kChoice: {
      auto* combo = new QComboBox(content);
      combo->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
      combo->setMinimumContentsLength(9);
      for (std::size_t i = 0; i < info.choices.size(); ++i) {
        combo->addItem(translated(info.choice_labels[i]), translated(info.choices[i]));
      }
      adopt(combo, key);
      control.editor = combo;
      grid->addWidget(combo, row, 1, 1, 2);
      connect(combo, &QComboBox::activated, this, [this, key, combo](int index) {
        m_parameters->set(key, combo->itemData(index).toString().toStdString());
        refresh();
      });
      break;
    }
    case OptionInfo::Kind::kText:
    case OptionInfo::Kind::kFile: {
      auto* edit = new QLineEdit(content);
      edit->setPlaceholderText(tr("the model's own"));
      adopt(edit, key);
      control.editor = edit;
      auto* browse = edit->addAction(style()->standardIcon(QStyle::SP_DirOpenIcon), QLineEdit::TrailingPosition);
      browse->setToolTip(tr("Choose a file"));
      connect(browse, &QAction::triggered, this, [this, key, edit] {
        const QString path = QFileDialog::getOpenFileName(this, tr("Predictor weights"), edit->text(),
                                                          tr("safetensors (*.safetensors)"));
        if (!path.isEmpty()) m_parameters->set(key, path.toStdString());
      });
      connect(edit, &QLineEdit::editingFinished, this,
              [this, key, edit] { m_parameters->set(key, edit->text().toStdString()); });
      grid->addWidget(edit, row, 1, 1, 2);
      break;
    }
    case OptionInfo::Kind::kCount:
    case OptionInfo::Kind::kReal: {
      auto* slider = new QSlider(Qt::Horizontal, content);
      slider->setRange(0, kSliderSteps);
      slider->setSingleStep(10);
      slider->setPageStep(100);
      slider->setMinimumWidth(46);
      adopt(slider, key + QStringLiteral("-slider"));
      slider->setAccessibleName(tr("%1, slider").arg(caption));
      control.slider = slider;
      grid->addWidget(slider, row, 1);
      const bool whole = info.kind == OptionInfo::Kind::kCount;
      const double low = info.minimum;
      if (whole) {
        auto* spin = new QSpinBox(content);
        spin->setRange(static_cast<int>(info.minimum), static_cast<int>(info.maximum));
        spin->setKeyboardTracking(false);
        adopt(spin, key);
        control.editor = spin;
        connect(spin, &QSpinBox::valueChanged, this, [this, key](int value) {
          if (!m_refreshing) m_parameters->set(key, static_cast<std::int64_t>(value));
        });
      } else {
        auto* spin = new QDoubleSpinBox(content);
        spin->setDecimals(info.maximum <= 1.0 ? 3 : 2);
        spin->setRange(info.minimum, info.maximum);
        spin->setSingleStep(info.maximum <= 1.0 ? 0.01 : 0.25);
        spin->setKeyboardTracking(false);
        adopt(spin, key);
        control.editor = spin;
        connect(spin, &QDoubleSpinBox::valueChanged, this, [this, key](double value) {
          if (!m_refreshing) m_parameters->set(key, value);
        });
      }
      // The widest number is in the millions; typing one scrolls inside the box.
      control.editor->setFixedWidth(fontMetrics().horizontalAdvance(QStringLiteral("00000")) + 28);
      grid->addWidget(control.editor, row, 2);
      connect(slider, &QSlider::sliderPressed, m_parameters, &ParameterSet::beginGesture);
      connect(slider, &QSlider::sliderReleased, m_parameters, &ParameterSet::endGesture);
      connect(slider, &QSlider::valueChanged, this, [this, key, whole, low](int position) {
        if (m_refreshing) return;
        const double value = sliderValue(position, low, m_controls.at(key.toStdString()).high);
        if (whole) {
          m_parameters->set(key, std::max(rounded(value), static_cast<std::int64_t>(low)));
        } else {
          m_parameters->set(key, std::max(low, std::round(value * 100) / 100));
        }
      });
      break;
    }
  }
  label->setBuddy(control.editor);

  auto* reset = new QToolButton(content);
  reset->setObjectName(key + QStringLiteral("-reset"));
  reset->setIconSize({14, 14});
  reset->setAutoRaise(true);
  reset->setFixedSize(20, 20);
  reset->setAccessibleName(tr("Reset %1").arg(caption));
  reset->setToolTip(tr("Reset to %1").arg(standardText));
  QSizePolicy keep = reset->sizePolicy();
  keep.setRetainSizeWhenHidden(true);
  reset->setSizePolicy(keep);
  connect(reset, &QToolButton::clicked, this, [this, key] { m_parameters->reset(key); });
  control.reset = reset;
  grid->addWidget(reset, row, 3);
  m_controls.emplace(info.key, std::move(control));
}

void ParametersPanel::inkIcons() {
  const QIcon icon = resetIcon(palette());
  for (const auto& [key, control] : m_controls) control.reset->setIcon(icon);
}

void ParametersPanel::changeEvent(QEvent* event) {
  if (event->type() == QEvent::PaletteChange) inkIcons();
  QWidget::changeEvent(event);
}

void ParametersPanel::setTokens(qint64 tokens) {
  m_tokens = tokens;
  refresh();
}

void ParametersPanel::setModelFolder(const QString& folder) {
  m_modelFolder = folder.toStdU16String();
  refresh();
}

QWidget* ParametersPanel::editor(const QString& key) const {
  const auto found = m_controls.find(key.toStdString());
  return found == m_controls.end() ? nullptr : found->second.editor;
}

QWidget* ParametersPanel::slider(const QString& key) const {
  const auto found = m_controls.find(key.toStdString());
  return found == m_controls.end() ? nullptr : found->second.slider;
}

void ParametersPanel::refresh() {
  const SparsityParameters& values = m_parameters->values();
  const SparsityParameters defaults = m_parameters->defaults();
  const bool predictor = has_predictor(values, m_modelFolder);
  m_refreshing = true;
  std::map<std::string, bool> groupShown;
  for (auto& [key, control] : m_controls) {
    const bool shown = is_read(values, key, predictor);
    for (QWidget* widget : control.widgets) widget->setVisible(shown);
    groupShown[control.info->group] = groupShown[control.info->group] || shown;
    const OptionValue value = control.info->get(values);
    // The button keeps its place while it has nothing to do.
    control.reset->setVisible(shown && value != control.info->get(defaults));
    QSizePolicy policy = control.reset->sizePolicy();
    policy.setRetainSizeWhenHidden(shown);
    control.reset->setSizePolicy(policy);
    double number = 0;
    switch (control.info->kind) {
      case OptionInfo::Kind::kFlag:
        static_cast<QCheckBox*>(control.editor)->setChecked(std::get<bool>(value));
        continue;
      case OptionInfo::Kind::kChoice: {
        auto* combo = static_cast<QComboBox*>(control.editor);
        combo->setCurrentIndex(combo->findData(translated(std::get<std::string>(value))));
        continue;
      }
      case OptionInfo::Kind::kText:
      case OptionInfo::Kind::kFile:
        static_cast<QLineEdit*>(control.editor)->setText(translated(std::get<std::string>(value)));
        continue;
      case OptionInfo::Kind::kCount:
        number = static_cast<double>(std::get<std::int64_t>(value));
        static_cast<QSpinBox*>(control.editor)->setValue(static_cast<int>(number));
        break;
      case OptionInfo::Kind::kReal:
        number = std::get<double>(value);
        static_cast<QDoubleSpinBox*>(control.editor)->setValue(number);
        break;
    }
    control.high = sliderEnd(*control.info, m_tokens);
    // A slider under the hand stays where it is: its value was rounded.
    if (!control.slider->isSliderDown()) {
      control.slider->setValue(sliderPosition(number, control.info->minimum, control.high));
    }
  }
  for (auto& [group, heading] : m_headings) heading->setVisible(groupShown[group]);

  int preset = 0;
  for (int i = 1; i < m_preset->count(); ++i) {
    const std::string name = m_preset->itemData(i).toString().toStdString();
    if (preset == 0 && named_parameters(name, values) == values) preset = i;
  }
  m_preset->setCurrentIndex(preset);

  const QString problem = m_parameters->problem();
  m_problem->setVisible(!problem.isEmpty());
  m_problem->setText(QStringLiteral("<b>!</b> ") + problem.toHtmlEscaped());
  m_run->setEnabled(m_running || problem.isEmpty());
  m_refreshing = false;
}

void ParametersPanel::setWhatIf(bool whatIf) {
  m_run->setToolTip(whatIf
                        ? tr("The layers shown were re-planned on q and k of the last run. Run the whole prefill with "
                             "these parameters for exact figures and times (F5).")
                        : tr("Run the whole prefill again, timed (F5)."));
  QFont font = m_run->font();
  font.setBold(whatIf && !m_running);
  m_run->setFont(font);
}

void ParametersPanel::setRunning(bool running) {
  m_running = running;
  m_run->setText(running ? tr("Cancel run") : tr("Run prefill"));
  m_run->setAccessibleName(m_run->text());
  m_run->setEnabled(running || m_parameters->problem().isEmpty());
}

}  // namespace dhsa
