#include "core/agent/node_agent_pool.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/agent/images.h"
#include "core/agent/pod_files.h"
#include "core/agent/pod_namespaces.h"
#include "core/agent/shipped_images.h"
#include "core/kinds/resources.h"
#include "core/kinds/storage_view.h"
#include "core/registry/indexes.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLeaseNamespace = "kube-node-lease";
constexpr Duration kLeaseRetry = std::chrono::seconds(2);
constexpr size_t kMaxNodeImages = 50;  // as the kubelet's default

// What the agents look at again and again of a node.
struct NodeView {
  explicit NodeView(const Json& node) : pod_cidr(StringAt(node, "spec.podCIDR")), asked(node) {
    std::string runtime, agent, fail;
    for (const char* map : {"metadata.labels", "metadata.annotations"}) {
      const Json* values = FindPath(node, map);
      if (!values || !values->is_object()) continue;
      runtime = values->value(std::string(kRuntimeKey), runtime);
      agent = values->value(std::string(kAgentKey), agent);
      capacity = values->value(std::string(kCapacityKey), capacity);
      fail = values->value(std::string(kFailKey), fail);
    }
    silent = !fail.empty() && fail != "false";
    simulated = runtime == "simulated";
    external = agent == "external";
    if (!simulated || !asked.text) return;
    const Json faults = Json::parse(*asked.text, nullptr, false);
    not_ready = BoolAt(faults, "notReady");
    silent = silent || BoolAt(faults, "silent");
  }
  std::string pod_cidr, capacity;
  SimulationAsked asked;
  bool simulated = false, external = false;
  bool silent = false;
  bool not_ready = false;  // asked of a simulated node
};

// Which node a pod is bound to.
struct BoundView {
  explicit BoundView(const Json& pod) : node(StringAt(pod, "spec.nodeName")) {}
  std::string node;
};

}  // namespace

NodeAgentPool::NodeAgentPool(RuntimeContext context, AgentOptions options, ContainerRuntime& process,
                             SimulatedRuntime& simulated)
    : host_(ReadHostFacts(options.data_dir)),
      process_(process),
      simulated_(simulated),
      services_{context, std::move(options), {}, {}},
      blocks_(Cidr::Parse(services_.options.pod_cidr).value(), services_.options.first_block),
      heartbeats_(context.clock,
                  [this](const std::string& name) {
                    if (!stopped_) Spawn(services_.context.executor, "heartbeat of " + name, Beat(name));
                  }),
      evictor_(services_, process,
               {[this] {
                  std::vector<std::shared_ptr<NodeSite>> sites;
                  for (const auto& [name, agent] : nodes_) sites.push_back(agent.site);
                  return sites;
                },
                [this](const std::string& uid) {
                  auto it = workers_.find(uid);
                  return it == workers_.end() ? nullptr : it->second;
                },
                [this](const std::string& node) { TellOfPressure(node); }}),
      volumes_(context, services_.options.data_dir, [this](const std::string& node) {
        auto it = nodes_.find(node);
        if (it == nodes_.end()) return LocalVolumes::Site::kElsewhere;
        return it->second.site->simulated() ? LocalVolumes::Site::kSimulated : LocalVolumes::Site::kProcesses;
      }) {
  if (!services_.options.read_machine) {
    services_.options.read_machine = [directory = services_.options.data_dir] { return ReadMachineSignals(directory); };
  }
  services_.wake = [this](const std::string& key) {
    if (pod_controller_) pod_controller_->queue().Add(key);
  };
  services_.active_pods = [this](const NodeSite& site, const std::string& but_uid) {
    return ActivePods(site, but_uid);
  };
}

NodeAgentPool::~NodeAgentPool() { Stop(); }

NodeAgentPool::Counters NodeAgentPool::counters() const {
  Counters counters = counters_;
  counters.pod_status_writes = services_.status_writes;
  return counters;
}

const PodWorker* NodeAgentPool::Find(const std::string& uid) const {
  auto it = workers_.find(uid);
  return it == workers_.end() ? nullptr : it->second.get();
}

Task<Status> NodeAgentPool::Start() {
  for (ContainerRuntime* runtime : {&process_, static_cast<ContainerRuntime*>(&simulated_)}) {
    found_.Expect();
    runtime->set_on_exit([this](const ContainerState& state) {
      if (stopped_) return;
      if (auto it = workers_.find(PodUidOf(state.id)); it != workers_.end()) return it->second->OnExit(state);
      found_.Correct(state);
    });
    runtime->set_on_note([this](const ContainerState& state) {
      if (auto it = workers_.find(PodUidOf(state.id)); it != workers_.end() && !stopped_) it->second->OnNote(state);
    });
    std::vector<ContainerState> found = co_await runtime->List();
    found_.Add(std::move(found));
  }
  co_await EndOrphans();
  RemoveOrphanFiles();
  const Status images = co_await InstallShippedImages(services_.context.client);
  if (!images.ok()) co_return images;

  ControllerSpec nodes;
  nodes.name = "node-agent";
  nodes.watches.push_back({std::string(resources::kNodes), EnqueueSelf});
  nodes.reconcile = [this](std::string name) { return ReconcileNode(std::move(name)); };
  nodes.workers = 64;
  ControllerSpec pods;
  pods.name = "kubelet";
  pods.watches.push_back(
      {std::string(resources::kPods), [this](const Event& event, WorkQueue& queue) { OnPodEvent(event, queue); }});
  pods.reconcile = [this](std::string key) { return ReconcilePod(std::move(key)); };
  pods.workers = 256;
  pods.backoff.max = std::chrono::seconds(30);
  node_controller_ = std::make_unique<Controller>(services_.context, std::move(nodes));
  pod_controller_ = std::make_unique<Controller>(services_.context, std::move(pods));

  // Every block in use is known before the first is handed out.
  services_.context.client.cache().ForEach(resources::kNodes, {}, [&](const ObjectPtr& node) {
    const NodeView& view = node->view<NodeView>();
    if (!view.pod_cidr.empty()) blocks_.Reserve(node->name(), view.pod_cidr, false);
    return true;
  });
  for (std::string_view resource : {resources::kConfigMaps, resources::kSecrets}) {
    handlers_.push_back(
        services_.context.client.events().AddHandler(resource, [this](const Event& event) { OnConfigEvent(event); }));
  }
  handlers_.push_back(services_.context.client.events().AddHandler(
      resources::kImages, [this](const Event& event) { OnImageEvent(event); }));
  for (std::string_view resource : {resources::kPersistentVolumeClaims, resources::kPersistentVolumes}) {
    handlers_.push_back(
        services_.context.client.events().AddHandler(resource, [this](const Event& event) { OnVolumeEvent(event); }));
  }
  volumes_.Start();
  evictor_.Start();
  node_controller_->Start();
  pod_controller_->Start();
  co_return Status();
}

void NodeAgentPool::Stop() {
  if (stopped_) return;
  stopped_ = true;
  for (ContainerRuntime* runtime : {&process_, static_cast<ContainerRuntime*>(&simulated_)}) {
    runtime->set_on_exit([](const ContainerState&) {});
    runtime->set_on_note([](const ContainerState&) {});
  }
  for (EventBus::HandlerId id : handlers_) services_.context.client.events().RemoveHandler(id);
  handlers_.clear();
  volumes_.Stop();
  evictor_.Stop();
  if (node_controller_) node_controller_->Stop();
  if (pod_controller_) pod_controller_->Stop();
}

Task<> NodeAgentPool::StopPods(Duration grace) {
  const Duration deadline = services_.context.clock.Monotonic() + grace;
  bool termed = false;
  for (;;) {
    bool any = false;
    for (ContainerRuntime* runtime : {&process_, static_cast<ContainerRuntime*>(&simulated_)}) {
      const std::vector<ContainerState> found = co_await runtime->List();
      const bool only_pauses = std::all_of(
          found.begin(), found.end(), [](const ContainerState& state) { return !state.running || IsPause(state.id); });
      for (const ContainerState& state : found) {
        if (!state.running) continue;
        any = true;
        // A pause waits for those it is there for, and takes no other signal.
        const bool late = only_pauses || services_.context.clock.Monotonic() >= deadline;
        if ((termed || IsPause(state.id)) && !late) continue;
        const Status sent = co_await runtime->Signal(state.id, late ? SIGKILL : SIGTERM);
        if (!sent.ok()) spdlog::warn("container not stopped id={} error=\"{}\"", state.id, sent.message());
      }
    }
    termed = true;
    if (!any || services_.context.clock.Monotonic() > deadline + std::chrono::seconds(5)) co_return;
    co_await services_.context.clock.Sleep(std::chrono::milliseconds(20));
  }
}

Task<Status> NodeAgentPool::EnsureNode(std::string name, Json metadata) {
  if (services_.context.client.cache().Get(resources::kNodes, "", name)) co_return Status();
  if (!metadata.is_object()) metadata = Json::object();
  metadata["name"] = name;
  for (const auto& [key, value] : NodeLabels(name, host_)) metadata["labels"].emplace(key, value);
  Json node = {{"metadata", std::move(metadata)}};
  Result<std::string> block = blocks_.Allocate(name);
  if (block.ok()) node["spec"] = {{"podCIDR", *block}, {"podCIDRs", {*block}}};
  Result<ObjectPtr> made =
      co_await services_.context.client.Create(std::string(resources::kNodes), "", std::move(node));
  if (!made.ok() && made.status().reason() != Reason::kAlreadyExists) co_return made.status();
  co_return Status();
}

Result<std::unique_ptr<LogStream>> NodeAgentPool::OpenLog(const ObjectPtr& pod, const std::string& container,
                                                          LogOptions options) {
  const JsonPtr document = pod->json();
  Result<LogTarget> target = FindLog(*document, container, options.previous);
  if (!target.ok()) return target.status();
  const std::string name = target->container, uid = pod->uid();
  const int attempt = target->attempt;
  // A pod without a node, or on a simulated one, has no file: an empty log.
  const fs::path path = fs::path(services_.options.data_dir) / "logs" / (pod->ns() + "_" + pod->name() + "_" + uid) /
                        name / (std::to_string(attempt) + ".log");
  const bool running = target->running;
  auto ended = [this, uid, name, attempt, running] {
    if (!running) return true;
    const PodWorker* worker = Find(uid);
    if (!worker) return true;
    const auto& containers = worker->info().containers;
    for (size_t i = 0; i < containers.size(); ++i) {
      if (containers[i].name != name) continue;
      const std::optional<Run>& run = worker->record().containers[i].current;
      return !run || run->attempt != attempt || !run->running;
    }
    return true;
  };
  return std::make_unique<LogStream>(services_.context.clock, path.string(), std::move(options), std::move(ended));
}

// ---- nodes

void NodeAgentPool::TakeBlock(NodeAgent& agent, const std::string& cidr) {
  if (agent.site->addresses) return;
  if (!blocks_.Reserve(agent.site->name, cidr, !agent.site->simulated())) {
    agent.not_ready =
        "spec.podCIDR " + cidr + " cannot be used: pods here need a block of 127.0.0.0/8 that no other node has";
    return;
  }
  agent.not_ready.clear();
  agent.site->addresses = std::make_unique<PodAddressPool>(Cidr::Parse(cidr).value());
  for (const ObjectPtr& pod : services_.context.client.cache().ByIndex(kIndexNodeName, agent.site->name)) {
    const std::string address = StringAt(*pod->json(), "status.podIP");
    if (!address.empty()) agent.site->addresses->Reserve(pod->uid(), address);
  }
}

// The agent of a node that is new to us.
void NodeAgentPool::Meet(const ObjectPtr& node) {
  const NodeView& view = node->view<NodeView>();
  NodeAgent agent;
  agent.site = std::make_shared<NodeSite>();
  agent.site->name = node->name();
  agent.site->node = node;
  agent.site->simulation = view.simulated ? &simulated_ : nullptr;
  agent.site->asked = view.asked;
  agent.site->runtime = view.simulated ? static_cast<ContainerRuntime*>(&simulated_) : &process_;
  nodes_[node->name()] = std::move(agent);
  volumes_.OnNodeHere(node->name());
  spdlog::info("node has its agent node={} runtime={}", node->name(), nodes_[node->name()].site->runtime->name());
}

// The node is gone: its pods stop, its block and heartbeats go back.
void NodeAgentPool::Part(const std::string& name) {
  auto it = nodes_.find(name);
  if (it == nodes_.end()) return;
  const std::shared_ptr<NodeSite> site = it->second.site;
  nodes_.erase(it);
  heartbeats_.Forget(name);
  evictor_.Forget(name);
  blocks_.Release(name);
  site->node = nullptr;
  for (const std::string& uid : site->pods) workers_.at(uid)->Abandon();
  spdlog::info("node is gone node={} pods={}", name, site->pods.size());
}

Task<ReconcileResult> NodeAgentPool::ReconcileNode(std::string name) {
  ReconcileResult result;
  const ObjectPtr node = services_.context.client.cache().Get(resources::kNodes, "", name);
  if (auto it = nodes_.find(name); it != nodes_.end() && (!node || node->uid() != it->second.site->node->uid()))
    Part(name);
  if (!node || node->view<NodeView>().external || stopped_) co_return result;
  if (nodes_.contains(name) && nodes_[name].synced_revision == node->revision()) co_return result;
  if (!nodes_.contains(name)) Meet(node);
  NodeAgent& agent = nodes_[name];
  agent.site->node = node;
  if (agent.site->simulated() && agent.site->asked != node->view<NodeView>().asked) {
    agent.site->asked = node->view<NodeView>().asked;
    for (const std::string& uid : agent.site->pods) workers_.at(uid)->OnSimulation();
  }
  const bool was_silent = std::exchange(agent.site->silent, node->view<NodeView>().silent);
  if (agent.site->silent) {
    heartbeats_.Forget(name);
    if (was_silent) co_return result;
    spdlog::info("node is cut off node={} pods={}", name, agent.site->pods.size());
    // The last word of a simulated node, whose leases are long, is one of the usual length: it is missed as soon as any
    // other node would be.
    if (agent.site->simulated()) result.status = co_await RenewLease(name, false);
    co_return result;
  }
  if (was_silent) WakeWorkers(*agent.site);
  evictor_.Judge(*agent.site);
  if (!node->view<NodeView>().pod_cidr.empty()) TakeBlock(agent, node->view<NodeView>().pod_cidr);

  result.status = co_await WriteNodeSpec(name);
  if (result.status.ok()) CallPods(name);
  if (result.status.ok()) result.status = co_await WriteNodeStatus(name, was_silent);
  if (!result.status.ok()) co_return result;
  const auto now_known = nodes_.find(name);
  if (now_known == nodes_.end()) co_return result;
  now_known->second.synced_revision = now_known->second.site->node->revision();
  if (!heartbeats_.planned(name) && !StillFresh(name)) co_await Beat(name);
  co_return result;
}

// After a restart the lease of a simulated node may be good for a while yet: thousands of them need not be renewed at
// once.
bool NodeAgentPool::StillFresh(const std::string& name) {
  if (!nodes_.at(name).site->simulated()) return false;
  const ObjectPtr lease = services_.context.client.cache().Get(resources::kLeases, kLeaseNamespace, name);
  Time renewed;
  const bool lasts =
      lease && IntAt(*lease->json(), "spec.leaseDurationSeconds") == services_.options.simulated_lease_seconds;
  if (!lasts || !ParseTime(StringAt(*lease->json(), "spec.renewTime"), &renewed)) return false;
  const Duration left = renewed + services_.options.simulated_lease_interval - services_.context.clock.Now();
  if (left <= Duration::zero() || left > services_.options.simulated_lease_interval) return false;
  heartbeats_.Schedule(name, left);
  return true;
}

// The block and the labels, in one write, when they are not there yet.
Task<Status> NodeAgentPool::WriteNodeSpec(std::string name) {
  const ObjectPtr node = nodes_[name].site->node;
  Json body = *node->json();
  bool changed = false;
  Json& labels = body["metadata"]["labels"];
  if (!labels.is_object()) labels = Json::object();
  for (const auto& [key, value] : NodeLabels(name, host_)) changed |= labels.emplace(key, value).second;
  if (node->view<NodeView>().pod_cidr.empty()) {
    Result<std::string> block = blocks_.Allocate(name);
    if (!block.ok()) co_return block.status();
    body["spec"]["podCIDR"] = *block;
    body["spec"]["podCIDRs"] = {*block};
    changed = true;
  }
  if (!changed) co_return Status();
  ++counters_.node_writes;
  Result<ObjectPtr> written = co_await services_.context.client.Update(std::string(resources::kNodes), std::move(body));
  if (!written.ok()) co_return written.status();
  auto it = nodes_.find(name);
  if (it == nodes_.end()) co_return Status();
  it->second.site->node = *written;
  TakeBlock(it->second, (*written)->view<NodeView>().pod_cidr);
  co_return Status();
}

// Once a node has its block, the pods that were bound to it before begin.
void NodeAgentPool::CallPods(const std::string& name) {
  auto it = nodes_.find(name);
  if (it == nodes_.end() || it->second.pods_called || !it->second.site->addresses) return;
  it->second.pods_called = true;
  for (const std::string& uid : it->second.site->pods) workers_.at(uid)->RetryNow();
  for (const ObjectPtr& pod : services_.context.client.cache().ByIndex(kIndexNodeName, name))
    pod_controller_->queue().Add(KeyOf(*pod));
}

// After a silence: every pod of the node is looked at again, also those whose objects went meanwhile.
void NodeAgentPool::WakeWorkers(const NodeSite& site) {
  spdlog::info("node is back node={} pods={}", site.name, site.pods.size());
  for (const std::string& uid : site.pods) pod_controller_->queue().Add(workers_.at(uid)->key());
  for (const ObjectPtr& pod : services_.context.client.cache().ByIndex(kIndexNodeName, site.name))
    pod_controller_->queue().Add(KeyOf(*pod));
}

Task<Status> NodeAgentPool::WriteNodeStatus(std::string name, bool beat) {
  auto it = nodes_.find(name);
  if (it == nodes_.end()) co_return Status();
  NodeAgent& agent = it->second;
  const ObjectPtr node = agent.site->node;
  const NodeView& view = node->view<NodeView>();
  NodeFacts facts;
  facts.name = name;
  facts.version = services_.options.version;
  facts.runtime = agent.site->runtime->name();
  facts.simulated = agent.site->simulated();
  if (agent.site->addresses) facts.address = agent.site->addresses->node_address();
  facts.pressure = agent.site->pressure();
  facts.not_ready_message = view.not_ready ? "simulated: not ready" : agent.not_ready;
  facts.ready = facts.not_ready_message.empty() && agent.site->addresses != nullptr;
  facts.capacity = services_.options.capacity;
  if (const Json own = Json::parse(view.capacity.empty() ? "{}" : view.capacity, nullptr, false); own.is_object()) {
    for (auto entry = own.begin(); entry != own.end(); ++entry) {
      if (entry->is_string()) facts.capacity[entry.key()] = entry->get<std::string>();
    }
  }
  if (!facts.simulated) facts.images = ImageNames();

  const JsonPtr document = node->json();
  const Json* previous = FindPath(*document, "status");
  Json status =
      RenderNodeStatus(facts, host_, previous ? *previous : Json::object(), beat, services_.context.clock.Now());
  if (previous && *previous == status) co_return Status();
  Json body = *document;
  body["status"] = std::move(status);
  ++counters_.node_writes;
  WriteOptions options;
  options.subresource = "status";
  Result<ObjectPtr> written =
      co_await services_.context.client.Update(std::string(resources::kNodes), std::move(body), std::move(options));
  if (!written.ok()) co_return written.status();
  it = nodes_.find(name);
  if (it == nodes_.end()) co_return Status();
  it->second.status_beat = services_.context.clock.Monotonic();
  if ((*written)->revision() > it->second.site->node->revision()) {
    if (it->second.synced_revision == it->second.site->node->revision())
      it->second.synced_revision = (*written)->revision();
    it->second.site->node = *written;
  }
  co_return Status();
}

// Its status is written by the way that tries again when somebody else wrote first.
void NodeAgentPool::TellOfPressure(const std::string& name) {
  auto it = nodes_.find(name);
  if (it == nodes_.end() || stopped_) return;
  it->second.synced_revision = 0;
  node_controller_->queue().Add(name);
}

std::vector<std::string> NodeAgentPool::ImageNames() const {
  std::vector<std::string> names;
  services_.context.client.cache().ForEach(resources::kImages, {}, [&](const ObjectPtr& image) {
    for (const ImageView::Pattern& pattern : image->view<ImageView>().patterns) {
      const bool plain = pattern.glob.find_first_of("*?") == std::string::npos;
      if (plain && names.size() < kMaxNodeImages)
        names.push_back(pattern.any_version ? pattern.glob + ":latest" : pattern.glob);
    }
    return names.size() < kMaxNodeImages;
  });
  return names;
}

// One heartbeat: the lease, and for real nodes a look at the host and now and then the status' heartbeat times.
Task<> NodeAgentPool::Beat(std::string name) {
  auto it = nodes_.find(name);
  if (it == nodes_.end() || it->second.site->silent || stopped_) co_return;
  const bool simulated = it->second.site->simulated();
  const AgentOptions& options = services_.options;
  const Duration interval = simulated ? options.simulated_lease_interval : options.lease_interval;
  const bool first = !services_.context.client.cache().Get(resources::kLeases, kLeaseNamespace, name);
  heartbeats_.Schedule(name, kLeaseRetry);  // so that nobody else begins a beat meanwhile
  const Status renewed = co_await RenewLease(name, simulated);
  if (!simulated && renewed.ok()) {
    it = nodes_.find(name);
    if (it == nodes_.end()) co_return;
    const bool beat = services_.context.clock.Monotonic() - it->second.status_beat >= options.status_interval;
    const Status written = co_await WriteNodeStatus(name, beat);
    if (!written.ok() && written.reason() != Reason::kConflict)
      spdlog::warn("node status not written node={} error=\"{}\"", name, written.message());
  }
  if (!nodes_.contains(name) || stopped_) co_return;
  // The first rounds are spread, so that nodes which came together do not beat together for ever.
  const Duration spread =
      first && renewed.ok()
          ? Duration(static_cast<int64_t>(std::hash<std::string>()(name) % static_cast<uint64_t>(interval.count() / 2)))
          : Duration(0);
  heartbeats_.Schedule(name, renewed.ok() ? interval - spread : kLeaseRetry);
}

Task<Status> NodeAgentPool::RenewLease(std::string name, bool simulated) {
  const std::string resource(resources::kLeases);
  const std::string now = FormatMicroTime(services_.context.clock.Now());
  const int seconds = simulated ? services_.options.simulated_lease_seconds : services_.options.lease_seconds;
  const ObjectPtr lease = services_.context.client.cache().Get(resource, kLeaseNamespace, name);
  ++counters_.lease_writes;
  if (lease) {
    Json body = *lease->json();
    body["spec"]["holderIdentity"] = name;
    body["spec"]["leaseDurationSeconds"] = seconds;
    body["spec"]["renewTime"] = now;
    Result<ObjectPtr> updated = co_await services_.context.client.Update(resource, std::move(body));
    co_return updated.status();
  }
  const Json owner = {{"apiVersion", "v1"}, {"kind", "Node"}, {"name", name}, {"uid", nodes_[name].site->node->uid()}};
  Json body = {
      {"metadata", {{"name", name}, {"namespace", kLeaseNamespace}, {"ownerReferences", Json::array({owner})}}},
      {"spec", {{"holderIdentity", name}, {"leaseDurationSeconds", seconds}, {"renewTime", now}}}};
  Result<ObjectPtr> made = co_await services_.context.client.Create(resource, kLeaseNamespace, std::move(body));
  if (!made.ok()) spdlog::debug("lease not made node={} error=\"{}\"", name, made.status().message());
  co_return made.status();
}

// ---- pods

void NodeAgentPool::OnPodEvent(const Event& event, WorkQueue& queue) {
  const std::string& node = event.object->view<BoundView>().node;
  if (node.empty()) return;
  // The pods of a node that is new wait for CallPods.
  auto it = nodes_.find(node);
  if ((it != nodes_.end() && it->second.pods_called) || workers_.contains(event.object->uid()))
    queue.Add(KeyOf(*event.object));
}

Task<ReconcileResult> NodeAgentPool::ReconcilePod(std::string key) {
  ReconcileResult result;
  const auto [ns, name] = SplitKey(key);
  const WatchCache& cache = services_.context.client.cache();
  ObjectPtr pod = cache.Get(resources::kPods, ns, name);
  if (pod && !workers_.contains(pod->uid())) {
    auto it = nodes_.find(pod->view<BoundView>().node);
    if (it != nodes_.end() && it->second.pods_called && !it->second.site->silent) {
      auto worker = std::make_shared<PodWorker>(services_, it->second.site, pod, found_.Take(pod->uid()));
      Follow(*worker, true);
      workers_[pod->uid()] = std::move(worker);
      uids_by_key_[key].push_back(pod->uid());
    }
  }
  auto known = uids_by_key_.find(key);
  if (known == uids_by_key_.end()) co_return result;
  const std::vector<std::string> uids = known->second;
  for (const std::string& uid : uids) {
    const std::shared_ptr<PodWorker> worker = workers_.at(uid);
    if (worker->site().silent) continue;
    pod = cache.Get(resources::kPods, ns, name);
    if (pod && pod->uid() != uid) pod = nullptr;
    const ReconcileResult one = co_await worker->Sync(std::move(pod));
    if (!one.status.ok()) result.status = one.status;
    if (one.requeue_after > Duration::zero() &&
        (result.requeue_after == Duration::zero() || one.requeue_after < result.requeue_after)) {
      result.requeue_after = one.requeue_after;
    }
    if (!worker->done()) continue;
    Follow(*worker, false);
    workers_.erase(uid);
    auto entry = uids_by_key_.find(key);
    std::erase(entry->second, uid);
    if (entry->second.empty()) uids_by_key_.erase(entry);
  }
  co_return result;
}

// Notes which ConfigMaps and Secrets a pod names, for as long as it has a worker.
void NodeAgentPool::Follow(const PodWorker& worker, bool follow) {
  if (worker.site().simulated()) return;
  for (const std::string& reference : ConfigReferences(*worker.pod()->json())) {
    const size_t slash = reference.find('/');
    const std::string key = reference.substr(0, slash + 1) + worker.info().ns + reference.substr(slash);
    if (follow) {
      followers_[key].insert(worker.info().uid);
    } else if (auto it = followers_.find(key); it != followers_.end()) {
      it->second.erase(worker.info().uid);
      if (it->second.empty()) followers_.erase(it);
    }
  }
}

// A ConfigMap or Secret changed: volumes follow it, and starts that failed for want of it are tried again at once.
void NodeAgentPool::OnConfigEvent(const Event& event) {
  const ObjectKey& key = event.object->key();
  auto it = followers_.find(std::string(key.resource) + "/" + KeyOf(*event.object));
  if (it == followers_.end()) return;
  const std::string what = std::string(key.resource) + "/" + event.object->name();
  for (const std::string& uid : it->second) {
    if (auto worker = workers_.find(uid); worker != workers_.end()) worker->second->OnConfig(what);
  }
}

// An Image came or changed: whoever waits for one looks again. Images change rarely, so everybody is asked: one that
// finds only now that it has none is told too.
void NodeAgentPool::OnImageEvent(const Event& event) {
  if (event.type == EventType::kDeleted) return;
  for (const auto& [uid, worker] : workers_) {
    if (worker->obstructed()) worker->RetryNow();
  }
}

// A claim was bound, or its volume came: the pods that could not mount it look again.
void NodeAgentPool::OnVolumeEvent(const Event& event) {
  if (event.type == EventType::kDeleted) return;
  const bool is_claim = event.object->key().resource == resources::kPersistentVolumeClaims;
  const std::string claim = is_claim ? KeyOf(*event.object) : event.object->view<VolumeView>().claim_key();
  for (const ObjectPtr& pod : services_.context.client.cache().ByIndex(kIndexPodClaim, claim)) {
    // Asked itself: one that found this out only now is not among obstructed_ yet.
    if (auto it = workers_.find(pod->uid()); it != workers_.end() && it->second->obstructed()) it->second->RetryNow();
  }
}

std::vector<ObjectPtr> NodeAgentPool::ActivePods(const NodeSite& site, const std::string& but_uid) const {
  std::vector<ObjectPtr> out;
  for (const std::string& uid : site.pods) {
    auto it = workers_.find(uid);
    if (uid == but_uid || it == workers_.end()) continue;
    const PodWorker& worker = *it->second;
    if (worker.finished() || !worker.record().rejected_reason.empty()) continue;
    // Of two that come together the one that was accepted first stays.
    if (worker.record().start_time) out.push_back(worker.pod());
  }
  return out;
}

// ---- what an earlier server left

// Containers whose pod, or whose pod's node, no longer exists.
Task<> NodeAgentPool::EndOrphans() {
  const WatchCache& cache = services_.context.client.cache();
  std::set<std::string> wanted;
  cache.ForEach(resources::kPods, {}, [&](const ObjectPtr& pod) {
    const std::string& node = pod->view<BoundView>().node;
    if (!node.empty() && cache.Get(resources::kNodes, "", node)) wanted.insert(pod->uid());
    return true;
  });
  const std::vector<ContainerState> orphans = found_.TakeAllBut(wanted);
  for (const ContainerState& state : orphans) {
    spdlog::info("container belongs to no pod: ended id={} running={}", state.id, state.running);
    for (ContainerRuntime* runtime : {&process_, static_cast<ContainerRuntime*>(&simulated_)}) {
      Status ended = co_await runtime->Signal(state.id, SIGKILL);
      if (ended.ok()) ended = co_await runtime->Remove(state.id);
      if (!ended.ok()) spdlog::warn("container not ended id={} error=\"{}\"", state.id, ended.message());
    }
  }
}

void NodeAgentPool::RemoveOrphanFiles() const {
  std::set<std::string> uids;
  services_.context.client.cache().ForEach(resources::kPods, {}, [&](const ObjectPtr& pod) {
    uids.insert(pod->uid());
    return true;
  });
  wherry::RemoveOrphanFiles(services_.options.data_dir, uids);
}

}  // namespace wherry
