// An opened text with what the window needs on top: where it came from, and its characters token by token.
#pragma once

#include <QString>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/text/document.h"

namespace dhsa {

struct OpenDocument {
  TextReading reading;
  QString title;  // shown: file name, "Sample" or "Pasted text"
  QString path;   // absolute; empty for the sample and pasted text
  bool sample = false;
  QByteArray source;  // bytes as read or pasted
  QString sha256;     // of `source`, hexadecimal
  Document content;   // as the model reads it

  // What is drawn: `shown` holds the text of all tokens in order, token t being [begin[t], begin[t + 1]).
  QString shown;
  std::vector<qsizetype> begin;
  std::vector<bool> inserted;  // [tokens] by the chat's template, not of the text; empty: none

  [[nodiscard]] std::int64_t tokens() const noexcept { return content.tokens(); }
  [[nodiscard]] bool isInserted(std::int64_t token) const {
    return !inserted.empty() && inserted[static_cast<std::size_t>(token)];
  }
  [[nodiscard]] QString tokenText(std::int64_t token) const;
  // The token with line breaks and blanks made visible, for read-outs.
  [[nodiscard]] QString tokenLabel(std::int64_t token) const;
  [[nodiscard]] std::int64_t tokenAt(qsizetype character) const;  // -1 past the end
};

// Fills in sha256, content, shown and begin of `origin`, whose source is set. Throws Error on an empty text; Cancelled.
[[nodiscard]] std::shared_ptr<const OpenDocument> openDocument(OpenDocument origin, const Tokenizer& tokenizer,
                                                               const DocumentOptions& options);

}  // namespace dhsa
