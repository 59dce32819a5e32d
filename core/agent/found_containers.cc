#include "core/agent/found_containers.h"

#include <algorithm>
#include <utility>

namespace wherry {

std::string PodUidOf(const std::string& container_id) { return container_id.substr(0, container_id.find('/')); }

void FoundContainers::Add(std::vector<ContainerState> found) {
  expecting_ = false;
  for (ContainerState& state : found) {
    if (Find(state.id) == nullptr) by_uid_[PodUidOf(state.id)].push_back(std::move(state));  // else it has ended since
  }
}

void FoundContainers::Correct(const ContainerState& ended) {
  if (ContainerState* known = Find(ended.id)) {
    *known = ended;
  } else if (expecting_) {
    by_uid_[PodUidOf(ended.id)].push_back(ended);
  }
}

std::vector<ContainerState> FoundContainers::Take(const std::string& uid) {
  auto taken = by_uid_.extract(uid);
  return taken.empty() ? std::vector<ContainerState>() : std::move(taken.mapped());
}

std::vector<ContainerState> FoundContainers::TakeAllBut(const std::set<std::string>& uids) {
  std::vector<ContainerState> out;
  std::erase_if(by_uid_, [&](const auto& entry) {
    if (uids.contains(entry.first)) return false;
    out.insert(out.end(), entry.second.begin(), entry.second.end());
    return true;
  });
  return out;
}

ContainerState* FoundContainers::Find(const std::string& id) {
  const auto of_pod = by_uid_.find(PodUidOf(id));
  if (of_pod == by_uid_.end()) return nullptr;
  const auto it = std::find_if(of_pod->second.begin(), of_pod->second.end(),
                               [&](const ContainerState& state) { return state.id == id; });
  return it == of_pod->second.end() ? nullptr : &*it;
}

}  // namespace wherry
