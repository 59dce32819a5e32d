// `wherry up`, `wherry version`, `wherry kubeconfig`: the commands that need no server to talk to.

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <string>

#include "api/cli/commands.h"
#include "api/cli/data_dir.h"
#include "api/server/cluster.h"
#include "core/agent/simulation.h"

namespace wherry {
namespace {

// Thousands of watchers and pods are thousands of descriptors.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

struct UpFlags {
  ClusterOptions cluster;
  std::string durability = "full";
  std::string log_level = "info";
  std::string transition_period = "5m";
};

int Up(const UpFlags& flags) {
  auto logger = spdlog::stderr_color_mt("wherry");
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
  spdlog::set_default_logger(logger);
  spdlog::set_level(spdlog::level::from_str(flags.log_level));
  RaiseDescriptorLimit();

  ClusterOptions options = flags.cluster;
  static const std::map<std::string, Durability> kDurability = {
      {"full", Durability::kFull}, {"normal", Durability::kNormal}, {"memory", Durability::kMemory}};
  options.trim_after = std::chrono::seconds(3);
  options.durability = kDurability.at(flags.durability);
  if (!ParseGoDuration(flags.transition_period, &options.eviction_pressure_transition_period)) {
    std::fprintf(stderr, "wherry: --eviction-pressure-transition-period %s is no duration such as 5m or 30s\n",
                 flags.transition_period.c_str());
    return 2;
  }
  Result<std::unique_ptr<Cluster>> opened = Cluster::Open(std::move(options));
  if (!opened.ok()) {
    std::fprintf(stderr, "wherry: %s\n", opened.status().message().c_str());
    return 1;
  }
  Cluster& cluster = **opened;
  spdlog::info("serving url={} kubeconfig={}", cluster.url(), cluster.kubeconfig_path());
  cluster.set_on_ready([&cluster, nodes = flags.cluster.nodes] {
    std::printf("wherry is up: %d node%s ready at %s\nexport KUBECONFIG=%s\n", nodes, nodes == 1 ? "" : "s",
                cluster.url().c_str(), cluster.kubeconfig_path().c_str());
    std::fflush(stdout);
  });
  const Status status = cluster.Run(true);
  if (!status.ok()) {
    std::fprintf(stderr, "wherry: %s\n", status.message().c_str());
    return 1;
  }
  return 0;
}

}  // namespace

void AddUpCommand(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<UpFlags>();
  flags->cluster.data_dir = DefaultDataDir();
  CLI::App* up = app.add_subcommand("up", "Start a cluster in this process and serve it until SIGTERM");
  up->add_option("--nodes", flags->cluster.nodes, "pseudo-nodes to register: node-1 to node-N")
      ->capture_default_str()
      ->check(CLI::Range(0, 10000));
  up->add_option("--data-dir", flags->cluster.data_dir, "where the database, keys, logs and pods live")
      ->capture_default_str();
  up->add_option("--address", flags->cluster.address, "address to serve on")
      ->capture_default_str()
      ->check(CLI::ValidIPV4);
  up->add_option("--port", flags->cluster.port, "port to serve on; 0 = any free one")->capture_default_str();
  up->add_option(
      "--pod-cidr", flags->cluster.pod_cidr,
      "where nodes get their /24 of pod addresses, within 127.0.0.0/8 (default: a part of 127.64.0.0/10 chosen by the "
      "data directory)");
  up->add_option("--service-cidr", flags->cluster.service_cidr,
                 "where Services get their cluster IPs, within 127.0.0.0/8 (default: a part of 127.128.0.0/9 chosen by "
                 "the data directory, and kept)");
  up->add_flag("--services,!--no-services", flags->cluster.serve_services,
               "serve Services: cluster IPs, node ports and DNS (the default)");
  up->add_option(
      "--manifests", flags->cluster.manifests,
      "a directory of manifests to keep the cluster in step with: applied at start and whenever they change");
  up->add_option("--eviction-hard", flags->cluster.eviction_hard,
                 "when nodes run short and evict pods, as the kubelet's: signals memory.available, nodefs.available, "
                 "nodefs.inodesFree and pid.available, 0 = never (default: memory.available<100Mi, "
                 "nodefs.available<512Mi, nodefs.inodesFree<5%, pid.available<5%)");
  up->add_option("--eviction-pressure-transition-period", flags->transition_period,
                 "how long a node says that it was short of something")
      ->capture_default_str();
  up->add_option("--pod-max-pids", flags->cluster.pod_max_pids,
                 "processes and threads that a container may have; -1 = any number")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{-1}, int64_t{1} << 22));
  up->add_option("--durability", flags->durability,
                 "full: fsync every commit; normal: survive a crash of the process; memory: for tests")
      ->capture_default_str()
      ->check(CLI::IsMember({"full", "normal", "memory"}));
  up->add_flag("--stop-pods,!--keep-pods", flags->cluster.stop_pods,
               "on SIGTERM end the pods too, instead of leaving them to be adopted by the next server");
  up->add_option("--log-level", flags->log_level, "debug, info, warn or error")
      ->capture_default_str()
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}));
  up->callback([flags, exit_code] { *exit_code = Up(*flags); });
}

void AddVersionCommand(CLI::App& app, int* exit_code) {
  app.add_subcommand("version", "Print the version of wherry and of the API it serves")->callback([exit_code] {
    std::puts("wherry 0.1.0\nKubernetes API v1.32");
    *exit_code = 0;
  });
}

void AddKubeconfigCommand(CLI::App& app, int* exit_code) {
  auto data_dir = std::make_shared<std::string>(DefaultDataDir());
  CLI::App* command = app.add_subcommand("kubeconfig", "Print the kubeconfig of the cluster in a data directory");
  command->add_option("--data-dir", *data_dir, "the cluster's data directory")->capture_default_str();
  command->callback([data_dir, exit_code] {
    const std::string path = *data_dir + "/kubeconfig";
    std::ifstream file(path);
    if (!file) {
      std::fprintf(stderr, "wherry: no cluster in %s: there is no %s (start one with: wherry up --data-dir %s)\n",
                   data_dir->c_str(), path.c_str(), data_dir->c_str());
      *exit_code = 1;
      return;
    }
    std::cout << file.rdbuf();
    *exit_code = 0;
  });
}

}  // namespace wherry
