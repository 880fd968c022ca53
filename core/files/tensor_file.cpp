#include "core/files/tensor_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "core/base/error.h"
#include "core/files/lfs_pointer.h"
#include "core/files/strict_json.h"

namespace dhsa {

MappedFile::MappedFile(const std::filesystem::path& path) {
  const auto fault = [&](const char* doing) {
    return Error(fmt::format("{}: cannot be {}: {}; check the name and whether you may read it.", path.string(), doing,
                             std::generic_category().message(errno)));
  };
  // Not to wait for the other end if somebody names a pipe.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) throw fault("opened");
  struct Closer {
    int descriptor;
    ~Closer() { ::close(descriptor); }
  } const closer{descriptor};
  struct stat found {};
  if (::fstat(descriptor, &found) != 0) throw fault("read");
  if (!S_ISREG(found.st_mode))
    throw Error(
        fmt::format("{}: is not a file but a folder, a pipe or a device; put the model's file there.", path.string()));
  const auto size = static_cast<std::size_t>(found.st_size);
  if (size == 0) return;
  void* map = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (map == MAP_FAILED) throw fault("mapped");
  bytes_ = {static_cast<const std::byte*>(map), size};
  try {
    refuse_lfs_pointer({static_cast<const char*>(map), std::min<std::size_t>(size, 64)}, path);
  } catch (...) {
    ::munmap(map, size);
    throw;
  }
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

std::int64_t TensorInfo::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t extent : shape) product *= extent;
  return product;
}

const TensorInfo& TensorFile::info(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    throw Error(fmt::format("{}: has no tensor {}.", path_.string(), brief_name(name)));
  }
  return found->second;
}

std::span<const std::byte> TensorFile::bytes(const std::string& name) const {
  const TensorInfo& tensor = info(name);
  return file_.bytes().subspan(data_at_ + tensor.begin, tensor.end - tensor.begin);
}

}  // namespace dhsa
