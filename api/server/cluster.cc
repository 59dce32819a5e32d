#include "api/server/cluster.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/signal_set.hpp>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>

#include "api/http/pki.h"
#include "api/http/server.h"
#include "api/manifests/folder.h"
#include "api/rest/api.h"
#include "api/server/log_handler.h"
#include "api/server/metrics_handler.h"
#include "api/server/startup_memory.h"
#include "api/server/stream_handlers.h"
#include "core/agent/pod_volumes.h"
#include "core/agent/runtime/process_runtime.h"
#include "core/agent/simulation.h"
#include "core/agent/warden/confinement.h"
#include "core/control_plane/control_plane.h"
#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

namespace fs = std::filesystem;

constexpr int kPortOffset = 8000;

// One of 1,024 places, always the same for a directory.
uint32_t PlaceOf(const std::string& data_dir) {
  uint32_t hash = 2166136261u;  // FNV-1a
  for (unsigned char c : data_dir) hash = (hash ^ c) * 16777619u;
  return (hash ^ hash >> 16) % 1024;
}

// Where in 127.64.0.0/10 the nodes of a data directory begin.
uint32_t FirstBlock(const std::string& data_dir) { return PlaceOf(data_dir) * 16; }

Result<Cidr> ParseServiceCidr(const std::string& text, const std::string& where) {
  Result<Cidr> range = Cidr::Parse(text);
  if (!range.ok()) return range.status();
  if ((range->base >> 24) != 127 || range->bits < 12 || range->bits > 24)
    return Status(Reason::kInvalid, where + " " + text + " is not a block of a /12 to a /24 within 127.0.0.0/8");
  return range;
}

// The range of cluster IPs. It is written down at the first start, so that it outlives a move of the directory; one
// that is older than this has the range that all clusters shared then.
Result<Cidr> ServiceRange(const ClusterOptions& options) {
  const std::string path = options.data_dir + "/wherry.service-cidr";
  std::string text = options.service_cidr;
  if (text.empty()) {
    std::ifstream file(path);
    std::getline(file, text);
    if (!text.empty()) return ParseServiceCidr(text, path + ":");
    std::error_code error;
    text = fs::exists(options.data_dir + "/wherry.db", error)
               ? "127.96.0.0/16"
               : Cidr{0x7f800000 + (PlaceOf(options.data_dir) << 13), 19}.ToString();
  }
  Result<Cidr> range = ParseServiceCidr(text, "--service-cidr");
  if (!range.ok()) return range;
  const Status written = http::WritePrivateFile(path, range->ToString() + "\n");
  if (!written.ok()) return written;
  return range;
}

// The directory exists, is ours and writable: else one clear line.
Status PrepareDirectory(const std::string& path) {
  std::error_code error;
  if (!fs::exists(path, error)) {
    fs::create_directories(path, error);
    if (error) return Status::Unavailable("cannot make the data directory " + path + ": " + error.message());
    ::chmod(path.c_str(), 0700);
  }
  if (!fs::is_directory(path, error)) return Status::Unavailable("the data directory " + path + " is not a directory");
  if (::access(path.c_str(), R_OK | W_OK | X_OK) != 0) {
    return Status::Unavailable("the data directory " + path +
                               " is not writable by this user: choose another with --data-dir");
  }
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0 && info.st_uid != ::geteuid()) {
    return Status::Unavailable("the data directory " + path + " belongs to another user (uid " +
                               std::to_string(info.st_uid) + "): choose another with --data-dir");
  }
  if (!fs::exists(path + "/wherry.db", error) && !fs::is_empty(path, error)) {
    // What a first start that was cut off may have left is ours; anything else is somebody's.
    for (const auto& entry : fs::directory_iterator(path, error)) {
      const std::string name = entry.path().filename();
      if (name == "pki" || name.starts_with("wherry.") || name.starts_with("warden.") || name == "kubeconfig") continue;
      return Status::Unavailable("the data directory " + path +
                                 " is not empty and holds no wherry database (it has \"" + name +
                                 "\"): choose another with --data-dir");
    }
  }
  return {};
}

// A directory of our own that is gone with this. None until Make.
class TemporaryDirectory {
 public:
  TemporaryDirectory() = default;
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code error;
    if (path_.empty()) return;
    fs::remove_all(path_, error);
    if (const fs::path memory = MemoryVolumes(path_); !memory.empty()) fs::remove_all(memory, error);
  }
  Status Make() {
    std::error_code error;
    std::string path = (fs::temp_directory_path(error) / "wherry.XXXXXX").string();
    if (error || !::mkdtemp(path.data())) {
      return Status::Unavailable("cannot make a directory " + path + ": " + std::strerror(errno));
    }
    path_ = std::move(path);
    return {};
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

struct Cluster::State {
  TemporaryDirectory temporary;  // goes last
  ClusterOptions options;
  asio::io_context io{1};
  std::unique_ptr<Clock> clock;
  http::Pki pki;
  std::unique_ptr<ProcessRuntime> processes;
  std::unique_ptr<ControlPlane> plane;
  std::unique_ptr<ManifestFolder> manifests;
  std::unique_ptr<ServiceAccountTokens> tokens;
  std::unique_ptr<Api> api;
  std::unique_ptr<http::Server> server;
  std::function<void()> on_ready;
  std::optional<asio::signal_set> signals;
  Status outcome;
  bool bootstrapped = false;
  bool ready = false;
  bool stopping = false;
  // Of Start: the control thread, who waits for it to be ready, and that it is over.
  std::thread thread;
  std::optional<std::promise<Status>> started;
  std::atomic<bool> ended = false;

  Task<> Begin();
  Task<> End();
  void WatchNodes();
  bool NodesReady() const;
  Result<std::string> TokenOfPod(const std::string& ns, const std::string& account, const std::string& audience,
                                 int64_t seconds, const Json& pod);
};

bool Cluster::State::NodesReady() const {
  for (int i = 1; i <= options.nodes; ++i) {
    const ObjectPtr node = plane->cache().Get(resources::kNodes, "", "node-" + std::to_string(i));
    if (!node) return false;
    bool is_ready = false;
    const JsonPtr document = node->json();
    for (const Json& condition : ListAt(*document, "status.conditions")) {
      is_ready = is_ready || (StringAt(condition, "type") == "Ready" && StringAt(condition, "status") == "True");
    }
    if (!is_ready) return false;
  }
  return true;
}

void Cluster::State::WatchNodes() {
  auto check = [this] {
    if (ready || !NodesReady()) return;
    ready = true;
    if (options.trim_after > Duration(0)) clock->After(options.trim_after, ReturnStartupMemory);
    if (on_ready) on_ready();
    if (started) std::exchange(started, std::nullopt)->set_value({});
  };
  plane->cache().bus().AddHandler(resources::kNodes, [this, check](const Event&) {
    if (!ready) asio::post(io, check);
  });
  asio::post(io, check);
}

// What a projected volume of the pod shows: bound to the pod, as the kubelet asks for it.
Result<std::string> Cluster::State::TokenOfPod(const std::string& ns, const std::string& account,
                                               const std::string& audience, int64_t seconds, const Json& pod) {
  TokenSpec spec;
  spec.ns = ns;
  spec.account = account;
  if (!audience.empty()) spec.audiences.push_back(audience);
  spec.seconds = seconds;
  spec.bound = {"Pod", StringAt(pod, "metadata.name"), StringAt(pod, "metadata.uid")};
  Result<IssuedToken> issued = tokens->Issue(spec);
  if (!issued.ok()) return Status(issued.status().reason(), "failed to fetch token: " + issued.status().message());
  return std::move(issued->token);
}

Task<> Cluster::State::Begin() {
  Status status = co_await plane->Bootstrap();
  if (status.ok()) status = co_await plane->Start();
  for (int i = 1; status.ok() && i <= options.nodes; ++i) {
    std::string name = "node-" + std::to_string(i);
    Json metadata = Json::object();
    if (options.simulated) metadata["annotations"][std::string(kRuntimeKey)] = "simulated";
    status = co_await plane->agents().EnsureNode(std::move(name), std::move(metadata));
  }
  if (!status.ok()) {
    outcome = status;
    io.stop();
    co_return;
  }
  bootstrapped = true;
  WatchNodes();
  if (options.manifests.empty()) co_return;
  manifests =
      std::make_unique<ManifestFolder>(plane->ContextFor("manifests"), plane->registry().catalog(), options.manifests);
  co_await manifests->Start();
}

Task<> Cluster::State::End() {
  if (options.stop_pods) {
    spdlog::info("stopping pods grace={}s",
                 std::chrono::duration_cast<std::chrono::seconds>(options.stop_grace).count());
  } else {
    spdlog::info("leaving {} pods running, to be adopted by the next server on {}", plane->agents().pod_count(),
                 options.data_dir);
  }
  co_await server->Shutdown(std::chrono::seconds(2));
  if (manifests) manifests->Stop();
  plane->Stop();
  if (options.stop_pods) {
    co_await plane->agents().StopPods(options.stop_grace);
    Status stopped;
    if (processes) stopped = co_await processes->StopWarden();
    if (!stopped.ok()) spdlog::warn("warden not stopped error=\"{}\"", stopped.message());
  }
  // What is committed but not yet acknowledged is still written.
  while (plane->store().pending() > 0) co_await clock->Sleep(std::chrono::milliseconds(1));
  io.stop();
}

namespace {

Status Stopped() { return Status::Unavailable("the cluster has stopped"); }

// False when the control thread has ended and will not answer any more.
template <typename T>
bool Await(std::future<T>& answer, const std::atomic<bool>& ended) {
  while (answer.wait_for(std::chrono::milliseconds(20)) != std::future_status::ready) {
    if (ended && answer.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return false;
  }
  return true;
}

Task<> Answer(std::function<Task<Result<ObjectPtr>>(Client&)> work, Client* client,
              std::shared_ptr<std::promise<Result<ObjectPtr>>> answer) {
  Task<Result<ObjectPtr>> task = work(*client);
  Result<ObjectPtr> result = co_await std::move(task);
  answer->set_value(std::move(result));
}

// One WaitUntil: looks once per turn of the loop in which something changed. Control thread, but for its making.
class Wait : public std::enable_shared_from_this<Wait> {
 public:
  Wait(asio::io_context& io, Clock& clock, WatchCache& cache, std::function<bool(const WatchCache&)> holds)
      : io_(io), clock_(clock), cache_(cache), holds_(std::move(holds)) {}

  std::future<bool> over() { return over_.get_future(); }

  void Begin(Duration timeout) {
    auto self = shared_from_this();
    handler_ = cache_.bus().AddHandler("", [self](const Event&) {
      if (std::exchange(self->due_, true)) return;
      asio::post(self->io_, [self] {
        self->due_ = false;
        self->Look();
      });
    });
    timer_ = clock_.After(timeout, [self] { self->End(false); });
    Look();
  }

 private:
  void Look() {
    if (!ended_ && holds_(cache_)) End(true);
  }
  void End(bool outcome) {
    if (std::exchange(ended_, true)) return;
    cache_.bus().RemoveHandler(handler_);
    clock_.Cancel(timer_);
    over_.set_value(outcome);
  }

  asio::io_context& io_;
  Clock& clock_;
  WatchCache& cache_;
  const std::function<bool(const WatchCache&)> holds_;
  std::promise<bool> over_;
  EventBus::HandlerId handler_ = 0;
  Clock::TimerId timer_ = 0;
  bool due_ = false, ended_ = false;
};

}  // namespace

Cluster::Cluster(std::unique_ptr<State> state) : state_(std::move(state)) {}
Cluster::~Cluster() {
  if (!state_->thread.joinable()) return;
  Stop();
  state_->thread.join();
}

Result<std::unique_ptr<Cluster>> Cluster::Open(ClusterOptions options) {
  auto state = std::make_unique<State>();
  std::error_code error;
  const bool throwaway = options.data_dir.empty();
  if (throwaway) {
    Status made = state->temporary.Make();
    if (!made.ok()) return made;
    options.data_dir = state->temporary.path();
    options.stop_pods = true;
  }
  options.data_dir = fs::absolute(options.data_dir, error).lexically_normal().string();
  Status status = PrepareDirectory(options.data_dir);
  if (!status.ok()) return status;
  if (!options.manifests.empty() && !fs::is_directory(options.manifests, error))
    return Status::Unavailable("the manifests directory " + options.manifests + " is not there, or is no directory");
  state->options = options;
  state->clock = NewSystemClock(state->io);

  ControlPlaneOptions plane;
  plane.store.path = throwaway ? ":memory:" : options.data_dir + "/wherry.db";
  plane.store.durability = options.durability;
  plane.agent.data_dir = options.data_dir;
  if (!options.pod_cidr.empty()) {
    const Result<Cidr> range = Cidr::Parse(options.pod_cidr);
    if (!range.ok()) return range.status();
    if ((range->base >> 24) != 127 || range->bits < 8 || range->bits > 24) {
      return Status(Reason::kInvalid,
                    "--pod-cidr " + options.pod_cidr + " is not a block of at least a /24 within 127.0.0.0/8");
    }
    plane.agent.pod_cidr = range->ToString();
  } else {
    plane.agent.first_block = FirstBlock(options.data_dir);
  }
  plane.agent.privileged_port_offset = ::geteuid() == 0 ? 0 : kPortOffset;
  const Result<EvictionThresholds> thresholds =
      ParseEvictionThresholds(options.eviction_hard, plane.agent.eviction_hard);
  if (!thresholds.ok()) return Status(Reason::kInvalid, "--eviction-hard: " + thresholds.status().message());
  plane.agent.eviction_hard = *thresholds;
  plane.agent.pressure_transition_period = options.eviction_pressure_transition_period;
  plane.agent.max_pids = std::max<int64_t>(0, options.pod_max_pids);
  plane.agent.no_mounts = warden::HostFacilities().no_mounts;
  const Result<Cidr> services = ServiceRange(options);
  if (!services.ok()) return services.status();
  plane.services.network = services->base;
  plane.services.prefix = services->bits;
  if (options.serve_services) {
    plane.network.emplace();
    plane.network->privileged_port_offset = plane.agent.privileged_port_offset;
  }

  http::ServerOptions server;
  server.address = options.address;
  server.port = options.port;
  http::PkiOptions pki;
  pki.data_dir = options.data_dir;
  pki.service_ip = FormatAddress(services->base + 1);
  if (options.address != "127.0.0.1") pki.extra_names.push_back(options.address);
  Result<http::Pki> keys = http::Pki::LoadOrCreate(pki, state->clock->Now());
  if (!keys.ok()) return keys.status();
  state->pki = std::move(*keys);
  Result<http::TlsContextPtr> tls = http::TlsContext::Server(state->pki.server_tls());
  if (!tls.ok()) return tls.status();
  server.tls = std::move(*tls);

  // The port is found out before anything acts, because pods and the kubernetes Service are told of it; and after the
  // store was locked.
  State* self = state.get();
  state->server = std::make_unique<http::Server>(
      state->io.get_executor(), *state->clock, std::move(server),
      [self](http::ExchangePtr exchange) { return self->api->Handle(std::move(exchange)); });
  plane.listen = [self]() -> Result<int> {
    Status listens = self->server->Start();
    if (!listens.ok()) {
      return Status(listens.reason(), listens.message() + ": choose another port with --port (0 = any free one)");
    }
    return self->server->port();
  };
  plane.api_address = options.address == "0.0.0.0" ? "127.0.0.1" : options.address;
  plane.ca_certificate = state->pki.authority.certificate;
  plane.agent.service_host = options.address;

  Result<std::shared_ptr<const http::JwtKey>> signing = http::JwtKey::FromPem(state->pki.signing_key);
  if (!signing.ok()) return signing.status();
  plane.agent.tokens = [self](const std::string& ns, const std::string& account, const std::string& audience,
                              int64_t seconds,
                              const Json& pod) { return self->TokenOfPod(ns, account, audience, seconds, pod); };

  // The store's lock comes before the warden's connection: only one server may speak for a directory.
  if (!options.simulated)
    plane.processes = [self] {
      ProcessRuntimeOptions process_options;
      process_options.data_dir = self->options.data_dir;
      self->processes = std::make_unique<ProcessRuntime>(self->io, *self->clock, std::move(process_options));
      return self->processes.get();
    };
  Result<std::unique_ptr<ControlPlane>> opened =
      ControlPlane::Open(std::move(plane), state->io.get_executor(), *state->clock);
  if (!opened.ok()) return opened.status();
  state->plane = std::move(*opened);

  Registry& registry = state->plane->registry();
  state->tokens = std::make_unique<ServiceAccountTokens>(registry, std::move(*signing));

  ApiOptions api;
  api.service_accounts = state->tokens.get();
  api.server_address = options.address + ":" + std::to_string(self->server->port());
  state->api = std::make_unique<Api>(registry, state->io.get_executor(), std::move(api));
  AddBuiltInSubresources(*state->api, registry);
  AddTokenRequests(*state->api, registry, *state->tokens);
  AddLogHandler(*state->api, *state->plane);
  AddStreamHandlers(*state->api, *state->plane, state->io.get_executor(), *state->clock);
  AddMetricsHandlers(*state->api, *state->plane);
  state->api->AddReadyCheck("ping", [] { return true; });
  state->api->AddReadyCheck("bootstrap", [self] { return self->bootstrapped; });

  std::unique_ptr<Cluster> cluster(new Cluster(std::move(state)));
  status = http::WritePrivateFile(cluster->kubeconfig_path(),
                                  http::Kubeconfig(cluster->url(), self->pki.authority.certificate, self->pki.admin));
  if (!status.ok()) return status;
  return cluster;
}

Status Cluster::Run(bool handle_signals) {
  State& state = *state_;
  if (handle_signals) {
    state.signals.emplace(state.io, SIGTERM, SIGINT);
    state.signals->async_wait([this](const std::error_code& error, int signal) {
      if (error) return;
      spdlog::info("stopping signal={}", signal == SIGTERM ? "SIGTERM" : "SIGINT");
      Stop();
    });
  }
  Spawn(state.io.get_executor(), "start", state.Begin());
  state.io.run();
  state.ended = true;
  return state.outcome;
}

Status Cluster::Start() {
  State& state = *state_;
  std::future<Status> started = state.started.emplace().get_future();
  state.thread = std::thread([this, &state] {
    Status outcome = Run();
    if (outcome.ok()) outcome = Stopped();
    if (state.started) std::exchange(state.started, std::nullopt)->set_value(std::move(outcome));
  });
  return started.get();
}

Result<ObjectPtr> Cluster::Call(std::function<Task<Result<ObjectPtr>>(Client&)> work) {
  auto answer = std::make_shared<std::promise<Result<ObjectPtr>>>();
  std::future<Result<ObjectPtr>> answered = answer->get_future();
  Client* client = &state_->plane->client();
  Task<> task = Answer(std::move(work), client, std::move(answer));
  Spawn(state_->io.get_executor(), "call", std::move(task));
  if (!Await(answered, state_->ended)) return Stopped();
  return answered.get();
}

Status Cluster::Read(std::function<void(const WatchCache&)> look) {
  auto done = std::make_shared<std::promise<void>>();
  std::future<void> seen = done->get_future();
  auto read = [done, look = std::move(look), cache = &state_->plane->cache()] {
    look(*cache);
    done->set_value();
  };
  asio::post(state_->io, std::move(read));
  if (!Await(seen, state_->ended)) return Stopped();
  seen.get();
  return {};
}

bool Cluster::WaitUntil(std::function<bool(const WatchCache&)> holds, Duration timeout) {
  auto wait = std::make_shared<Wait>(state_->io, *state_->clock, state_->plane->cache(), std::move(holds));
  std::future<bool> over = wait->over();
  asio::post(state_->io, [wait, timeout] { wait->Begin(timeout); });
  return Await(over, state_->ended) && over.get();
}

void Cluster::Stop() {
  asio::post(state_->io, [this] {
    if (std::exchange(state_->stopping, true)) return;
    Spawn(state_->io.get_executor(), "stop", state_->End());
  });
}

uint16_t Cluster::port() const { return state_->server->port(); }
std::string Cluster::url() const { return "https://" + state_->options.address + ":" + std::to_string(port()); }
std::string Cluster::kubeconfig_path() const { return state_->options.data_dir + "/kubeconfig"; }
void Cluster::set_on_ready(std::function<void()> on_ready) { state_->on_ready = std::move(on_ready); }

}  // namespace wherry
