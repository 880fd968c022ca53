#include "ui/views/model_dialog.h"

#include <QComboBox>
#include <QDialogButtonBox>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QProgressBar>
#include <QPushButton>
#include <QStandardItemModel>
#include <QStringList>
#include <QVBoxLayout>
#include <algorithm>
#include <map>

#include "core/base/error.h"
#include "core/files/safetensors.h"
#include "core/model/folder.h"
#include "ui/models/format.h"
#include "ui/state/session.h"

namespace dhsa {
namespace {

// "288 × BF16, 53 × F32", as the files say.
QString storedTypes(const std::filesystem::path& folder) {
  const TensorFolder tensors = TensorFolder::open(folder);
  std::map<std::string, int> types;
  for (const std::string& name : tensors.names()) ++types[tensors.info(name).dtype];
  QStringList parts;
  for (const auto& [type, number] : types) {
    parts << QStringLiteral("%1 × %2").arg(formatCount(number), QString::fromStdString(type));
  }
  return parts.join(QStringLiteral(", "));
}

QString layersText(const Gemma2Config& config) {
  const auto local = std::count(config.local_layer.begin(), config.local_layer.end(), true);
  if (local == 0) return ModelDialog::tr("%1, all global").arg(config.layers);
  return ModelDialog::tr("%1: %2 local with a window of %3 tokens, %4 global")
      .arg(config.layers)
      .arg(local)
      .arg(formatCount(config.sliding_window))
      .arg(config.layers - local);
}

}  // namespace

ModelDialog::ModelDialog(Session* session, QWidget* parent)
    : QDialog(parent),
      m_session(session),
      m_facts(new QFormLayout),
      m_type(new QComboBox(this)),
      m_device(new QComboBox(this)),
      m_reload(new QPushButton(tr("&Load again"), this)),
      m_cancel(new QPushButton(tr("&Cancel"), this)),
      m_progress(new QProgressBar(this)),
      m_state(new QLabel(this)) {
  setObjectName(QStringLiteral("modelDialog"));
  setWindowTitle(tr("Model"));
  auto* layout = new QVBoxLayout(this);
  m_facts->setLabelAlignment(Qt::AlignLeft | Qt::AlignTop);
  m_facts->setHorizontalSpacing(fontMetrics().averageCharWidth() * 3);
  layout->addLayout(m_facts);
  makeChoices();
  layout->addStretch(1);
  auto* buttons = new QDialogButtonBox(QDialogButtonBox::Close, this);
  connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::close);
  layout->addWidget(buttons);
  connect(session, &Session::modelChanged, this, &ModelDialog::refresh);
  connect(session, &Session::documentChanged, this, &ModelDialog::refresh);
  connect(session, &Session::modelChanged, this, &ModelDialog::refreshChoices);
  connect(session, &Session::modelChanged, this, [this] { showLoading({}); });
  connect(session, &Session::modelLoading, this, &ModelDialog::showLoading);
  connect(session, &Session::modelNotLoaded, this, [this](const QString& sentence) {
    refreshChoices();
    showLoading({});
    m_state->setText(sentence.isEmpty() ? tr("Cancelled; the model is as it was.") : sentence);
  });
  refresh();
  refreshChoices();
  showLoading(session->isLoadingModel() ? tr("loading the model") : QString());
  resize(fontMetrics().averageCharWidth() * 84, sizeHint().height());
}

void ModelDialog::makeChoices() {
  m_type->setObjectName(QStringLiteral("computeType"));
  m_type->setAccessibleName(tr("Type to compute in"));
  m_type->setToolTip(tr("Type of activations, queries, keys and values; sums and norms are float32 always."));
  m_type->addItem(tr("float32"), static_cast<int>(DType::kFloat32));
  m_type->addItem(tr("bfloat16"), static_cast<int>(DType::kBFloat16));
  m_device->setObjectName(QStringLiteral("computeDevice"));
  m_device->setAccessibleName(tr("Device to compute on"));
  m_device->addItem(tr("CPU"), static_cast<int>(Device::kCpu));
  m_device->addItem(tr("CUDA"), static_cast<int>(Device::kCuda));
  if (!cuda_available()) {
    const QString reason =
        tr("CUDA is not there: the machine has no such device, or the program was built without it.");
    auto* items = qobject_cast<QStandardItemModel*>(m_device->model());
    items->item(1)->setEnabled(false);
    items->item(1)->setToolTip(reason);
    m_device->setToolTip(reason);
  }
  m_reload->setObjectName(QStringLiteral("reloadModel"));
  m_reload->setAutoDefault(false);
  m_reload->setToolTip(
      tr("Load the open model again in this type, on this device; the text is then run again. What "
         "is open stays until it is done."));
  m_cancel->setObjectName(QStringLiteral("cancelLoading"));
  m_cancel->setAutoDefault(false);
  m_progress->setRange(0, 0);
  m_progress->setTextVisible(false);
  m_progress->setFixedWidth(fontMetrics().averageCharWidth() * 16);
  m_progress->setAccessibleName(tr("Loading"));
  m_state->setObjectName(QStringLiteral("loadingState"));
  m_state->setWordWrap(true);
  auto* typeLabel = new QLabel(tr("Compute &in"), this);
  typeLabel->setBuddy(m_type);
  auto* deviceLabel = new QLabel(tr("&on"), this);
  deviceLabel->setBuddy(m_device);
  auto* choices = new QHBoxLayout;
  for (QWidget* widget :
       {static_cast<QWidget*>(typeLabel), static_cast<QWidget*>(m_type), static_cast<QWidget*>(deviceLabel),
        static_cast<QWidget*>(m_device), static_cast<QWidget*>(m_reload), static_cast<QWidget*>(m_progress),
        static_cast<QWidget*>(m_cancel)})
    choices->addWidget(widget);
  choices->addStretch(1);
  auto* own = static_cast<QVBoxLayout*>(layout());
  own->addSpacing(fontMetrics().height() / 2);
  own->addLayout(choices);
  own->addWidget(m_state);
  connect(m_type, &QComboBox::currentIndexChanged, this, &ModelDialog::refreshReload);
  connect(m_device, &QComboBox::currentIndexChanged, this, &ModelDialog::refreshReload);
  connect(m_reload, &QPushButton::clicked, this, &ModelDialog::reload);
  connect(m_cancel, &QPushButton::clicked, m_session, &Session::cancelLoading);
}

void ModelDialog::reload() {
  m_session->reloadModel({.device = static_cast<Device>(m_device->currentData().toInt()),
                          .compute = static_cast<DType>(m_type->currentData().toInt())});
}

void ModelDialog::showLoading(const QString& what) {
  const bool loading = !what.isEmpty();
  m_progress->setVisible(loading);
  m_cancel->setVisible(loading);
  m_state->setText(loading ? tr("Under way: %1").arg(what) : QString());
  m_type->setEnabled(!loading);
  m_device->setEnabled(!loading);
  refreshReload();
}

void ModelDialog::refreshChoices() {
  if (!m_session->model()) return;
  const ModelOptions& options = m_session->model()->weights->options();
  m_type->setCurrentIndex(m_type->findData(static_cast<int>(options.compute)));
  m_device->setCurrentIndex(m_device->findData(static_cast<int>(options.device)));
}

void ModelDialog::refreshReload() {
  const auto model = m_session->model();
  const bool other = model && (static_cast<int>(model->weights->options().compute) != m_type->currentData().toInt() ||
                               static_cast<int>(model->weights->options().device) != m_device->currentData().toInt());
  m_reload->setEnabled(other && m_progress->isHidden());
}

void ModelDialog::add(const QString& what, const QString& text) {
  auto* label = new QLabel(text, this);
  label->setTextFormat(Qt::PlainText);
  label->setWordWrap(true);
  label->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
  label->setAccessibleName(what);
  m_facts->addRow(what, label);
}

void ModelDialog::refresh() {
  while (m_facts->rowCount() > 0) m_facts->removeRow(0);
  const auto model = m_session->model();
  if (!model) {
    add(tr("Model"), tr("None is open."));
    return;
  }
  const Gemma2Config& config = model->weights->config();
  const ModelOptions& options = model->weights->options();
  const std::filesystem::path folder = model->folder.toStdU16String();
  add(tr("Name"), model->name);
  add(tr("Files"), model->folder);
  add(tr("Layers"), layersText(config));
  add(tr("Heads"),
      tr("%1 query, %2 key/value, %3 dimensions each").arg(config.heads).arg(config.kv_heads).arg(config.head_dim));
  add(tr("Context"), tr("%1 tokens").arg(formatCount(config.context)));
  add(tr("Vocabulary"), tr("%1 tokens, of which the tokenizer knows %2")
                            .arg(formatCount(config.vocab_size), formatCount(model->tokenizer->size())));
  add(tr("Weights"),
      tr("%1, %2 in memory").arg(formatCount(config.parameters()), formatBytes(model->weights->weight_bytes())));
  try {
    add(tr("Stored as"), storedTypes(folder));
    add(tr("Kind"), is_instruction_tuned(folder) ? tr("Instruction-tuned: made to answer turns of a conversation")
                                                 : tr("Base model: continues a text"));
    QStringList notes;
    for (const std::string& note : weight_notes(folder)) notes << QString::fromStdString(note);
    if (!notes.isEmpty()) add(tr("Note"), notes.join(u'\n'));
  } catch (const Error& error) {  // the files may be gone by now
    add(tr("Files now"), QString::fromStdString(error.what()));
  }
  add(tr("Computes"), tr("in %1 on %2")
                          .arg(options.compute == DType::kFloat32 ? tr("float32") : tr("bfloat16"),
                               options.device == Device::kCpu ? tr("the CPU") : tr("the GPU")));
  if (const auto document = m_session->document()) {
    PrefillOptions prefill;
    prefill.keep_cache = true;
    const PrefillEstimate estimate = model->weights->estimate(document->tokens(), prefill);
    add(tr("Memory of a run"), tr("%1 beside the weights for the %2 tokens that are open; %3 are free, enough for %4")
                                   .arg(formatBytes(estimate.activations), formatCount(document->tokens()),
                                        formatBytes(estimate.available), formatCount(estimate.longest)));
  }
  add(tr("Fingerprint"), model->fingerprint);
}

}  // namespace dhsa
