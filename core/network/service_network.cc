#include "core/network/service_network.h"

#include <pthread.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <algorithm>
#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#include <csignal>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "core/kinds/fields.h"
#include "core/kinds/resources.h"
#include "core/network/node_spot.h"
#include "core/network/socket.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

// A connection takes two descriptors, and four more for its pipes when it carries much.
size_t ConnectionLimit(size_t wanted) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  const size_t all = limit.rlim_cur;
  return std::clamp<size_t>(all > 1024 ? (all - 1024) / 6 : all / 12, 16, wanted);
}

Json ServiceReference(const std::string& key) {
  const auto [ns, name] = SplitKey(key);
  return {{"apiVersion", "v1"}, {"kind", "Service"}, {"namespace", ns}, {"name", name}};
}

}  // namespace

// The proxy thread: an event loop with a clock, the proxy and the responder. Made, posted to and ended by the control
// thread; everything inside runs on the thread alone.
class ServiceNetwork::Thread {
 public:
  Thread(const NetworkOptions& options, std::function<void(ListenReport)> report)
      : clock_(NewSystemClock(io_)), proxy_(io_, *clock_, options.proxy, report) {
    if (options.dns.address != 0) dns_ = std::make_unique<DnsServer>(io_, *clock_, options.dns, report);
    if (dns_) asio::post(io_, [this] { dns_->Start(); });
    // Signals are the control thread's.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] {
      for (;;) {
        try {
          io_.run();
          return;
        } catch (const std::exception& error) {
          spdlog::error("the proxy thread caught an exception error=\"{}\"", error.what());
        }
      }
    });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_setname_np(thread_.native_handle(), "wherry-network");
  }

  ~Thread() {
    asio::post(io_, [this] {
      proxy_.Close();
      if (dns_) dns_->Close();
      guard_.reset();
      io_.stop();
    });
    thread_.join();
  }

  void Tell(std::string key, ServiceRulePtr rule, DnsServicePtr names) {
    asio::post(io_, [this, key = std::move(key), rule = std::move(rule), names = std::move(names)]() mutable {
      proxy_.SetService(key, std::move(rule));
      if (dns_) dns_->zone().Set(key, std::move(names));
    });
  }
  void Tell(NodeBlocksPtr blocks) {
    asio::post(io_, [this, blocks = std::move(blocks)]() mutable { proxy_.SetNodeBlocks(std::move(blocks)); });
  }

 private:
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard_ = asio::make_work_guard(io_);
  std::unique_ptr<Clock> clock_;
  Proxy proxy_;
  std::unique_ptr<DnsServer> dns_;
  std::thread thread_;
};

ServiceNetwork::ServiceNetwork(RuntimeContext context, NetworkOptions options)
    : context_(context), options_(std::move(options)), events_(context, "service-network") {
  if (options_.privileged_port_offset > 0 && MayBindPrivilegedPorts()) options_.privileged_port_offset = 0;
  options_.proxy.privileged_port_offset = options_.dns.privileged_port_offset = options_.privileged_port_offset;
  options_.proxy.max_connections = ConnectionLimit(options_.proxy.max_connections);
}

ServiceNetwork::~ServiceNetwork() {
  Stop();
  *alive_ = false;
}

void ServiceNetwork::Start() {
  auto report = [this, executor = context_.executor, alive = alive_](ListenReport told) {
    asio::post(executor, [this, alive, told = std::move(told)] {
      if (*alive && !stopped_) OnReport(told);
    });
  };
  thread_ = std::make_unique<Thread>(options_, std::move(report));
  SendBlocks();
  controller_ = std::make_unique<Controller>(context_, MakeSpec());
  controller_->Start();
  auto tell = [this](std::string key, ServiceRulePtr rule) { thread_->Tell(std::move(key), std::move(rule), nullptr); };
  host_ports_ = std::make_unique<HostPorts>(context_, options_.privileged_port_offset, std::move(tell));
  host_ports_->Start();
}

void ServiceNetwork::Stop() {
  if (std::exchange(stopped_, true)) return;
  if (controller_) controller_->Stop();
  if (host_ports_) host_ports_->Stop();
  thread_.reset();
}

ControllerSpec ServiceNetwork::MakeSpec() {
  ControllerSpec spec;
  spec.name = "service-network";
  spec.workers = 1;
  spec.watches = {
      {std::string(resources::kServices), EnqueueSelf},
      {std::string(resources::kEndpointSlices),
       [this](const Event& event, WorkQueue& queue) { OnSlice(event, queue); }},
      {std::string(resources::kPods), [this](const Event& event, WorkQueue& queue) { OnPod(event, queue); }},
      {std::string(resources::kNodes), [this](const Event& event, WorkQueue& queue) { OnNode(event, queue); }}};
  spec.reconcile = [this](std::string key) { return Reconcile(std::move(key)); };
  return spec;
}

void ServiceNetwork::OnSlice(const Event& event, WorkQueue& queue) const {
  for (const ObjectPtr& slice : {event.object, event.previous}) {
    const std::string* service = slice ? slice->view<MetaView>().label(kServiceNameLabel) : nullptr;
    if (service) queue.Add(KeyOf(slice->ns(), *service));
  }
}

// The moment a pod is told to go nobody new is sent there; its slices are written only after.
void ServiceNetwork::OnPod(const Event& event, WorkQueue& queue) const {
  const bool going = event.type == EventType::kDeleted || event.object->view<MetaView>().deleting();
  if (!going || (event.type == EventType::kModified && event.previous && event.previous->view<MetaView>().deleting()))
    return;
  auto it = services_of_pod_.find(event.object->uid());
  if (it == services_of_pod_.end()) return;
  // A copy: an idle worker begins within Add, and notes anew which Services have the pod.
  const std::vector<std::string> keys(it->second.begin(), it->second.end());
  for (const std::string& key : keys) queue.Add(key);
}

void ServiceNetwork::OnNode(const Event& event, WorkQueue& queue) {
  const bool same = event.type == EventType::kModified && event.previous &&
                    event.object->view<NodeSpot>() == event.previous->view<NodeSpot>();
  if (same) return;
  SendBlocks();
  std::vector<std::string> keys;  // a copy: an idle worker begins within Add
  for (const auto& [key, sent] : sent_) {
    if (sent.node_ports) keys.push_back(key);
  }
  for (const std::string& key : keys) queue.Add(key);
}

void ServiceNetwork::SendBlocks() {
  auto blocks = std::make_shared<std::vector<NodeBlock>>();
  context_.client.cache().ForEach(resources::kNodes, {}, [&](const ObjectPtr& node) {
    const std::string& cidr = node->view<NodeSpot>().cidr;
    const size_t slash = cidr.find('/');
    const int bits = slash == std::string::npos ? 0 : std::atoi(cidr.c_str() + slash + 1);
    if (bits > 0 && bits <= 32) {
      const uint32_t mask = ~0u << (32 - bits);
      blocks->push_back({ParseIpv4(cidr.substr(0, slash)) & mask, mask, node->name()});
    }
    return true;
  });
  thread_->Tell(std::move(blocks));
}

void ServiceNetwork::NotePods(const std::string& key, std::vector<std::string> uids) {
  Sent& sent = sent_[key];
  for (const std::string& uid : sent.pod_uids) {
    auto it = services_of_pod_.find(uid);
    if (it == services_of_pod_.end()) continue;
    it->second.erase(key);
    if (it->second.empty()) services_of_pod_.erase(it);
  }
  for (const std::string& uid : uids) services_of_pod_[uid].insert(key);
  sent.pod_uids = std::move(uids);
}

Task<ReconcileResult> ServiceNetwork::Reconcile(std::string key) {
  const WatchCache& cache = context_.client.cache();
  const auto [ns, name] = SplitKey(key);
  const ObjectPtr service = cache.Get(resources::kServices, ns, name);
  if (!service) {
    NotePods(key, {});
    sent_.erase(key);
    thread_->Tell(key, nullptr, nullptr);
    co_return ReconcileResult();
  }
  const ServiceView& view = service->view<ServiceView>();
  RuleInputs inputs;
  const std::vector<ObjectPtr> slices = cache.ByIndex(kIndexServiceName, key);
  std::vector<std::string> uids;
  for (const ObjectPtr& slice : slices) {
    inputs.slices.push_back(&slice->view<SliceView>());
    for (const SliceView::Endpoint& endpoint : inputs.slices.back()->endpoints) {
      if (!endpoint.pod_uid.empty()) uids.push_back(endpoint.pod_uid);
    }
  }
  if (view.has_node_ports()) {
    cache.ForEach(resources::kNodes, {}, [&](const ObjectPtr& node) {
      const NodeSpot& spot = node->view<NodeSpot>();
      if (spot.reachable()) inputs.nodes.push_back({node->name(), spot.ip});
      return true;
    });
  }
  inputs.privileged_port_offset = options_.privileged_port_offset;
  inputs.is_going = [&cache, space = ns](const std::string& pod, const std::string& uid) {
    const ObjectPtr object = cache.Get(resources::kPods, space, pod);
    return !object || object->uid() != uid || object->view<MetaView>().deleting();
  };
  auto rule = std::make_shared<ServiceRule>(PlanServiceRule(view, inputs));
  auto names = std::make_shared<DnsService>(PlanDnsService(ns, name, view, inputs));
  if (key == options_.dns.service) rule->ports.clear();  // the responder answers there itself
  NotePods(key, std::move(uids));
  Sent& sent = sent_[key];
  sent.node_ports = view.has_node_ports();
  if (sent.rule && *sent.rule == *rule && *sent.dns == *names) co_return ReconcileResult();
  sent.rule = rule;
  sent.dns = names;
  thread_->Tell(key, rule, names);
  co_return ReconcileResult();
}

void ServiceNetwork::OnReport(const ListenReport& report) {
  const bool of_pod = report.service.starts_with(HostPorts::kKeyPrefix);
  const std::string key = report.service.substr(of_pod ? HostPorts::kKeyPrefix.size() : 0);
  const auto [ns, name] = SplitKey(key);
  const std::string at = AddressText(report.address, report.port);
  std::string reason = "PortTaken", message, type = "Warning";
  switch (report.what) {
    case ListenReport::What::kShifted:
      type = "Normal";
      reason = "PortSteered";
      message = "port " + std::to_string(report.port) + " is served on port " + std::to_string(report.served_at) +
                ": this user may not bind ports below 1024 (connect to " +
                AddressText(report.address, report.served_at) + ", give the " + (of_pod ? "pod" : "Service") +
                " a higher port, or run the server as root)";
      break;
    case ListenReport::What::kTaken:
      message = "cannot serve " + at + ": another program listens there; it is tried again until the port is free";
      break;
    case ListenReport::What::kRefused:
      reason = "PortNotServed";
      message = "cannot serve " + at + ": " + report.why + "; it is tried again";
      break;
  }
  spdlog::warn("service port service={} address={} event={} served_at={} why=\"{}\"", report.service, at, reason,
               report.served_at, report.why);
  if (const ObjectPtr about = context_.client.cache().Get(of_pod ? resources::kPods : resources::kServices, ns, name)) {
    if (type == "Normal") {
      events_.Normal(*about, reason, message);
    } else {
      events_.Warning(*about, reason, message);
    }
  } else if (report.service == options_.dns.service) {
    events_.Record(ServiceReference(report.service), type, reason, message);
  }
}

}  // namespace wherry
