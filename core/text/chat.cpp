#include "core/text/chat.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/base/excerpt.h"

namespace dhsa {
namespace {

constexpr std::string_view kBos = "<bos>";

// Bytes in front of a written chat: blanks and "<bos>", once or more.
std::size_t lead(std::string_view text) {
  std::size_t at = 0;
  while (true) {
    at = std::min(text.find_first_not_of(" \t\r\n", at), text.size());
    if (!text.substr(at).starts_with(kBos)) return at;
    at += kBos.size();
  }
}

void put(Encoding& to, std::int32_t id, std::int64_t begin, std::int64_t end) {
  to.ids.push_back(id);
  to.spans.push_back({begin, end});
}

// Tokens of text[begin, end). `before` is read in front of it and gets no bytes of the text.
void put_text(Encoding& to, const Tokenizer& tokenizer, std::string_view before, std::string_view text,
              std::int64_t begin, std::int64_t end, EncodeOptions options) {
  options.bos = false;
  std::string part(before);
  part += text.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
  const Encoding encoded = tokenizer.encode(part, options);
  const std::int64_t shift = begin - static_cast<std::int64_t>(before.size());
  for (std::size_t i = 0; i < encoded.ids.size(); ++i) {
    put(to, encoded.ids[i], std::max(begin, encoded.spans[i].begin + shift),
        std::max(begin, encoded.spans[i].end + shift));
  }
}

// The end of the user's turn and the begin of the model's, at the end of a text of `size` bytes.
void begin_answer(ChatEncoding& chat, const Tokenizer& tokenizer, const TurnMarkers& markers, std::int64_t size,
                  bool end_turn) {
  const auto before = static_cast<std::int64_t>(chat.encoding.ids.size());
  if (end_turn) put(chat.encoding, markers.end, size, size);
  const auto put_plain = [&](std::string_view text) {
    for (const std::int32_t id : tokenizer.encode(text, false).ids) put(chat.encoding, id, size, size);
  };
  if (end_turn) put_plain("\n");
  put(chat.encoding, markers.start, size, size);
  put_plain("model\n");
  chat.closing = static_cast<std::int64_t>(chat.encoding.ids.size()) - before;
}

}  // namespace

ChatMode chat_mode(const std::string& name) {
  if (name == "auto") return ChatMode::kAuto;
  if (name == "on") return ChatMode::kOn;
  if (name == "off") return ChatMode::kOff;
  throw Error(fmt::format("chat: \"{}\" is no way to read a text; use auto, on or off.", excerpt(name)));
}

bool speaks_in_turns(const TokenizerConfig& config) {
  return config.chat_template.find(kTurnStart) != std::string::npos &&
         config.chat_template.find(kTurnEnd) != std::string::npos;
}

bool is_instruction_tuned(const std::filesystem::path& model_folder) {
  return speaks_in_turns(read_tokenizer_config(model_folder));
}

std::optional<TurnMarkers> turn_markers(const Tokenizer& tokenizer) {
  const auto start = tokenizer.find(kTurnStart);
  const auto end = tokenizer.find(kTurnEnd);
  if (!start || !end) return std::nullopt;
  return TurnMarkers{*start, *end};
}

bool is_written_chat(std::string_view text) {
  text.remove_prefix(lead(text));
  return text.starts_with(kTurnStart) && text.find(kTurnEnd) != std::string_view::npos;
}

bool holds_markers(std::string_view text) {
  return text.find(kTurnStart) != std::string_view::npos || text.find(kTurnEnd) != std::string_view::npos;
}

ChatEncoding encode_user_turn(const Tokenizer& tokenizer, const TurnMarkers& markers, std::string_view text,
                              const EncodeOptions& options) {
  ChatEncoding chat;
  const auto size = static_cast<std::int64_t>(text.size());
  put(chat.encoding, tokenizer.bos(), 0, 0);
  put(chat.encoding, markers.start, 0, 0);
  put_text(chat.encoding, tokenizer, "user\n", text, 0, size, options);
  begin_answer(chat, tokenizer, markers, chat.encoding.spans.back().end, true);
  return chat;
}

ChatEncoding encode_written_chat(const Tokenizer& tokenizer, const TurnMarkers& markers, std::string_view text,
                                 EncodeOptions options) {
  options.most = 0;
  ChatEncoding chat;
  const auto size = static_cast<std::int64_t>(text.size());
  auto at = static_cast<std::int64_t>(lead(text));
  put(chat.encoding, tokenizer.bos(), 0, at);
  bool open = false;    // in a turn
  bool models = false;  // and it is the model's
  while (at < size) {
    const std::string_view rest = text.substr(static_cast<std::size_t>(at));
    const std::size_t start = rest.find(kTurnStart);
    const std::size_t end = rest.find(kTurnEnd);
    const std::size_t next = std::min({start, end, rest.size()});
    if (next > 0) {
      put_text(chat.encoding, tokenizer, "", text, at, at + static_cast<std::int64_t>(next), options);
      at += static_cast<std::int64_t>(next);
      continue;
    }
    open = start == 0;
    const std::string_view marker = open ? kTurnStart : kTurnEnd;
    put(chat.encoding, open ? markers.start : markers.end, at, at + static_cast<std::int64_t>(marker.size()));
    at += static_cast<std::int64_t>(marker.size());
    models = open && text.substr(static_cast<std::size_t>(at)).starts_with("model");
  }
  if (!open || !models) begin_answer(chat, tokenizer, markers, size, open);
  return chat;
}

}  // namespace dhsa
