#include "core/files/model_file.h"

#include <fmt/format.h>

#include <fstream>

#include "core/base/error.h"
#include "core/files/atomic_write.h"
#include "core/files/lfs_pointer.h"

namespace dhsa {

namespace fs = std::filesystem;

std::string read_model_file(const fs::path& path, std::size_t most) {
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  if (fs::is_symlink(path, ignored) && !fs::exists(status)) {
    throw Error(fmt::format("{}: is a link to a file that is not there; download the model again.", path.string()));
  }
  if (fs::exists(status) && !fs::is_regular_file(status) && !fs::is_directory(status)) {
    throw Error(
        fmt::format("{}: is a pipe or a device; a file is expected, put the model's own there.", path.string()));
  }
  std::string text = read_file(path, most);
  if (text.empty()) throw Error(fmt::format("{}: is empty; download it again.", path.string()));
  refuse_lfs_pointer(text, path);
  return text;
}

bool is_lfs_pointer(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_regular_file(path, ignored)) return false;
  std::string begin(kLfsPointer.size(), '\0');
  std::ifstream file(path, std::ios::binary);
  return file.read(begin.data(), static_cast<std::streamsize>(begin.size())) && begin == kLfsPointer;
}

}  // namespace dhsa
