// A cluster inside this program: two nodes whose pods are simulated, nothing on disk, and a DaemonSet on it.

#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "api/server/cluster.h"
#include "core/kinds/resources.h"

namespace {

using wherry::Json;

Json DaemonSet() {
  return Json::parse(R"({
    "apiVersion": "apps/v1", "kind": "DaemonSet",
    "metadata": {"name": "web"},
    "spec": {
      "selector": {"matchLabels": {"app": "web"}},
      "template": {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "nginx"}]}
      }
    }
  })");
}

// Every node that should run one has a pod that is ready.
bool RolledOut(const wherry::WatchCache& cache) {
  const wherry::ObjectPtr set = cache.Get(wherry::resources::kDaemonSets, "default", "web");
  if (!set) return false;
  const wherry::JsonPtr document = set->json();
  const Json status = document->value("status", Json::object());
  return status.value("desiredNumberScheduled", 0) == 2 && status.value("numberReady", 0) == 2;
}

void Print(const wherry::WatchCache& cache) {
  cache.ForEach(wherry::resources::kPods, "default", [](const wherry::ObjectPtr& pod) {
    const wherry::JsonPtr document = pod->json();
    std::printf("%s %s %s %s\n", pod->name().c_str(), document->at("status").value("phase", "").c_str(),
                document->at("status").value("podIP", "").c_str(), document->at("spec").value("nodeName", "").c_str());
    return true;
  });
}

int Fail(const char* what, const wherry::Status& status) {
  std::fprintf(stderr, "%s: %s\n", what, status.message().c_str());
  return 1;
}

}  // namespace

int main() {
  spdlog::set_level(spdlog::level::warn);

  wherry::ClusterOptions options;  // no data_dir: the cluster is gone with this program
  options.nodes = 2;
  options.simulated = true;
  options.port = 0;
  auto opened = wherry::Cluster::Open(options);
  if (!opened.ok()) return Fail("open", opened.status());
  const std::unique_ptr<wherry::Cluster> cluster = std::move(*opened);

  wherry::Status started = cluster->Start();
  if (!started.ok()) return Fail("start", started);
  std::printf("serving at %s; try: kubectl --kubeconfig %s get nodes\n", cluster->url().c_str(),
              cluster->kubeconfig_path().c_str());

  auto created =
      cluster->Call([](wherry::Client& client) { return client.Create("daemonsets.apps", "default", DaemonSet()); });
  if (!created.ok()) return Fail("create", created.status());

  if (!cluster->WaitUntil(RolledOut, std::chrono::seconds(10))) {
    std::fprintf(stderr, "the DaemonSet is not ready within 10 s\n");
    return 1;
  }
  started = cluster->Read(Print);
  if (!started.ok()) return Fail("read", started);
  cluster->Stop();
  return 0;
}
