#include "core/agent/volume_usage.h"

#include <sys/stat.h>

#include <asio/post.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <nlohmann/json.hpp>

#include "core/kinds/fields.h"
#include "core/kinds/quantity.h"

namespace wherry {
namespace {

namespace fs = std::filesystem;
constexpr int kEntriesAtOnce = 256;
constexpr auto kAwait = asio::use_awaitable_t<asio::any_io_executor>();

}  // namespace

std::vector<VolumeLimit> VolumeLimits(const Json& pod, const std::map<std::string, std::string>& places) {
  std::vector<VolumeLimit> out;
  for (const Json& volume : ListAt(pod, "spec.volumes")) {
    const std::string text = StringAt(volume, "emptyDir.sizeLimit", "");
    auto place = places.find(StringAt(volume, "name"));
    const Result<Quantity> limit = Quantity::Parse(text);
    if (text.empty() || place == places.end() || !limit.ok() || limit->value() <= 0) continue;
    out.push_back({place->first, place->second, limit->value(), text});
  }
  return out;
}

Task<DirectoryUse> MeasureDirectory(fs::path directory, int64_t enough) {
  const asio::any_io_executor executor = co_await asio::this_coro::executor;
  DirectoryUse use;
  std::error_code error;
  fs::recursive_directory_iterator it(directory, fs::directory_options::skip_permission_denied, error);
  while (!error && it != fs::recursive_directory_iterator() && use.bytes <= enough) {
    struct stat info {};
    if (lstat(it->path().c_str(), &info) == 0) use.bytes += static_cast<int64_t>(info.st_blocks) * 512;
    it.increment(error);
    if (++use.entries % kEntriesAtOnce == 0) co_await asio::post(executor, kAwait);
  }
  co_return use;
}

}  // namespace wherry
