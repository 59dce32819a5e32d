#include "api/server/cluster.h"

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/kinds/resources.h"

using namespace wherry;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

// A place where everything a cluster leaves behind would be.
class Scratch {
 public:
  Scratch() {
    path_ = (fs::temp_directory_path() / "wherry-cluster-test.XXXXXX").string();
    REQUIRE(::mkdtemp(path_.data()) != nullptr);
    ::setenv("TMPDIR", path_.c_str(), 1);
  }
  ~Scratch() {
    ::unsetenv("TMPDIR");
    fs::remove_all(path_);
  }
  const std::string& path() const { return path_; }
  bool empty() const { return fs::is_empty(path_); }

 private:
  std::string path_;
};

ClusterOptions Simulated() {
  ClusterOptions options;
  options.nodes = 2;
  options.simulated = true;
  options.port = 0;
  return options;
}

std::unique_ptr<Cluster> Open(ClusterOptions options) {
  Result<std::unique_ptr<Cluster>> opened = Cluster::Open(std::move(options));
  REQUIRE(opened.ok());
  return std::move(*opened);
}

Result<ObjectPtr> CreateMap(Cluster& cluster, const std::string& ns, const std::string& name) {
  return cluster.Call([&](Client& client) {
    return client.Create(std::string(resources::kConfigMaps), ns, {{"metadata", {{"name", name}}}});
  });
}

}  // namespace

TEST_CASE("A throwaway cluster runs pods and leaves nothing") {
  Scratch scratch;
  std::unique_ptr<Cluster> cluster = Open(Simulated());
  CHECK(fs::path(cluster->kubeconfig_path()).string().starts_with(scratch.path()));
  REQUIRE(cluster->Start().ok());
  const Json pod = Json::parse(R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"any"}]}})");
  REQUIRE(
      cluster->Call([&](Client& client) { return client.Create(std::string(resources::kPods), "default", pod); }).ok());
  CHECK(cluster->WaitUntil(
      [](const WatchCache& cache) {
        const ObjectPtr made = cache.Get(resources::kPods, "default", "p");
        return made && (*made->json())["status"]["phase"] == "Running";
      },
      10s));
  size_t nodes = 0;
  REQUIRE(cluster
              ->Read([&](const WatchCache& cache) {
                cache.ForEach(resources::kNodes, {}, [&](const ObjectPtr&) { return ++nodes != 0; });
              })
              .ok());
  CHECK(nodes == 2);
  cluster.reset();
  CHECK(scratch.empty());
}

TEST_CASE("Call hands on refusals, WaitUntil gives up, and both say when the cluster is over") {
  Scratch scratch;
  std::unique_ptr<Cluster> cluster = Open(Simulated());
  REQUIRE(cluster->Start().ok());
  CHECK(CreateMap(*cluster, "absent", "m").status().reason() == Reason::kNotFound);
  REQUIRE(CreateMap(*cluster, "default", "m").ok());
  CHECK(CreateMap(*cluster, "default", "m").status().reason() == Reason::kAlreadyExists);
  CHECK_FALSE(cluster->WaitUntil([](const WatchCache&) { return false; }, 1ms));
  CHECK(cluster->WaitUntil([](const WatchCache&) { return true; }, 0ms));
  cluster->Stop();
  CHECK_FALSE(cluster->WaitUntil([](const WatchCache&) { return false; }, 1h));
  CHECK(cluster->Read([](const WatchCache&) {}).reason() == Reason::kServiceUnavailable);
  CHECK(CreateMap(*cluster, "default", "o").status().reason() == Reason::kServiceUnavailable);
}

TEST_CASE("A data directory keeps the cluster") {
  Scratch scratch;
  ClusterOptions options = Simulated();
  options.data_dir = scratch.path() + "/data";
  {
    std::unique_ptr<Cluster> cluster = Open(options);
    REQUIRE(cluster->Start().ok());
    REQUIRE(CreateMap(*cluster, "default", "m").ok());
    // A second server is told of the directory, whatever port it asks for.
    ClusterOptions same_port = options;
    same_port.port = cluster->port();
    for (const ClusterOptions& again : {options, same_port}) {
      const Result<std::unique_ptr<Cluster>> second = Cluster::Open(again);
      REQUIRE_FALSE(second.ok());
      CHECK(second.status().message().find("wherry.db") != std::string::npos);
    }
    ClusterOptions other_directory = Simulated();
    other_directory.port = cluster->port();
    CHECK(Cluster::Open(other_directory).status().message().find("--port") != std::string::npos);
  }
  std::unique_ptr<Cluster> again = Open(options);
  REQUIRE(again->Start().ok());
  CHECK(CreateMap(*again, "default", "m").status().reason() == Reason::kAlreadyExists);
}
