#pragma once

#include <string>
#include <utility>

#include "core/registry/client.h"

namespace wherry {

// A Client that dies before one of its next writes: from then on every write is refused, as if the process were gone,
// until Heal. Reads and events go on.
class FaultyClient : public Client {
 public:
  explicit FaultyClient(Client& inner) : inner_(inner) {}

  // `writes` more go through.
  void DieAfter(int writes) { left_ = writes; }
  void Heal() { left_ = -1; }
  bool dead() const { return left_ == 0; }

  const WatchCache& cache() const override { return inner_.cache(); }
  EventBus& events() override { return inner_.events(); }
  Task<Result<ObjectPtr>> Create(std::string resource, std::string ns, Json object, WriteOptions options) override {
    // Events are nobody's state.
    if (resource == "events" || Allow()) {
      return inner_.Create(std::move(resource), std::move(ns), std::move(object), std::move(options));
    }
    return Refuse();
  }
  Task<Result<ObjectPtr>> Update(std::string resource, Json object, WriteOptions options) override {
    if (Allow()) return inner_.Update(std::move(resource), std::move(object), std::move(options));
    return Refuse();
  }
  Task<Result<ObjectPtr>> Patch(std::string resource, std::string ns, std::string name, PatchType type, Json patch,
                                WriteOptions options) override {
    if (resource == "events" || Allow()) {
      return inner_.Patch(std::move(resource), std::move(ns), std::move(name), type, std::move(patch),
                          std::move(options));
    }
    return Refuse();
  }
  Task<Result<ObjectPtr>> Delete(std::string resource, std::string ns, std::string name,
                                 DeleteOptions options) override {
    if (Allow()) return inner_.Delete(std::move(resource), std::move(ns), std::move(name), std::move(options));
    return Refuse();
  }
  Task<Status> Bind(std::string ns, std::string pod, std::string pod_uid, std::string node) override {
    return inner_.Bind(std::move(ns), std::move(pod), std::move(pod_uid), std::move(node));
  }

 private:
  bool Allow() {
    if (left_ < 0) return true;
    if (left_ == 0) return false;
    --left_;
    return true;
  }
  static Task<Result<ObjectPtr>> Refuse() { co_return Status(Reason::kServiceUnavailable, "the controller is dead"); }

  Client& inner_;
  int left_ = -1;  // writes to go; -1 = no end in sight
};

}  // namespace wherry
