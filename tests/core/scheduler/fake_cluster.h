#pragma once

#include <asio/io_context.hpp>
#include <functional>
#include <string>
#include <vector>

#include "core/runtime/controller.h"
#include "core/scheduler/scheduler.h"
#include "tests/core/scheduler/fixtures.h"

namespace wherry::testing {

// The cluster around a scheduler without the store and the registry: objects go straight to the cache and the bus, and
// the few writes that a scheduler makes are applied as the registry would. Binds finish one turn of the loop later.
class FakeCluster : public Client {
 public:
  explicit FakeCluster(uint64_t seed = 1);
  ~FakeCluster() override;

  // The world's own doings.
  void Put(Json document);
  void RemoveNode(const std::string& name);
  void RemovePod(const std::string& name);
  // Runs everything that is ready, until nothing is.
  void Settle();
  // Runs at most so many handlers.
  void Turn(int handlers);
  // Moves time, firing timers and settling at each.
  void Advance(Duration duration);

  // "" when it has none; the document's spec.nodeName.
  std::string NodeOf(const std::string& pod) const;
  Json Get(const std::string& pod) const;
  // "Unschedulable: 0/1 nodes …" of the PodScheduled condition; "" when there is none.
  std::string ConditionOf(const std::string& pod) const;

  // What the next binds answer, first to last; ok when empty.
  std::vector<Status> bind_answers;
  // Events: "Warning FailedScheduling web: text", in order; "again" for one more of a kind.
  std::vector<std::string> told;
  // Pods that the scheduler deleted, in order.
  std::vector<std::string> deleted;
  int patches = 0;
  int binds = 0;
  ManualClock clock;

  RuntimeContext context() { return {*this, clock, io_.get_executor(), seed_}; }

  const WatchCache& cache() const override { return cache_; }
  EventBus& events() override { return bus_; }
  Task<Result<ObjectPtr>> Create(std::string resource, std::string ns, Json object, WriteOptions options) override;
  Task<Result<ObjectPtr>> Update(std::string resource, Json object, WriteOptions options) override;
  Task<Result<ObjectPtr>> Patch(std::string resource, std::string ns, std::string name, PatchType type, Json patch,
                                WriteOptions options) override;
  Task<Result<ObjectPtr>> Delete(std::string resource, std::string ns, std::string name,
                                 DeleteOptions options) override;
  Task<Status> Bind(std::string ns, std::string pod, std::string pod_uid, std::string node) override;

 private:
  void Apply(EventType type, ObjectPtr object);
  void Remove(const std::string& resource, const std::string& ns, const std::string& name);

  const uint64_t seed_;
  asio::io_context io_;
  EventBus bus_;
  WatchCache cache_;
  uint64_t revision_ = 0;
};

}  // namespace wherry::testing
