#include "ui/state/document.h"

#include <QCryptographicHash>
#include <algorithm>

namespace dhsa {

QString OpenDocument::tokenText(std::int64_t token) const {
  if (token < 0 || token >= tokens()) return {};
  const auto at = static_cast<std::size_t>(token);
  return shown.mid(begin[at], begin[at + 1] - begin[at]);
}

QString OpenDocument::tokenLabel(std::int64_t token) const {
  if (token < 0 || token >= tokens()) return {};
  QString label = tokenText(token);
  // Tokens without text of their own: <bos>, and the later bytes of a character that fell apart.
  if (label.isEmpty()) return token == 0 ? QStringLiteral("<bos>") : QStringLiteral("·");
  label.replace(u'\n', QStringLiteral("⏎"));
  label.replace(u'\t', QStringLiteral("⇥"));
  label.replace(u' ', QStringLiteral("␣"));
  return label;
}

std::int64_t OpenDocument::tokenAt(qsizetype character) const {
  if (character < 0 || character >= shown.size()) return -1;
  const auto after = std::upper_bound(begin.begin(), begin.end(), character);
  return std::distance(begin.begin(), after) - 1;
}

std::shared_ptr<const OpenDocument> openDocument(OpenDocument origin, const Tokenizer& tokenizer,
                                                 const DocumentOptions& options) {
  auto document = std::make_shared<OpenDocument>(std::move(origin));
  document->sha256 =
      QString::fromLatin1(QCryptographicHash::hash(document->source, QCryptographicHash::Sha256).toHex());
  document->content = make_document(document->title.toStdString(), document->source.toStdString(), tokenizer, options);

  // Spans never split a character, so each token's bytes can be decoded on their own.
  const std::string& text = document->content.text;
  const auto& spans = document->content.encoding.spans;
  document->begin.reserve(spans.size() + 1);
  document->shown.reserve(static_cast<qsizetype>(text.size()));
  // Only a chat's template puts anything in.
  const bool chat = document->content.chat;
  std::vector<std::string> pieces;
  if (chat) pieces = shown_pieces(tokenizer, document->content.encoding.ids);
  for (std::size_t token = 0; token < spans.size(); ++token) {
    const TokenSpan& span = spans[token];
    document->begin.push_back(document->shown.size());
    document->shown += QString::fromUtf8(text.data() + span.begin, static_cast<qsizetype>(span.end - span.begin));
    // What the chat's template puts in has no place in the text: its name is shown. Later bytes of a character have
    // none.
    if (!chat || token == 0 || span.begin < span.end || pieces[token].empty()) continue;
    document->inserted.resize(spans.size());
    document->inserted[token] = true;
    document->shown += QString::fromStdString(pieces[token]).replace(QChar(0x2581), u' ');
  }
  document->begin.push_back(document->shown.size());
  return document;
}

}  // namespace dhsa
