#pragma once

#include <asio/io_context.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/control_plane/control_plane.h"
#include "core/runtime/clock.h"

namespace wherry {

// A whole control plane on a manual clock and an in-memory store that commits inline: the same seed gives the same run,
// and no test ever sleeps. Everything happens inside Settle, Advance and the calls that settle by themselves.
class TestCluster {
 public:
  enum class Parts { kAll, kStoreOnly };  // kStoreOnly: nothing acts but the test itself
  explicit TestCluster(uint64_t seed = 1, Parts parts = Parts::kAll);
  ~TestCluster();

  // Runs until nothing is left to do at the present moment.
  void Settle();
  // Moves time forward, settling at every timer on the way.
  void Advance(Duration duration);

  // A node with the simulated runtime, ready when this returns.
  ObjectPtr AddNode(const std::string& name, Json labels = Json::object(), Json taints = Json::array());
  int PodsOn(const std::string& node) const;

  // Writes through the Client, as a user would; a refusal fails the test. The document names its kind.
  ObjectPtr Create(Json object);
  ObjectPtr Update(const ObjectPtr& current, const std::function<void(Json&)>& change, std::string subresource = "");
  // Creates, or merges into what is there.
  ObjectPtr Apply(Json object);
  void Delete(std::string_view resource, std::string_view ns, std::string_view name, DeleteOptions options = {});
  // The same without the check, for tests of refusals.
  Result<ObjectPtr> TryCreate(Json object);

  ObjectPtr Get(std::string_view resource, std::string_view ns, std::string_view name) const;
  Json Document(std::string_view resource, std::string_view ns, std::string_view name) const;  // null when absent
  std::vector<ObjectPtr> List(std::string_view resource, std::string_view ns = {}) const;

  // Runs a coroutine to its end, settling.
  template <typename T>
  T Run(Task<T> task);

  ControlPlane& plane() { return *plane_; }
  Registry& registry() { return plane_->registry(); }
  Client& client() { return plane_->client(); }
  ManualClock& clock() { return clock_; }
  asio::io_context& io() { return io_; }

 private:
  const Kind& KindOf(const Json& object) const;

  std::string directory_;
  asio::io_context io_;
  ManualClock clock_;
  std::unique_ptr<ControlPlane> plane_;
};

}  // namespace wherry

#include <asio/co_spawn.hpp>
#include <catch2/catch.hpp>

namespace wherry {

template <typename T>
Task<> Collect(Task<T> task, std::optional<T>* answer) {
  T value = co_await std::move(task);
  answer->emplace(std::move(value));
}

template <typename T>
T TestCluster::Run(Task<T> task) {
  std::optional<T> answer;
  std::exception_ptr error;
  asio::co_spawn(io_, Collect(std::move(task), &answer), [&](std::exception_ptr e) { error = e; });
  Settle();
  if (error) std::rethrow_exception(error);
  REQUIRE(answer.has_value());
  return std::move(*answer);
}

}  // namespace wherry
