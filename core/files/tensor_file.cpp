#include "core/files/tensor_file.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/files/strict_json.h"

namespace dhsa {

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
