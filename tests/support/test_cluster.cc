#include "tests/support/test_cluster.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <utility>

#include "core/runtime/object_view.h"

namespace wherry {

TestCluster::TestCluster(uint64_t seed, Parts parts) {
  ControlPlaneOptions options;
  options.store.path = ":memory:";
  options.store.durability = Durability::kMemory;
  options.store.inline_writes = true;
  options.seed = seed;
  char directory[] = "/tmp/wherry-test-XXXXXX";
  REQUIRE(::mkdtemp(directory) != nullptr);
  directory_ = directory;
  options.agent.data_dir = directory_;
  options.ca_certificate = "-----BEGIN CERTIFICATE-----\ntest\n-----END CERTIFICATE-----\n";
  auto plane = ControlPlane::Open(std::move(options), io_.get_executor(), clock_);
  INFO(plane.status().message());
  REQUIRE(plane.ok());
  plane_ = std::move(*plane);
  const Status status = Run(plane_->Bootstrap());
  INFO(status.message());
  REQUIRE(status.ok());
  if (parts == Parts::kStoreOnly) return;
  const Status started = Run(plane_->Start());
  INFO(started.message());
  REQUIRE(started.ok());
  Settle();
}

TestCluster::~TestCluster() {
  plane_->Stop();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

ObjectPtr TestCluster::AddNode(const std::string& name, Json labels, Json taints) {
  labels["wherry.dev/runtime"] = "simulated";
  Json node = {{"apiVersion", "v1"}, {"kind", "Node"}, {"metadata", {{"name", name}, {"labels", std::move(labels)}}}};
  if (!taints.empty()) node["spec"]["taints"] = std::move(taints);
  Create(std::move(node));
  Settle();
  return Get("nodes", "", name);
}

int TestCluster::PodsOn(const std::string& node) const {
  return static_cast<int>(plane_->cache().ByIndex(kIndexNodeName, node).size());
}

void TestCluster::Settle() {
  do {
    io_.restart();
    while (io_.poll() > 0) {
    }
  } while (clock_.FireNext(Duration::zero()));
}

void TestCluster::Advance(Duration duration) {
  const Time end = clock_.Now() + duration;
  Settle();
  while (clock_.FireNext(end - clock_.Now())) Settle();
  clock_.MoveTo(end);
  Settle();
}

const Kind& TestCluster::KindOf(const Json& object) const {
  const std::string api_version = StringAt(object, "apiVersion");
  const size_t slash = api_version.find('/');
  const std::string group = slash == std::string::npos ? "" : api_version.substr(0, slash);
  const std::string version = slash == std::string::npos ? api_version : api_version.substr(slash + 1);
  const Kind* kind = plane_->registry().catalog().FindGvk(group, version, StringAt(object, "kind"));
  INFO(object.dump());
  REQUIRE(kind != nullptr);
  return *kind;
}

Result<ObjectPtr> TestCluster::TryCreate(Json object) {
  const Kind& kind = KindOf(object);
  const std::string ns = kind.namespaced ? StringAt(object, "metadata.namespace", "default") : "";
  return Run(client().Create(kind.resource, ns, std::move(object)));
}

ObjectPtr TestCluster::Create(Json object) {
  Result<ObjectPtr> created = TryCreate(std::move(object));
  INFO(created.status().message());
  REQUIRE(created.ok());
  return *created;
}

ObjectPtr TestCluster::Update(const ObjectPtr& current, const std::function<void(Json&)>& change,
                              std::string subresource) {
  Json object = *Get(current->key().resource, current->ns(), current->name())->json();
  change(object);
  WriteOptions options;
  options.subresource = std::move(subresource);
  Result<ObjectPtr> updated = Run(client().Update(current->key().resource, std::move(object), options));
  INFO(updated.status().message());
  REQUIRE(updated.ok());
  return *updated;
}

ObjectPtr TestCluster::Apply(Json object) {
  const Kind& kind = KindOf(object);
  const std::string ns = kind.namespaced ? StringAt(object, "metadata.namespace", "default") : "";
  const std::string name = StringAt(object, "metadata.name");
  if (!Get(kind.resource, ns, name)) return Create(std::move(object));
  Result<ObjectPtr> patched = Run(client().Patch(kind.resource, ns, name, PatchType::kMerge, std::move(object)));
  INFO(patched.status().message());
  REQUIRE(patched.ok());
  return *patched;
}

void TestCluster::Delete(std::string_view resource, std::string_view ns, std::string_view name, DeleteOptions options) {
  Result<ObjectPtr> deleted =
      Run(client().Delete(std::string(resource), std::string(ns), std::string(name), std::move(options)));
  INFO(deleted.status().message());
  REQUIRE(deleted.ok());
}

ObjectPtr TestCluster::Get(std::string_view resource, std::string_view ns, std::string_view name) const {
  return plane_->cache().Get(resource, ns, name);
}

Json TestCluster::Document(std::string_view resource, std::string_view ns, std::string_view name) const {
  const ObjectPtr object = Get(resource, ns, name);
  return object ? *object->json() : Json();
}

std::vector<ObjectPtr> TestCluster::List(std::string_view resource, std::string_view ns) const {
  return plane_->cache().List(resource, ns);
}

}  // namespace wherry
