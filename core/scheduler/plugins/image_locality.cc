#include <algorithm>

#include "core/scheduler/plugins/plugins.h"

namespace wherry::plugins {
namespace {

constexpr int64_t kMegabyte = 1024 * 1024;
constexpr int64_t kSmall = 23 * kMegabyte;                // not worth going anywhere for
constexpr int64_t kLargePerContainer = 1000 * kMegabyte;  // worth the full score

// The pod's images that some node has, with the part of the nodes that have them: one that everybody has says little,
// and one that a single node has must not draw every pod there.
struct Images : PluginState {
  struct Entry {
    std::string name;
    double spread;
  };
  std::vector<Entry> present;
};

// "nginx" is stored as "nginx:latest".
std::string Normalised(const std::string& image) {
  const size_t slash = image.rfind('/');
  const size_t start = slash == std::string::npos ? 0 : slash + 1;
  return image.find_first_of(":@", start) == std::string::npos ? image + ":latest" : image;
}

PreScore PreScoreImages(const PodDemand& pod, const ClusterView& cluster) {
  const Snapshot& snapshot = cluster.snapshot;
  PreScore result;
  auto images = std::make_unique<Images>();
  for (const std::string& image : pod.request.images) {
    std::string name = Normalised(image);
    const size_t nodes = snapshot.NodesWithImage(name);
    if (nodes == 0) continue;
    images->present.push_back(
        {std::move(name), static_cast<double>(nodes) / static_cast<double>(snapshot.nodes().size())});
  }
  result.skip = images->present.empty();
  result.state = std::move(images);
  return result;
}

int64_t ScoreOf(const Images& images, const PodDemand& pod, const NodeInfo& node) {
  int64_t sum = 0;
  for (const Images::Entry& image : images.present) {
    auto it = std::lower_bound(node.images.begin(), node.images.end(), image.name,
                               [](const auto& entry, const std::string& name) { return entry.first < name; });
    if (it == node.images.end() || it->first != image.name) continue;
    sum += static_cast<int64_t>(static_cast<double>(it->second) * image.spread);
  }
  const int64_t large = kLargePerContainer * static_cast<int64_t>(pod.request.images.size());
  return (std::clamp(sum, kSmall, large) - kSmall) * kMaxScore / (large - kSmall);
}

void ScoreImages(PluginState* state, const PodDemand& pod, std::span<const NodeInfo* const> nodes,
                 std::span<int64_t> scores) {
  for (size_t i = 0; i < nodes.size(); ++i) scores[i] = ScoreOf(*static_cast<Images*>(state), pod, *nodes[i]);
}

}  // namespace

const Plugin kImageLocality{
    .name = "ImageLocality",
    .weight = 1,
    .pre_score = PreScoreImages,
    .score = ScoreImages,
};

}  // namespace wherry::plugins
