#include <signal.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "core/kinds/fields.h"
#include "tests/bench/cluster/bench_server.h"
#include "tests/bench/cluster/sections.h"

namespace wherry::bench {
namespace {

// When the pods of one Deployment had come how far, in seconds after the POST: the last of the three each time.
struct Progress {
  static constexpr const char* kStages[] = {"created", "bound", "running", "readyReplicas"};
  Steady::time_point sent;
  std::string name;
  int replicas = 0;
  std::map<std::string, Json> pods;
  double at[4] = {};

  bool done() const { return at[3] > 0; }
  void Note(int stage) {
    if (at[stage] == 0) at[stage] = Since(sent);
  }
  void OnPod(const Json& pod) {
    if (StringAt(pod, "metadata.labels.app") != name) return;
    pods[StringAt(pod, "metadata.name")] = pod;
    const auto all = [this](auto good) {
      int count = 0;
      for (const auto& [pod_name, document] : pods) count += good(document);
      return count == replicas;
    };
    if (all([](const Json&) { return true; })) Note(0);
    if (all([](const Json& p) { return !StringAt(p, "spec.nodeName").empty(); })) Note(1);
    if (all([](const Json& p) { return StringAt(p, "status.phase") == "Running"; })) Note(2);
  }
  void OnDeployment(const Json& deployment) {
    if (StringAt(deployment, "metadata.name") != name) return;
    if (IntAt(deployment, "status.readyReplicas") == replicas) Note(3);
  }
};

Task<> FollowProgress(http::HttpClient* client, std::string target, int* open, Progress* progress,
                      std::vector<std::shared_ptr<http::ClientStream>>* streams) {
  http::ClientRequest request;
  request.target = target + "?watch=true";
  Result<std::shared_ptr<http::ClientStream>> stream = co_await client->Open(std::move(request));
  if (!stream.ok()) Die("watch: " + stream.status().message());
  streams->push_back(*stream);
  ++*open;
  while (true) {
    Result<std::optional<std::string>> line = co_await (*stream)->ReadLine();
    if (!line.ok() || !line->has_value()) co_return;
    const Json event = Json::parse(**line, nullptr, false);
    const Json& object = At(event, "object");
    if (StringAt(object, "kind") == "Pod") {
      progress->OnPod(object);
    } else {
      progress->OnDeployment(object);
    }
  }
}

Task<> Deploy(Loop* loop, http::HttpClient* client, int* open, Progress* progress, int rounds,
              std::vector<std::array<double, 4>>* times, std::vector<std::shared_ptr<http::ClientStream>>* streams) {
  while (*open < 2) co_await loop->clock->Sleep(std::chrono::milliseconds(10));
  for (int round = 0; round < rounds; ++round) {
    co_await loop->clock->Sleep(std::chrono::milliseconds(300));
    Progress fresh;
    fresh.name = "d" + std::to_string(round);
    fresh.replicas = 3;
    Json labels = {{"app", fresh.name}};
    Json container = {{"name", "c"}, {"image", "bench:1"}, {"command", {"/bin/sleep", "1000"}}};
    Json pod_spec = {{"terminationGracePeriodSeconds", 1}, {"containers", Json::array({std::move(container)})}};
    Json deployment = {{"apiVersion", "apps/v1"},
                       {"kind", "Deployment"},
                       {"metadata", {{"name", fresh.name}}},
                       {"spec",
                        {{"replicas", fresh.replicas},
                         {"selector", {{"matchLabels", labels}}},
                         {"template", {{"metadata", {{"labels", labels}}}, {"spec", std::move(pod_spec)}}}}}};
    http::ClientRequest request;
    request.method = "POST";
    request.target = "/apis/apps/v1/namespaces/default/deployments";
    request.headers = {{"Content-Type", "application/json"}};
    request.body = deployment.dump();
    fresh.sent = Steady::now();
    *progress = std::move(fresh);
    Result<http::ClientResponse> answer = co_await client->Do(std::move(request));
    if (!answer.ok() || answer->status != 201) Die("POST of a Deployment");
    for (int i = 0; !progress->done(); ++i) {
      if (i > 10'000) Die("the Deployment did not become ready");
      co_await loop->clock->Sleep(std::chrono::milliseconds(1));
    }
    times->push_back({progress->at[0], progress->at[1], progress->at[2], progress->at[3]});
  }
  for (auto& stream : *streams) stream->Close();
  client->Close();
}

}  // namespace

// From the POST of a Deployment to readyReplicas=3, with real processes.
void BenchDeployment(const std::string& program) {
  Server server(program, 3);
  Loop loop;
  Progress progress;
  int open = 0;
  std::vector<std::array<double, 4>> times;
  std::vector<std::shared_ptr<http::ClientStream>> streams;
  std::vector<std::unique_ptr<http::HttpClient>> clients;
  for (int i = 0; i < 3; ++i)
    clients.push_back(std::make_unique<http::HttpClient>(loop.io.get_executor(), *loop.clock, server.client()));
  Spawn(loop.io.get_executor(), "pods",
        FollowProgress(clients[0].get(), "/api/v1/namespaces/default/pods", &open, &progress, &streams));
  Spawn(loop.io.get_executor(), "deployments",
        FollowProgress(clients[1].get(), "/apis/apps/v1/namespaces/default/deployments", &open, &progress, &streams));
  Spawn(loop.io.get_executor(), "deploy", Deploy(&loop, clients[2].get(), &open, &progress, 15, &times, &streams));
  loop.io.run();

  std::vector<double> bare;
  for (size_t i = 0; i < times.size(); ++i) {
    const auto start = Steady::now();
    pid_t children[3];
    for (pid_t& child : children) child = StartProgram({"/bin/sleep", "1000"});
    bare.push_back(Since(start));
    for (pid_t child : children) {
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
    }
  }
  const auto median = [](const std::vector<double>& values) { return Quantile(values, 0.5) * 1e3; };
  std::printf("deployment: from POST to the third pod");
  double last = 0;
  for (size_t stage = 0; stage < 4; ++stage) {
    std::vector<double> values;
    for (const auto& time : times) values.push_back(time[stage]);
    last = median(values);
    std::printf(" %s %.1f ms,", Progress::kStages[stage], last);
  }
  std::printf(" median of %zu; three posix_spawns %.2f ms; ratio %.1f\n", times.size(), median(bare),
              last / median(bare));
}
}  // namespace wherry::bench
