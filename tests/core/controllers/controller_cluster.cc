#include "tests/core/controllers/controller_cluster.h"

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/post.hpp>
#include <catch2/catch.hpp>
#include <exception>
#include <utility>

#include "core/controllers/controllers.h"
#include "core/controllers/pod_view.h"
#include "core/kinds/catalog_builder.h"
#include "core/kinds/embedded.h"
#include "core/kinds/resources.h"
#include "core/registry/admission.h"
#include "core/registry/indexes.h"
#include "core/runtime/object_view.h"

namespace wherry {

namespace {

// Result has no default value, which co_spawn would need.
template <typename T>
Task<> Keep(Task<T> task, std::optional<T>* answer) {
  T value = co_await std::move(task);
  answer->emplace(std::move(value));
}

// The built-in kinds are built once: they never change.
std::shared_ptr<const KindCatalog> CatalogWith(std::string_view more) {
  static const std::shared_ptr<const KindCatalog> built_in = KindCatalog::BuiltIn();
  if (more.empty()) return built_in;
  CatalogBuilder builder;
  for (std::string_view text : EmbeddedSchemas()) builder.Add(text);
  builder.Add(more);
  return builder.Finish();
}

}  // namespace

Json Workload(const std::string& kind, const std::string& name, int replicas, const Json& spec) {
  const Json labels = {{"app", name}};
  Json workload = {{"apiVersion", "apps/v1"},
                   {"kind", kind},
                   {"metadata", {{"name", name}, {"namespace", "default"}}},
                   {"spec",
                    {{"replicas", replicas},
                     {"selector", {{"matchLabels", labels}}},
                     {"template",
                      {{"metadata", {{"labels", labels}}},
                       {"spec", {{"containers", Json::array({{{"name", "main"}, {"image", "nginx:1"}}})}}}}}}}};
  workload["spec"].merge_patch(spec);
  return workload;
}

ControllerCluster::ControllerCluster(uint64_t seed, std::vector<std::string> without, std::string_view more_kinds)
    : seed_(seed), catalog_(CatalogWith(more_kinds)) {
  StoreOptions options;
  options.path = ":memory:";
  options.durability = Durability::kMemory;
  options.inline_writes = true;
  options.now = [this] { return clock_.Now().time_since_epoch().count(); };
  options.post = [this](std::function<void()> fn) { asio::post(io_, std::move(fn)); };
  auto store = ObjectStore::Open(std::move(options));
  REQUIRE(store.ok());
  store_ = std::move(*store);
  cache_ = std::make_unique<WatchCache>(bus_);
  AddCoreIndexes(*cache_);
  store_->set_on_event([this](EventPtr event) { cache_->Apply(std::move(event)); });
  store_->set_lookup([this](const ObjectKey& key) { return cache_->Get(key); });
  registry_ = std::make_unique<Registry>(*catalog_, *store_, *cache_, clock_, seed);
  AddBuiltInAdmissions(*registry_);
  clients_.push_back(NewLocalClient(*registry_, "tester"));
  for (const char* ns : {"default", "kube-node-lease"}) {
    Create({{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", ns}}}});
  }

  const ControllerSettings settings{*catalog_, "-----BEGIN CERTIFICATE-----\ntest\n"};
  for (const ControllerRow& row : AllControllers()) {
    if (std::find(without.begin(), without.end(), row.name) != without.end()) continue;
    Start(row.name, [&](RuntimeContext context) { return row.make(context, settings); });
  }
  Settle();
}

void ControllerCluster::Start(const std::string& name, const std::function<ControllerSpec(RuntimeContext)>& make) {
  clients_.push_back(NewLocalClient(*registry_, name));
  const RuntimeContext context{*clients_.back(), clock_, io_.get_executor(), seed_};
  ControllerSpec spec = make(context);
  auto count = reconciles_[name] = std::make_shared<int>(0);
  spec.reconcile = [count, inner = std::move(spec.reconcile)](std::string key) {
    ++*count;
    return inner(std::move(key));
  };
  controllers_.push_back(std::make_unique<Controller>(context, std::move(spec)));
  controllers_.back()->Start();
}

ControllerCluster::~ControllerCluster() {
  for (const auto& controller : controllers_) controller->Stop();
  Settle();
}

template <typename T>
T ControllerCluster::Run(Task<T> task) {
  std::optional<T> answer;
  asio::co_spawn(io_, Keep(std::move(task), &answer), [](std::exception_ptr error) {
    if (error) std::rethrow_exception(error);
  });
  Settle();
  REQUIRE(answer.has_value());
  return std::move(*answer);
}

template wherry::Status ControllerCluster::Run(Task<wherry::Status> task);
template Result<ObjectPtr> ControllerCluster::Run(Task<Result<ObjectPtr>> task);

void ControllerCluster::Settle() {
  do {
    io_.restart();
    while (io_.poll() > 0) {
    }
  } while (clock_.FireNext(Duration::zero()));
}

void ControllerCluster::Advance(Duration duration) {
  const Time end = clock_.Now() + duration;
  Settle();
  while (clock_.FireNext(end - clock_.Now())) Settle();
  clock_.MoveTo(end);
  Settle();
}

const Kind& ControllerCluster::KindOf(const Json& object) const {
  const std::string api_version = StringAt(object, "apiVersion");
  const size_t slash = api_version.find('/');
  const std::string group = slash == std::string::npos ? "" : api_version.substr(0, slash);
  const std::string version = slash == std::string::npos ? api_version : api_version.substr(slash + 1);
  const Kind* kind = catalog_->FindGvk(group, version, StringAt(object, "kind"));
  INFO(object.dump());
  REQUIRE(kind != nullptr);
  return *kind;
}

ObjectPtr ControllerCluster::Create(Json object) {
  const Kind& kind = KindOf(object);
  const std::string ns = kind.namespaced ? StringAt(object, "metadata.namespace", "default") : "";
  Result<ObjectPtr> created = Run(client().Create(kind.resource, ns, std::move(object)));
  INFO(created.status().message());
  REQUIRE(created.ok());
  return *created;
}

ObjectPtr ControllerCluster::Update(const ObjectPtr& current, const std::function<void(Json&)>& change,
                                    std::string subresource) {
  REQUIRE(current);
  const ObjectPtr latest = Get(current->key().resource, current->ns(), current->name());
  REQUIRE(latest);
  Json object = *latest->json();
  change(object);
  WriteOptions options;
  options.subresource = std::move(subresource);
  Result<ObjectPtr> updated = Run(client().Update(current->key().resource, std::move(object), options));
  INFO(updated.status().message());
  REQUIRE(updated.ok());
  return *updated;
}

void ControllerCluster::Delete(std::string_view resource, std::string_view ns, std::string_view name,
                               DeleteOptions options) {
  Result<ObjectPtr> deleted =
      Run(client().Delete(std::string(resource), std::string(ns), std::string(name), std::move(options)));
  INFO(deleted.status().message());
  REQUIRE(deleted.ok());
}

void ControllerCluster::Commit(Mutation mutation) {
  store_->Commit(std::move(mutation), [](Result<ObjectPtr> outcome) { REQUIRE(outcome.ok()); });
  Settle();
}

void ControllerCluster::Bind(const ObjectPtr& pod, const std::string& node) {
  const auto bound = Run(client().Bind(pod->ns(), pod->name(), pod->uid(), node));
  INFO(bound.message());
  REQUIRE(bound.ok());
}

ObjectPtr ControllerCluster::Get(std::string_view resource, std::string_view ns, std::string_view name) const {
  return cache_->Get(resource, ns, name);
}

Json ControllerCluster::Document(std::string_view resource, std::string_view ns, std::string_view name) const {
  const ObjectPtr object = Get(resource, ns, name);
  return object ? *object->json() : Json();
}

std::vector<ObjectPtr> ControllerCluster::List(std::string_view resource, std::string_view ns) const {
  return cache_->List(resource, ns);
}

ObjectPtr ControllerCluster::AddNode(const std::string& name, Json labels, Json taints) {
  Json node = {{"apiVersion", "v1"}, {"kind", "Node"}, {"metadata", {{"name", name}}}};
  if (!labels.is_null()) node["metadata"]["labels"] = std::move(labels);
  if (!taints.is_null()) node["spec"]["taints"] = std::move(taints);
  const ObjectPtr made = Create(std::move(node));
  return Update(
      made,
      [](Json& object) {
        object["status"]["conditions"] = Json::array({{{"type", "Ready"},
                                                       {"status", "True"},
                                                       {"reason", "KubeletReady"},
                                                       {"message", "ready"},
                                                       {"lastHeartbeatTime", "2100-01-01T00:00:00Z"},
                                                       {"lastTransitionTime", "2020-01-01T00:00:00Z"}}});
      },
      "status");
}

ObjectPtr ControllerCluster::AddDaemonSet(const std::string& name, Json spec) {
  Json set = {{"apiVersion", "apps/v1"},
              {"kind", "DaemonSet"},
              {"metadata", {{"name", name}, {"namespace", "default"}}},
              {"spec",
               {{"selector", {{"matchLabels", {{"app", name}}}}},
                {"template",
                 {{"metadata", {{"labels", {{"app", name}}}}},
                  {"spec", {{"containers", Json::array({{{"name", "main"}, {"image", "nginx:1"}}})}}}}}}}};
  set["spec"].merge_patch(spec);
  ObjectPtr made = Create(std::move(set));
  Settle();
  return made;
}

void ControllerCluster::SetPodStatus(const std::string& pod, Json status) {
  Update(
      Get(resources::kPods, "default", pod), [&](Json& object) { object["status"].merge_patch(status); }, "status");
}

void ControllerCluster::SetReady(const std::string& pod, bool ready) {
  SetPodStatus(pod, {{"conditions", Json::array({{{"type", "Ready"},
                                                  {"status", ready ? "True" : "False"},
                                                  {"lastTransitionTime", FormatTime(clock_.Now())}}})}});
}

std::string ControllerCluster::EmptiestNode() const {
  std::string best;
  size_t fewest = SIZE_MAX;
  for (const ObjectPtr& node : List(resources::kNodes)) {
    const size_t pods = cache_->ByIndex(kIndexNodeName, node->name()).size();
    if (pods >= fewest) continue;
    fewest = pods;
    best = node->name();
  }
  return best;
}

bool ControllerCluster::StepPods() {
  bool changed = false;
  for (const ObjectPtr& pod : List(resources::kPods)) {
    const PodView& view = pod->view<PodView>();
    if (view.deleting) {
      if (!pod->view<MetaView>().finalizers.empty()) continue;
      DeleteOptions options;
      options.grace_period_seconds = 0;
      Delete(resources::kPods, pod->ns(), pod->name(), options);
      changed = true;
    } else if (view.node_name.empty()) {
      const std::string node = view.target_node.empty() && schedule ? EmptiestNode() : view.target_node;
      if (node.empty() || !Get(resources::kNodes, "", node)) continue;
      (void)Run(client().Bind(pod->ns(), pod->name(), pod->uid(), node));
      changed = true;
    } else if (view.phase == PodView::Phase::kPending) {
      const bool ready = std::find(sick.begin(), sick.end(), view.node_name) == sick.end();
      SetPodStatus(pod->name(), {{"phase", "Running"}});
      SetReady(pod->name(), ready);
      changed = true;
    }
  }
  Settle();
  return changed;
}

void ControllerCluster::RunPods() {
  Settle();
  for (int i = 0; i < 1000 && StepPods(); ++i) {
  }
}

std::map<std::string, std::vector<std::string>> ControllerCluster::PodsByNode(const std::string& set) const {
  std::map<std::string, std::vector<std::string>> out;
  for (const ObjectPtr& pod : List(resources::kPods, "default")) {
    const PodView& view = pod->view<PodView>();
    const OwnerRef* owner = pod->view<MetaView>().controller();
    if (view.deleting || (!set.empty() && (!owner || owner->name != set))) continue;
    out[view.target_node].push_back(pod->name());
  }
  return out;
}

std::string ControllerCluster::Where(const std::string& set) const {
  std::string out;
  for (const auto& [node, pods] : PodsByNode(set)) {
    for (const std::string& pod : pods) out += (out.empty() ? "" : " ") + node + "=" + pod;
  }
  return out;
}

Json ControllerCluster::Status(const std::string& set) const {
  return Document(resources::kDaemonSets, "default", set)["status"];
}

std::vector<std::string> ControllerCluster::EventsAbout(const std::string& name) const {
  std::vector<ObjectPtr> events = List(resources::kEvents);
  std::sort(events.begin(), events.end(),
            [](const ObjectPtr& a, const ObjectPtr& b) { return a->revision() < b->revision(); });
  std::vector<std::string> out;
  for (const ObjectPtr& event : events) {
    const JsonPtr document = event->json();
    if (StringAt(*document, "involvedObject.name") != name) continue;
    out.push_back(StringAt(*document, "reason") + ": " + StringAt(*document, "message"));
  }
  return out;
}

int ControllerCluster::Reconciles(const std::string& controller) const { return *reconciles_.at(controller); }

}  // namespace wherry
