#include "tests/core/agent/agent_fixture.h"

#include <unistd.h>

#include "core/agent/pod_volumes.h"
#include "core/runtime/object_view.h"

namespace wherry {

Task<Result<ContainerState>> ProcessesOfTest::Start(ContainerSpec spec) {
  if (start_latency) co_await clock_.Sleep(start_latency(spec.id));
  Result<ContainerState> started = co_await SimulatedRuntime::Start(std::move(spec));
  co_return started;
}

Task<std::vector<ContainerState>> ProcessesOfTest::List() {
  std::vector<ContainerState> list = co_await SimulatedRuntime::List();
  if (after_list) after_list();
  co_return list;
}

AgentCluster::AgentCluster(std::function<void(AgentOptions&)> adjust)
    : cluster(1, TestCluster::Parts::kStoreOnly), processes(cluster.clock()), simulated(cluster.clock()) {
  std::string pattern = (std::filesystem::temp_directory_path() / "wherry-agent-XXXXXX").string();
  REQUIRE(mkdtemp(pattern.data()) != nullptr);
  data_dir = pattern;
  options.data_dir = pattern;
  options.read_machine = [this] { return machine; };
  if (adjust) adjust(options);
  StartAgents();
}

AgentCluster::~AgentCluster() {
  pool.reset();
  std::error_code error;
  if (const auto memory = MemoryVolumes(data_dir); !memory.empty()) std::filesystem::remove_all(memory, error);
  std::filesystem::remove_all(data_dir, error);
}

void AgentCluster::StartAgents() {
  pool = std::make_unique<NodeAgentPool>(cluster.plane().ContextFor("node-agents"), options, processes, simulated);
  const Status started = cluster.Run(pool->Start());
  REQUIRE(started.ok());
}

void AgentCluster::AddNode(const std::string& name, bool is_simulated, Json annotations) {
  Json metadata = {{"name", name}, {"annotations", std::move(annotations)}};
  if (is_simulated) metadata["labels"] = {{kRuntimeKey, "simulated"}};
  cluster.Create({{"apiVersion", "v1"}, {"kind", "Node"}, {"metadata", std::move(metadata)}});
}

ObjectPtr AgentCluster::AddPod(const std::string& name, const std::string& node, Json spec, Json annotations) {
  Json base = {{"nodeName", node},
               {"containers", Json::array({{{"name", "app"}, {"image", "app:1"}, {"command", {"app"}}}})}};
  if (spec.is_object()) base.merge_patch(spec);
  return cluster.Create(
      {{"apiVersion", "v1"},
       {"kind", "Pod"},
       {"metadata", {{"name", name}, {"namespace", "default"}, {"annotations", std::move(annotations)}}},
       {"spec", std::move(base)}});
}

std::string AgentCluster::Phase(const std::string& name) { return StringAt(Pod(name), "status.phase", "gone"); }

std::string AgentCluster::State(const std::string& name) {
  const Json pod = Pod(name);
  const Json* statuses = FindPath(pod, "status.containerStatuses");
  if (!statuses || statuses->empty()) return "none";
  const Json& state = statuses->at(0).at("state");
  const std::string reason = StringAt(state.begin().value(), "reason");
  return state.begin().key() + (reason.empty() ? "" : " " + reason);
}

int AgentCluster::Restarts(const std::string& name) {
  return Pod(name).at("status").at("containerStatuses").at(0).at("restartCount");
}

std::string AgentCluster::NodeCondition(const std::string& node, const std::string& type) {
  const Json document = Node(node);
  const Json* conditions = FindPath(document, "status.conditions");
  if (!conditions) return "absent";
  for (const Json& condition : *conditions) {
    if (condition.at("type") == type) return condition.at("status");
  }
  return "absent";
}

std::vector<std::string> AgentCluster::Events(const std::string& pod) {
  std::vector<std::pair<uint64_t, std::string>> found;
  for (const ObjectPtr& event : cluster.List("events")) {
    const JsonPtr document = event->json();
    if (StringAt(*document, "involvedObject.name") == pod)
      found.emplace_back(event->revision(), StringAt(*document, "reason"));
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string> reasons;
  for (auto& [revision, reason] : found) reasons.push_back(std::move(reason));
  return reasons;
}

}  // namespace wherry
