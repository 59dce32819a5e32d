#include "core/network/balancer.h"

#include <algorithm>
#include <utility>

namespace wherry {

namespace {

bool Same(const Backend& a, const Backend& b) { return a.address == b.address && a.port == b.port; }

bool Contains(const std::vector<Backend>& backends, const Backend& backend) {
  return std::any_of(backends.begin(), backends.end(), [&](const Backend& other) { return Same(other, backend); });
}

}  // namespace

void Balancer::Set(std::vector<Backend> backends, Duration affinity, Duration now) {
  affinity_ = affinity;
  const std::vector<Backend> had = std::exchange(ready_, {});
  const std::vector<Duration> since = std::exchange(ready_since_, {});
  serving_.clear();
  for (Backend& backend : backends) {
    if (backend.ready) {
      const auto before =
          std::find_if(had.begin(), had.end(), [&](const Backend& other) { return Same(other, backend); });
      ready_since_.push_back(before == had.end() ? now : since[static_cast<size_t>(before - had.begin())]);
      ready_.push_back(std::move(backend));
    } else if (backend.serving) {
      serving_.push_back(std::move(backend));
    }
  }
  if (affinity_ == Duration::zero()) {
    kept_.clear();
    recency_.clear();
  }
}

std::vector<Backend> Balancer::Order(uint32_t client, const std::string& node, Duration now) {
  std::vector<Backend> out;
  // A node's own terminating ones come before nobody, as on the whole.
  for (const std::vector<Backend>* list : {&ready_, &serving_}) {
    for (const Backend& backend : *list) {
      if (node.empty() || backend.node == node) out.push_back(backend);
    }
    if (!out.empty()) break;
  }
  if (out.empty()) return out;
  std::rotate(out.begin(), out.begin() + static_cast<ptrdiff_t>(turn_++ % out.size()), out.end());
  if (auto it = kept_.find(client); it != kept_.end()) {
    if (now - it->second.last > affinity_) {
      recency_.erase(it->second.recency);
      kept_.erase(it);
    } else {
      auto same = std::find_if(out.begin(), out.end(), [&](const Backend& backend) {
        return backend.address == it->second.address && backend.port == it->second.port;
      });
      if (same != out.end()) {
        std::rotate(out.begin(), same, same + 1);
        --turn_;  // nobody's turn was taken
      }
    }
  }
  return out;
}

void Balancer::Served(uint32_t client, const Backend& backend, Duration now) {
  if (affinity_ == Duration::zero()) return;
  auto it = kept_.find(client);
  if (it == kept_.end()) {
    recency_.push_front(client);
    kept_[client] = {backend.address, backend.port, now, recency_.begin()};
    if (kept_.size() > kMaxClients) {
      kept_.erase(recency_.back());
      recency_.pop_back();
    }
    return;
  }
  it->second.address = backend.address;
  it->second.port = backend.port;
  it->second.last = now;
  recency_.splice(recency_.begin(), recency_, it->second.recency);
}

bool Balancer::IsStarting(const std::string& node, Duration now) const {
  for (size_t i = 0; i < ready_.size(); ++i) {
    if ((node.empty() || ready_[i].node == node) && now - ready_since_[i] < kStart) return true;
  }
  return false;
}

bool Balancer::IsReady(const Backend& backend) const { return Contains(ready_, backend); }
bool Balancer::Uses(const Backend& backend) const { return Contains(Usable(), backend); }

}  // namespace wherry
