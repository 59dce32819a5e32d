#include "core/scheduler/plugins/plugins.h"

namespace wherry::plugins {
namespace {

// The texts of the extended resources that the pod asks for, in their order.
struct Texts : PluginState {
  std::vector<std::string> extended;
};

PreFilter PreFilterFit(const PodDemand& pod, const ClusterView&) {
  PreFilter result;
  if (pod.request.amounts.extended.empty()) return result;
  auto texts = std::make_unique<Texts>();
  for (const auto& [name, amount] : pod.request.amounts.extended) texts->extended.push_back("Insufficient " + name);
  result.state = std::move(texts);
  return result;
}

class Check {
 public:
  explicit Check(Refusal& refusal) : refusal_(refusal) {}

  void Fits(int64_t wanted, int64_t requested, int64_t allocatable, std::string_view text) {
    if (wanted <= 0 || wanted <= allocatable - requested) return;
    refusal_.Add(text);
    // Not even an empty node would do.
    if (wanted > allocatable) refusal_.SetUnresolvable();
    fits_ = false;
  }
  void Fail(std::string_view text) {
    refusal_.Add(text);
    fits_ = false;
  }
  bool fits() const { return fits_; }

 private:
  Refusal& refusal_;
  bool fits_ = true;
};

bool FilterFit(const PluginState* state, const PodDemand& pod, const NodeInfo& node, Refusal& refusal) {
  Check check(refusal);
  if (static_cast<int64_t>(node.pods.size()) + 1 > node.allowed_pods) check.Fail("Too many pods");
  const Amounts& want = pod.request.amounts;
  check.Fits(want.milli_cpu, node.requested.milli_cpu, node.allocatable.milli_cpu, "Insufficient cpu");
  check.Fits(want.memory, node.requested.memory, node.allocatable.memory, "Insufficient memory");
  check.Fits(want.ephemeral_storage, node.requested.ephemeral_storage, node.allocatable.ephemeral_storage,
             "Insufficient ephemeral-storage");
  for (size_t i = 0; i < want.extended.size(); ++i) {
    const auto& [name, amount] = want.extended[i];
    check.Fits(amount, node.requested.extended_amount(name), node.allocatable.extended_amount(name),
               static_cast<const Texts*>(state)->extended[i]);
  }
  return check.fits();
}

}  // namespace

const Plugin kNodeResourcesFit{
    .name = "NodeResourcesFit",
    .events = kNodeAdded | kNodeAllocatable | kPodGone,
    .pre_filter = PreFilterFit,
    .filter = FilterFit,
};

}  // namespace wherry::plugins
