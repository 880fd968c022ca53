// The module as a process of its own, for builds with AddressSanitizer: those refuse RTLD_DEEPBIND, without which the
// module cannot live beside libtorch. Standard input is a socket, used in both directions; its end ends the program.
#include <unistd.h>

#include <string>

#include "core/text/sentencepiece_module/interface.h"

namespace {

bool read_all(void* to, std::size_t size) {
  auto* at = static_cast<char*>(to);
  while (size > 0) {
    const ssize_t n = read(STDIN_FILENO, at, size);
    if (n <= 0) return false;
    at += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

bool write_all(const void* from, std::size_t size) {
  const auto* at = static_cast<const char*>(from);
  while (size > 0) {
    const ssize_t n = write(STDIN_FILENO, at, size);
    if (n <= 0) return false;
    at += n;
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

}  // namespace

int main() {
  void* model = nullptr;
  DhsaSentencePieceMessage request{};
  while (read_all(&request, sizeof request)) {
    std::string in(request.size, '\0');
    if (!read_all(in.data(), in.size())) break;
    std::string out;
    const int failed = dhsa_sentencepiece(
        static_cast<char>(request.operation), &model, in.data(), in.size(),
        [](void* context, const char* bytes, std::size_t size) {
          static_cast<std::string*>(context)->assign(bytes, size);
        },
        &out);
    const DhsaSentencePieceMessage answer{out.size(), static_cast<std::uint64_t>(failed)};
    if (!write_all(&answer, sizeof answer) || !write_all(out.data(), out.size())) break;
  }
  _exit(0);  // the library's own leftovers are not ours to report as leaks
}
