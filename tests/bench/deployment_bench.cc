// A large Deployment on simulated nodes: from its creation until all pods are Running and available, then a rolling
// update of it, then scaling to nothing. The whole control plane in one process, the real clock, the real store on a
// file.
//
//   deployment_bench [pods] [nodes] [full|normal|memory]        10000 5000 full

#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "core/control_plane/control_plane.h"
#include "core/controllers/pod_view.h"
#include "core/controllers/slow_start.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"
#include "tests/bench/arguments.h"

namespace wherry {
namespace {

using Steady = std::chrono::steady_clock;
constexpr std::chrono::minutes kPatience(5);

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "deployment_bench: %s\n", why.c_str());
  std::exit(1);
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

class Bench {
 public:
  Bench(int pods, int nodes, Durability durability) : pods_(pods), nodes_(nodes), clock_(NewSystemClock(io_)) {
    char directory[] = "/tmp/wherry-bench-XXXXXX";
    if (!::mkdtemp(directory)) Die("no temporary directory");
    directory_ = directory;
    ControlPlaneOptions options;
    options.store.path = directory_ + "/wherry.db";
    options.store.durability = durability;
    options.agent.data_dir = directory_;
    auto plane = ControlPlane::Open(std::move(options), io_.get_executor(), *clock_);
    if (!plane.ok()) Die(plane.status().message());
    plane_ = std::move(*plane);
  }
  ~Bench() {
    plane_->Stop();
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
  }

  void Run() {
    Do(plane_->Bootstrap());
    Do(plane_->Start());
    plane_->cache().bus().AddHandler(resources::kNodes, [this](const Event& event) {
      const bool ready = IsReady(*event.object);
      ready_nodes_ += static_cast<int>(ready) - static_cast<int>(event.previous && IsReady(*event.previous));
    });
    Measure(
        "nodes Ready", [this] { Do(AddNodes()); }, [this] { return ready_nodes_ >= nodes_; });
    plane_->cache().bus().AddHandler(resources::kPods, [this](const Event& event) { OnPod(event); });

    auto available = [this](const char* image) {
      const Json status = WebStatus();
      return IntAt(status, "updatedReplicas") == pods_ && IntAt(status, "replicas") == pods_ &&
             IntAt(status, "availableReplicas") == pods_ && image_ == image;
    };
    Measure(
        "created to all available", [this] { Do(Deploy()); }, [&] { return available("web:1"); });
    std::printf("  last pod created %.2f s, bound %.2f s, ready %.2f s after the start\n", created_at_, bound_at_,
                ready_at_);
    Measure(
        "rolling update 25%/25%", [this] { Do(Update("web:2")); }, [&] { return available("web:2"); });
    Measure(
        "scaled to nothing", [this] { Do(Scale(0)); }, [this] { return plane_->cache().Count(resources::kPods) == 0; });
  }

 private:
  Task<Status> AddNodes() {
    BatchStep add = [this](size_t i) { return AddNode(i); };
    Status status = co_await RunInGroups(static_cast<size_t>(nodes_), 500, add);
    co_return status;
  }
  Task<Status> AddNode(size_t i) {
    Json node = {{"metadata",
                  {{"name", "sim-" + std::to_string(i)},
                   {"labels", {{"wherry.dev/runtime", "simulated"}, {"kubernetes.io/os", "linux"}}}}}};
    Result<ObjectPtr> made = co_await plane_->client().Create(std::string(resources::kNodes), "", std::move(node));
    co_return made.status();
  }
  Task<Status> Deploy() {
    image_ = "web:1";
    Json deployment = {{"metadata", {{"name", "web"}}},
                       {"spec",
                        {{"replicas", pods_},
                         {"selector", {{"matchLabels", {{"app", "web"}}}}},
                         {"template",
                          {{"metadata", {{"labels", {{"app", "web"}}}}},
                           {"spec", {{"containers", Json::array({{{"name", "main"}, {"image", "web:1"}}})}}}}}}}};
    Result<ObjectPtr> made =
        co_await plane_->client().Create(std::string(resources::kDeployments), "default", std::move(deployment));
    co_return made.status();
  }
  Task<Status> Patch(Json patch) {
    Result<ObjectPtr> patched = co_await plane_->client().Patch(std::string(resources::kDeployments), "default", "web",
                                                                PatchType::kMerge, std::move(patch));
    co_return patched.status();
  }
  Task<Status> Update(std::string image) {
    image_ = image;
    Json containers = Json::array({{{"name", "main"}, {"image", image}}});
    return Patch({{"spec", {{"template", {{"spec", {{"containers", std::move(containers)}}}}}}}});
  }
  Task<Status> Scale(int replicas) { return Patch({{"spec", {{"replicas", replicas}}}}); }

  Json WebStatus() {
    const ObjectPtr web = plane_->cache().Get(resources::kDeployments, "default", "web");
    if (!web) return Json::object();
    const JsonPtr document = web->json();
    const bool observed = IntAt(*document, "status.observedGeneration") == IntAt(*document, "metadata.generation");
    return observed ? At(*document, "status") : Json::object();
  }

  void OnPod(const Event& event) {
    const PodView& now = event.object->view<PodView>();
    const double at = std::chrono::duration<double>(Steady::now() - start_).count();
    if (!event.previous) created_at_ = at;
    if (!event.previous || event.type == EventType::kDeleted) return;
    const PodView& before = event.previous->view<PodView>();
    if (before.node_name.empty() && !now.node_name.empty()) bound_at_ = at;
    if (!before.ready && now.ready) ready_at_ = at;
  }

  template <typename T>
  void Do(Task<T> task) {
    bool done = false;
    asio::co_spawn(io_, std::move(task), [&](std::exception_ptr error, T status) {
      if (error) Die("an exception");
      if (!status.ok()) Die(status.message());
      done = true;
    });
    while (!done) io_.run_one();
  }

  void Measure(const char* what, const std::function<void()>& begin, const std::function<bool()>& done) {
    start_ = Steady::now();
    const double cpu = CpuSeconds();
    const uint64_t revision = plane_->cache().revision();
    begin();
    auto next_look = start_;
    for (;;) {
      io_.run_one_for(std::chrono::milliseconds(20));
      if (Steady::now() < next_look) continue;
      next_look = Steady::now() + std::chrono::milliseconds(20);
      if (done()) break;
      if (Steady::now() - start_ > kPatience) Die(std::string(what) + ": not done in time");
    }
    const double took = std::chrono::duration<double>(Steady::now() - start_).count();
    std::printf("%-26s %8.2f s  %8.2f s CPU  %8llu writes\n", what, took, CpuSeconds() - cpu,
                static_cast<unsigned long long>(plane_->cache().revision() - revision));
    std::fflush(stdout);
  }
  static bool IsReady(const Object& node) {
    return node.bytes().find("\"node.kubernetes.io/not-ready\"") == std::string_view::npos;
  }

  const int pods_, nodes_;
  std::string directory_, image_;
  asio::io_context io_{1};
  // There is always more to come: commits are answered from the store's thread.
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(io_);
  std::unique_ptr<Clock> clock_;
  std::unique_ptr<ControlPlane> plane_;
  int ready_nodes_ = 0;
  Steady::time_point start_;
  double created_at_ = 0, bound_at_ = 0, ready_at_ = 0;
};

}  // namespace
}  // namespace wherry

int main(int argc, char** argv) {
  spdlog::set_level(spdlog::level::warn);
  const char* usage = "deployment_bench [pods] [nodes] [full|normal|memory]";
  wherry::bench::CheckArgumentCount(argc, argv, 3, usage);
  const int pods = wherry::bench::NumberArgument(argc, argv, 1, 10'000, 1, 1'000'000, usage);
  const int nodes = wherry::bench::NumberArgument(argc, argv, 2, 5'000, 1, 100'000, usage);
  const std::string durability = argc > 3 ? argv[3] : "full";
  const std::pair<const char*, wherry::Durability> known[] = {{"full", wherry::Durability::kFull},
                                                              {"normal", wherry::Durability::kNormal},
                                                              {"memory", wherry::Durability::kMemory}};
  const auto* how =
      std::find_if(std::begin(known), std::end(known), [&](const auto& k) { return k.first == durability; });
  if (how == std::end(known)) {
    std::fprintf(stderr, "deployment_bench: unknown durability %s\nusage: %s\n", durability.c_str(), usage);
    return 2;
  }
  wherry::Bench bench(pods, nodes, how->second);
  bench.Run();
  return 0;
}
