#include <dlfcn.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <stdexcept>

#include "core/base/error.h"
#include "core/base/resources.h"
#include "core/text/sentencepiece_internal.h"
#include "core/text/sentencepiece_module/interface.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define DHSA_TOKENIZER_PROCESS 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DHSA_TOKENIZER_PROCESS 1
#endif

namespace dhsa {
namespace {

namespace fs = std::filesystem;

fs::path find_binary(const std::string& name) {
  const fs::path programs = executable_folder();
  for (const char* folder : {"../lib/dhsa-explorer", "../lib", "."}) {
    std::error_code ignored;
    if (fs::path candidate = (programs / folder / name).lexically_normal(); fs::exists(candidate, ignored)) {
      return candidate;
    }
  }
  throw Error(fmt::format("The tokenizer part \"{}\" is missing next to the program in \"{}\"; install or build again.",
                          name, programs.string()));
}

#ifdef DHSA_TOKENIZER_PROCESS

extern "C" char** environ;

class Process final : public SentencePiece {
 public:
  Process() {
    const std::string program = find_binary("dhsa-sentencepiece-helper").string();
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) fail();
    socket_ = ends[0];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDIN_FILENO);
    std::string name = program;
    char* arguments[] = {name.data(), nullptr};
    const int failed = posix_spawn(&child_, program.c_str(), &actions, nullptr, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (failed != 0) {
      close(socket_);
      fail();
    }
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process() override {
    close(socket_);
    waitpid(child_, nullptr, 0);
  }

  [[nodiscard]] std::string request(char operation, std::string_view in) const override {
    const std::lock_guard lock(mutex_);
    const DhsaSentencePieceMessage question{in.size(), static_cast<unsigned char>(operation)};
    send_all(&question, sizeof question);
    send_all(in.data(), in.size());
    DhsaSentencePieceMessage answer{};
    receive_all(&answer, sizeof answer);
    std::string out(answer.size, '\0');
    receive_all(out.data(), out.size());
    if (answer.operation == 0) return out;
    if (operation == 'L') throw std::invalid_argument(out);
    throw Error("The tokenizer failed: " + out + ".");
  }

 private:
  [[noreturn]] static void fail() {
    throw Error("The tokenizer process could not be started or has ended; try again.");
  }

  void send_all(const void* from, std::size_t size) const {
    const auto* at = static_cast<const char*>(from);
    while (size > 0) {
      const ssize_t n = send(socket_, at, size, MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;  // an interrupt is for the caller to see
      if (n <= 0) fail();
      at += n;
      size -= static_cast<std::size_t>(n);
    }
  }
  void receive_all(void* to, std::size_t size) const {
    auto* at = static_cast<char*>(to);
    while (size > 0) {
      const ssize_t n = recv(socket_, at, size, 0);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) fail();
      at += n;
      size -= static_cast<std::size_t>(n);
    }
  }

  mutable std::mutex mutex_;
  int socket_ = -1;
  pid_t child_ = 0;
};

using Access = Process;

#else

class Module final : public SentencePiece {
 public:
  Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  ~Module() override {
    if (model_ != nullptr) (void)request('F', {});
  }

  [[nodiscard]] std::string request(char operation, std::string_view in) const override {
    // Never unloaded: it holds registrations of its protobuf that live as long as the program.
    static const auto function = find_function();
    std::string out;
    const int failed = function(
        operation, &model_, in.data(), in.size(),
        [](void* context, const char* bytes, std::size_t size) {
          static_cast<std::string*>(context)->assign(bytes, size);
        },
        &out);
    if (failed == 0) return out;
    if (operation == 'L') throw std::invalid_argument(out);
    throw Error("The tokenizer failed: " + out + ".");
  }

 private:
  static decltype(&dhsa_sentencepiece) find_function() {
    const fs::path path = find_binary("libdhsa_sentencepiece.so");
    // DEEPBIND: the module's protobuf must find its own symbols before libtorch's newer ones of the same names.
    void* module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    void* symbol = module == nullptr ? nullptr : dlsym(module, "dhsa_sentencepiece");
    if (symbol == nullptr) {
      throw Error(fmt::format("The tokenizer part \"{}\" cannot be loaded ({}); install or build again.", path.string(),
                              dlerror()));
    }
    return reinterpret_cast<decltype(&dhsa_sentencepiece)>(symbol);
  }

  mutable void* model_ = nullptr;  // set by 'L' only, before another thread can know this object
};

using Access = Module;

#endif

}  // namespace

std::unique_ptr<SentencePiece> SentencePiece::load(std::string_view serialized_model) {
  auto access = std::make_unique<Access>();
  (void)access->request('L', serialized_model);
  return access;
}

}  // namespace dhsa
