#include "tests/core/scheduler/fake_cluster.h"

#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

namespace wherry::testing {
namespace {

Result<ObjectPtr> NotUsed() { return Status::Internal("not a verb of the scheduler"); }

}  // namespace

FakeCluster::FakeCluster(uint64_t seed) : seed_(seed), cache_(bus_, 16) {}
FakeCluster::~FakeCluster() = default;

void FakeCluster::Apply(EventType type, ObjectPtr object) {
  auto event = std::make_shared<Event>();
  event->type = type;
  event->previous = cache_.Get(object->key());
  event->object = std::move(object);
  cache_.Apply(event);
}

void FakeCluster::Put(Json document) {
  ObjectPtr object = Stored(document, ++revision_);
  const bool there = cache_.Get(object->key()) != nullptr;
  Apply(there ? EventType::kModified : EventType::kAdded, std::move(object));
}

void FakeCluster::Remove(const std::string& resource, const std::string& ns, const std::string& name) {
  const ObjectPtr object = cache_.Get(resource, ns, name);
  Apply(EventType::kDeleted, Stored(*object->json(), ++revision_));
}

void FakeCluster::RemoveNode(const std::string& name) { Remove("nodes", "", name); }
void FakeCluster::RemovePod(const std::string& name) { Remove("pods", "default", name); }

void FakeCluster::Settle() {
  do {
    io_.restart();
  } while (io_.poll() > 0);
}

void FakeCluster::Turn(int handlers) {
  io_.restart();
  while (handlers-- > 0 && io_.poll_one() > 0) {
  }
}

void FakeCluster::Advance(Duration duration) {
  const Time end = clock.Now() + duration;
  Settle();
  while (clock.FireNext(end - clock.Now())) Settle();
  clock.MoveTo(end);
}

Json FakeCluster::Get(const std::string& pod) const { return *cache_.Get("pods", "default", pod)->json(); }

std::string FakeCluster::NodeOf(const std::string& pod) const { return Get(pod)["spec"].value("nodeName", ""); }

std::string FakeCluster::ConditionOf(const std::string& pod) const {
  const Json document = Get(pod);
  for (const Json& condition : document["status"].value("conditions", Json::array())) {
    if (condition["type"] == "PodScheduled") {
      return condition.value("reason", "") + ": " + condition.value("message", "");
    }
  }
  return "";
}

Task<Result<ObjectPtr>> FakeCluster::Create(std::string resource, std::string, Json object, WriteOptions) {
  if (resource != "events") co_return NotUsed();
  told.push_back(object["type"].get<std::string>() + " " + object["reason"].get<std::string>() + " " +
                 object["involvedObject"]["name"].get<std::string>() + ": " + object["message"].get<std::string>());
  co_return Result<ObjectPtr>(ObjectPtr());
}

Task<Result<ObjectPtr>> FakeCluster::Update(std::string, Json, WriteOptions) { co_return NotUsed(); }

Task<Result<ObjectPtr>> FakeCluster::Patch(std::string resource, std::string ns, std::string name, PatchType,
                                           Json patch, WriteOptions options) {
  if (resource == "events") {
    told.push_back("again");
    co_return Result<ObjectPtr>(ObjectPtr());
  }
  co_await asio::post(io_, asio::use_awaitable_t<asio::any_io_executor>());
  const ObjectPtr now = cache_.Get(resource, ns, name);
  if (now == nullptr) co_return Status::NotFound(resource, "", name);
  if (resource != "pods" || options.subresource != "status" || patch["metadata"]["uid"] != now->uid()) {
    co_return NotUsed();
  }
  Json pod = *now->json();
  Json& conditions = pod["status"]["conditions"];
  for (const Json& condition : patch["status"]["conditions"]) {
    Json* found = nullptr;
    for (Json& have : conditions) {
      if (have["type"] == condition["type"]) found = &have;
    }
    if (found != nullptr) {
      found->merge_patch(condition);
    } else {
      conditions.push_back(condition);
    }
  }
  if (patch["status"].contains("nominatedNodeName")) {
    pod["status"].merge_patch({{"nominatedNodeName", patch["status"]["nominatedNodeName"]}});
  }
  ++patches;
  Put(pod);
  co_return cache_.Get(resource, ns, name);
}

// A pod that runs ends when the test removes it; one that has no node goes at once.
Task<Result<ObjectPtr>> FakeCluster::Delete(std::string resource, std::string ns, std::string name,
                                            DeleteOptions options) {
  co_await asio::post(io_, asio::use_awaitable_t<asio::any_io_executor>());
  const ObjectPtr now = cache_.Get(resource, ns, name);
  if (now == nullptr) co_return Status::NotFound(resource, "", name);
  if (resource != "pods" || now->uid() != options.uid_precondition) co_return NotUsed();
  deleted.push_back(name);
  Json pod = *now->json();
  if (pod["spec"].contains("nodeName")) {
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
    Put(pod);
  } else {
    Remove(resource, ns, name);
  }
  co_return now;
}

Task<Status> FakeCluster::Bind(std::string ns, std::string pod, std::string pod_uid, std::string node) {
  ++binds;
  co_await asio::post(io_, asio::use_awaitable_t<asio::any_io_executor>());
  if (!bind_answers.empty()) {
    Status answer = bind_answers.front();
    bind_answers.erase(bind_answers.begin());
    if (!answer.ok()) co_return answer;
  }
  const ObjectPtr now = cache_.Get("pods", ns, pod);
  if (now == nullptr || now->uid() != pod_uid) co_return Status::NotFound("pods", "", pod);
  Json document = *now->json();
  if (document["metadata"].contains("deletionTimestamp") || document["spec"].contains("nodeName")) {
    co_return Status::Conflict("pods", "", pod, "is bound or being deleted");
  }
  document["spec"]["nodeName"] = node;
  document["status"]["conditions"] = Json::array({{{"type", "PodScheduled"}, {"status", "True"}}});
  Put(document);
  co_return Status();
}

}  // namespace wherry::testing
