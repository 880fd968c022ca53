// Rows of an experiment's settings made from their table: a control for each option, and its value back.
#pragma once

#include <QComboBox>
#include <QDoubleSpinBox>
#include <QLineEdit>
#include <QObject>
#include <QSignalBlocker>
#include <QSpinBox>
#include <limits>
#include <vector>

#include "core/base/options.h"
#include "ui/views/experiment_frame.h"

namespace dhsa {

template <class Settings>
class OptionRows {
 public:
  explicit OptionRows(const OptionTable<Settings>& table) : m_table(table) {}

  // `prefix` of the controls' object names; `changed` is called when a person changes one.
  template <class Changed>
  void addTo(ExperimentFrame* frame, const QString& prefix, const Settings& defaults, const Changed& changed) {
    for (const Option<Settings>& option : m_table) {
      QWidget* control = nullptr;
      if (option.kind == OptionInfo::Kind::kChoice) {
        auto* box = new QComboBox;
        for (const std::string& label : option.choice_labels) box->addItem(QString::fromStdString(label));
        box->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
        box->setMinimumContentsLength(6);
        QObject::connect(box, &QComboBox::currentIndexChanged, frame, changed);
        control = box;
      } else if (option.kind == OptionInfo::Kind::kCount) {
        auto* box = new QSpinBox;
        constexpr double kMost = std::numeric_limits<int>::max();
        box->setRange(static_cast<int>(option.minimum), static_cast<int>(std::min(option.maximum, kMost)));
        QObject::connect(box, &QSpinBox::valueChanged, frame, changed);
        control = box;
      } else if (option.kind == OptionInfo::Kind::kReal) {
        auto* box = new QDoubleSpinBox;
        box->setDecimals(4);
        box->setSingleStep(0.025);
        box->setRange(option.minimum, option.maximum);
        QObject::connect(box, &QDoubleSpinBox::valueChanged, frame, changed);
        control = box;
      } else {
        auto* edit = new QLineEdit;
        QObject::connect(edit, &QLineEdit::textChanged, frame, changed);
        control = edit;
      }
      control->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Fixed);
      const QString help = QString::fromStdString(help_of(option, option.get(defaults)));
      frame->addRow(QString::fromStdString(option.label), control, prefix + QString::fromStdString(option.key), help);
      m_controls.push_back(control);
    }
    put(defaults);
  }

  void put(const Settings& settings) {
    std::size_t at = 0;
    for (const Option<Settings>& option : m_table) {
      QWidget* control = m_controls[at++];
      const QSignalBlocker quiet(control);
      const OptionValue value = option.get(settings);
      if (auto* box = qobject_cast<QComboBox*>(control)) {
        const auto place = std::find(option.choices.begin(), option.choices.end(), std::get<std::string>(value));
        box->setCurrentIndex(static_cast<int>(place - option.choices.begin()));
      } else if (auto* count = qobject_cast<QSpinBox*>(control)) {
        count->setValue(static_cast<int>(std::get<std::int64_t>(value)));
      } else if (auto* real = qobject_cast<QDoubleSpinBox*>(control)) {
        real->setValue(std::get<double>(value));
      } else if (auto* edit = qobject_cast<QLineEdit*>(control)) {
        edit->setText(QString::fromStdString(std::get<std::string>(value)));
      }
    }
    enable(settings);
  }

  void take(Settings& settings) {
    std::size_t at = 0;
    for (const Option<Settings>& option : m_table) {
      QWidget* control = m_controls[at++];
      if (auto* box = qobject_cast<QComboBox*>(control)) {
        option.set(settings, option.choices[static_cast<std::size_t>(box->currentIndex())]);
      } else if (auto* count = qobject_cast<QSpinBox*>(control)) {
        option.set(settings, static_cast<std::int64_t>(count->value()));
      } else if (auto* real = qobject_cast<QDoubleSpinBox*>(control)) {
        option.set(settings, real->value());
      } else if (auto* edit = qobject_cast<QLineEdit*>(control)) {
        option.set(settings, edit->text().trimmed().toStdString());
      }
    }
    enable(settings);
  }

 private:
  // What makes no difference beside the other values cannot be set.
  void enable(const Settings& settings) {
    std::size_t at = 0;
    for (const Option<Settings>& option : m_table) m_controls[at++]->setEnabled(option.is_read(settings));
  }

  const OptionTable<Settings>& m_table;
  std::vector<QWidget*> m_controls;
};

}  // namespace dhsa
