#include "core/control_plane/control_plane.h"

#include <asio/post.hpp>
#include <utility>

#include "core/control_plane/bootstrap.h"
#include "core/kinds/resources.h"
#include "core/network/socket.h"
#include "core/registry/admission.h"
#include "core/registry/indexes.h"

namespace wherry {
namespace {

constexpr Duration kCompactEvery = std::chrono::seconds(10);

}  // namespace

ControlPlane::ControlPlane(ControlPlaneOptions options, asio::any_io_executor executor, Clock& clock)
    : options_(std::move(options)),
      executor_(std::move(executor)),
      clock_(clock),
      catalog_(KindCatalog::BuiltIn()),
      simulated_(clock),
      stand_in_(clock) {}

Result<std::unique_ptr<ControlPlane>> ControlPlane::Open(ControlPlaneOptions options, asio::any_io_executor executor,
                                                         Clock& clock) {
  options.store.now = [&clock] { return clock.Now().time_since_epoch().count(); };
  options.store.post = [executor](std::function<void()> fn) { asio::post(executor, std::move(fn)); };
  Result<std::unique_ptr<ObjectStore>> store = ObjectStore::Open(options.store);
  if (!store.ok()) return store.status();
  if (options.listen) {
    const Result<int> port = options.listen();
    if (!port.ok()) return port.status();
    options.api_port = *port;
    options.agent.service_port = std::to_string(*port);
  }
  std::unique_ptr<ControlPlane> plane(new ControlPlane(std::move(options), std::move(executor), clock));
  plane->store_ = std::move(*store);
  plane->cache_ = std::make_unique<WatchCache>(plane->bus_);
  WatchCache& cache = *plane->cache_;
  AddCoreIndexes(cache);
  Status loaded = plane->store_->LoadAll([&cache](ObjectPtr object) { cache.Load(std::move(object)); });
  if (!loaded.ok()) return loaded;
  cache.SetRevision(plane->store_->start_revision());
  plane->store_->set_on_event([&cache](EventPtr event) { cache.Apply(std::move(event)); });
  plane->store_->set_lookup([&cache](const ObjectKey& key) { return cache.Get(key); });

  plane->registry_ = std::make_unique<Registry>(*plane->catalog_, *plane->store_, cache, clock, plane->options_.seed);
  AddBuiltInAdmissions(*plane->registry_);
  auto addresses = std::make_shared<ServiceAddresses>(*plane->registry_, plane->options_.services);
  plane->registry_->AddAdmission(ServiceAddresses::Rule(addresses));
  plane->addresses_.kubernetes = addresses->first();
  plane->addresses_.api = plane->options_.api_address;
  plane->addresses_.api_port = plane->options_.api_port;
  if (const auto& network = plane->options_.network) {
    plane->addresses_.dns = addresses->dns();
    if (!MayBindPrivilegedPorts()) plane->addresses_.dns_port += network->privileged_port_offset;
  }
  plane->client_ = NewLocalClient(*plane->registry_, "system:wherry");

  ContainerRuntime& processes = plane->options_.processes ? *plane->options_.processes() : plane->stand_in_;
  plane->usage_ = std::make_unique<UsageMeter>(clock, *plane->cache_, processes);
  PodUsageSource pod_usage = [meter = plane->usage_.get()](std::vector<std::string> uids) {
    return meter->Usages(std::move(uids));
  };
  const ControllerSettings settings{*plane->catalog_, plane->options_.ca_certificate, std::move(pod_usage)};
  for (const ControllerRow& row : AllControllers()) {
    const RuntimeContext context = plane->ContextFor(row.name);
    plane->controllers_.push_back(std::make_unique<Controller>(context, row.make(context, settings)));
  }
  plane->scheduler_ = std::make_unique<Scheduler>(plane->ContextFor("kube-scheduler"));
  plane->agents_ = std::make_unique<NodeAgentPool>(plane->ContextFor("node-agent"), plane->options_.agent, processes,
                                                   plane->simulated_);
  return plane;
}

ControlPlane::~ControlPlane() { Stop(); }

RuntimeContext ControlPlane::ContextFor(const std::string& name) {
  clients_.push_back(NewLocalClient(*registry_, name));
  return RuntimeContext{*clients_.back(), clock_, executor_, options_.seed};
}

Task<Status> ControlPlane::Bootstrap() {
  Status status = co_await wherry::Bootstrap(*client_, addresses_);
  co_return status;
}

Task<Status> ControlPlane::Start() {
  for (const auto& controller : controllers_) controller->Start();
  scheduler_->Start();
  Compact();
  StartNetwork();
  Status status = co_await agents_->Start();
  co_return status;
}

void ControlPlane::Stop() {
  clock_.Cancel(compaction_);
  compaction_ = 0;
  if (network_) network_->Stop();
  if (agents_) agents_->Stop();
  if (scheduler_) scheduler_->Stop();
  for (auto it = controllers_.rbegin(); it != controllers_.rend(); ++it) (*it)->Stop();
}

void ControlPlane::StartNetwork() {
  if (!options_.network) return;
  NetworkOptions network = *options_.network;
  const auto [ns, name] = SplitKey(network.dns.service);
  const ObjectPtr dns = cache_->Get(resources::kServices, ns, name);
  network.dns.address = dns ? ParseIpv4(dns->view<ServiceView>().cluster_ip) : 0;
  network_ = std::make_unique<ServiceNetwork>(ContextFor("service-network"), std::move(network));
  network_->Start();
}

void ControlPlane::Compact() {
  store_->Compact();
  compaction_ = clock_.After(kCompactEvery, [this] { Compact(); });
}

}  // namespace wherry
