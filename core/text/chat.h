// Gemma's turns of conversation: "<start_of_turn>user\n...<end_of_turn>\n<start_of_turn>model\n". The two markers are
// single tokens that ordinary text never makes; they are put in by their ids.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "core/text/tokenizer.h"
#include "core/text/tokenizer_config.h"

namespace dhsa {

enum class ChatMode : std::uint8_t {
  kAuto,  // a turn for an instruction-tuned model, plain text for another
  kOn,
  kOff
};
[[nodiscard]] ChatMode chat_mode(const std::string& name);  // "auto", "on", "off"; throws Error

inline constexpr std::string_view kTurnStart = "<start_of_turn>";
inline constexpr std::string_view kTurnEnd = "<end_of_turn>";

// The template is Gemma's: the model was tuned to answer turns.
[[nodiscard]] bool speaks_in_turns(const TokenizerConfig& config);
[[nodiscard]] bool is_instruction_tuned(const std::filesystem::path& model_folder);

struct TurnMarkers {
  std::int32_t start = 0, end = 0;
};
// None if the vocabulary has not both.
[[nodiscard]] std::optional<TurnMarkers> turn_markers(const Tokenizer& tokenizer);

// The text is a conversation written out with its markers, perhaps behind blanks and "<bos>".
[[nodiscard]] bool is_written_chat(std::string_view text);
[[nodiscard]] bool holds_markers(std::string_view text);

struct ChatEncoding {
  Encoding encoding;
  std::int64_t closing = 0;  // tokens at the end that belong to no text: end of the turn, begin of the model's
};
// `text` (without blanks around it, which the template drops) as one turn of the user, and the begin of the model's.
[[nodiscard]] ChatEncoding encode_user_turn(const Tokenizer& tokenizer, const TurnMarkers& markers,
                                            std::string_view text, const EncodeOptions& options);
// A written chat with its markers as the tokens they name, all of it; the model's turn is begun if it is not.
[[nodiscard]] ChatEncoding encode_written_chat(const Tokenizer& tokenizer, const TurnMarkers& markers,
                                               std::string_view text, EncodeOptions options);

}  // namespace dhsa
