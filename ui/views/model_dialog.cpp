#include "ui/views/model_dialog.h"

#include <QDialogButtonBox>
#include <QFormLayout>
#include <QLabel>
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
    : QDialog(parent), m_session(session), m_facts(new QFormLayout) {
  setObjectName(QStringLiteral("modelDialog"));
  setWindowTitle(tr("Model"));
  auto* layout = new QVBoxLayout(this);
  m_facts->setLabelAlignment(Qt::AlignLeft | Qt::AlignTop);
  m_facts->setHorizontalSpacing(fontMetrics().averageCharWidth() * 3);
  layout->addLayout(m_facts);
  layout->addStretch(1);
  auto* buttons = new QDialogButtonBox(QDialogButtonBox::Close, this);
  connect(buttons, &QDialogButtonBox::rejected, this, &QDialog::close);
  layout->addWidget(buttons);
  connect(session, &Session::modelChanged, this, &ModelDialog::refresh);
  connect(session, &Session::documentChanged, this, &ModelDialog::refresh);
  refresh();
  resize(fontMetrics().averageCharWidth() * 84, sizeHint().height());
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
