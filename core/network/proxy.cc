#include "core/network/proxy.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <asio/post.hpp>
#include <cerrno>
#include <csignal>
#include <set>
#include <utility>

#include "core/network/socket.h"

namespace wherry {
namespace {

constexpr uint16_t kFirstUnprivileged = 1024;

}  // namespace

Proxy::Proxy(asio::io_context& io, Clock& clock, ProxyOptions options, std::function<void(ListenReport)> report)
    : io_(io), clock_(clock), options_(options), report_(std::move(report)) {
  ::signal(SIGPIPE, SIG_IGN);  // splice(2) knows no MSG_NOSIGNAL
}

Proxy::~Proxy() { Close(); }

void Proxy::SetService(const std::string& key, ServiceRulePtr rule) {
  if (closed_) return;
  static const ServiceRule kNothing;
  const ServiceRule& wanted = rule ? *rule : kNothing;
  Service& service = services_[key];

  std::map<std::pair<std::string, bool>, std::shared_ptr<PortState>> ports;
  std::map<PlaceKey, std::pair<ListenAt, std::shared_ptr<PortState>>> places;
  for (const PortRule& port : wanted.ports) {
    std::shared_ptr<PortState>& state = ports[{port.name, port.udp}];
    if (auto it = service.ports.find({port.name, port.udp}); it != service.ports.end()) state = it->second;
    if (!state) state = std::make_shared<PortState>();
    state->balancer.Set(port.backends, port.affinity, clock_.Monotonic());
    for (const ListenAt& at : port.listens) places[{port.udp, at.address, at.port}] = {at, state};
  }
  for (const PlaceKey& had : service.places) {
    if (!places.contains(had)) Remove(had);
  }
  service.ports = std::move(ports);
  service.places.clear();
  std::vector<PlaceKey> fresh_places;
  for (auto& [place_key, wanted_place] : places) {
    auto [it, fresh] = places_.try_emplace(place_key);
    Place& place = it->second;
    if (!fresh && place.service != key) {
      spdlog::warn("two services want one address service={} other={} address={}", key, place.service,
                   AddressText(place_key.address, place_key.port));
      continue;  // the first keeps it
    }
    service.places.push_back(place_key);
    place.service = key;
    place.at = wanted_place.first;
    place.port = wanted_place.second;
    if (place.listener) {
      place.listener->BackendsChanged();
      const std::error_code error = place.listener->SetOpen(place.port->balancer.usable());
      if (error) Fail(place_key, place, error);
    } else if (fresh) {
      fresh_places.push_back(place_key);
    }
  }
  // Once all are known: a port that cannot be bound may not move to where another is.
  for (const PlaceKey& place : fresh_places) Open(place);
  if (!rule) services_.erase(key);
}

std::shared_ptr<Listener> Proxy::MakeListener(const PlaceKey& key) {
  if (!key.udp) {
    return NewTcpListener(io_, clock_, [this, key](int fd, uint32_t client) { return Accept(key, fd, client); });
  }
  return NewUdpListener(
      io_, clock_, options_.udp, [this, key](uint32_t client) { return Pick(key, client); },
      [this, key](const Backend& backend) {
        auto it = places_.find(key);
        return it != places_.end() && it->second.port->balancer.Uses(backend);
      },
      [this](int change) { flows_ += static_cast<size_t>(change); });
}

void Proxy::Open(const PlaceKey& key) {
  Place& place = places_.at(key);
  auto listener = MakeListener(key);
  std::error_code error = listener->Bind(key.address, key.port);
  const int offset = options_.privileged_port_offset;
  uint16_t served_at = key.port;
  if (error.value() == EACCES && offset > 0 && key.port < kFirstUnprivileged) {
    served_at = static_cast<uint16_t>(key.port + offset);
    // Unless the Service itself is served there.
    if (places_.contains({key.udp, key.address, served_at})) {
      error = {EADDRINUSE, std::system_category()};
    } else {
      listener = MakeListener(key);
      error = listener->Bind(key.address, served_at);
    }
  }
  if (!error) error = listener->SetOpen(place.port->balancer.usable());
  if (error) {
    listener->Close();
    return Fail(key, place, error);
  }
  place.listener = std::move(listener);
  place.retry = Duration::zero();
  place.told = false;
  if (served_at != key.port) Tell(place, ListenReport::What::kShifted, served_at, "");
}

void Proxy::Fail(const PlaceKey& key, Place& place, const std::error_code& error) {
  if (place.listener) {
    place.listener->Close();
    place.listener.reset();
  }
  // Told once, until it went well; and tried again for as long as the Service wants it.
  if (!std::exchange(place.told, true)) {
    const bool taken = error.value() == EADDRINUSE;
    Tell(place, taken ? ListenReport::What::kTaken : ListenReport::What::kRefused, 0, error.message());
  }
  place.retry = place.retry == Duration::zero() ? options_.retry_first : std::min(place.retry * 2, options_.retry_most);
  place.timer = clock_.After(place.retry, [this, key] {
    auto it = places_.find(key);
    if (it == places_.end()) return;
    it->second.timer = 0;
    Open(key);
  });
}

void Proxy::Tell(const Place& place, ListenReport::What what, uint16_t served_at, std::string why) const {
  if (report_) report_({what, place.service, place.at.address, place.at.port, served_at, std::move(why)});
}

void Proxy::Remove(const PlaceKey& key) {
  auto it = places_.find(key);
  if (it == places_.end()) return;
  clock_.Cancel(it->second.timer);
  if (it->second.listener) it->second.listener->Close();
  places_.erase(it);
}

std::string Proxy::NodeFor(const Place& place, uint32_t client) const {
  if (!place.at.local_only) return {};
  if (!place.at.node.empty()) return place.at.node;
  // Programs that bind no address of their own come from 127.0.0.1, which is no node's: they may go anywhere.
  if (!blocks_) return {};
  for (const NodeBlock& block : *blocks_) {
    if ((client & block.mask) == block.base) return block.node;
  }
  return {};
}

bool Proxy::Accept(const PlaceKey& key, int fd, uint32_t client) {
  auto it = places_.find(key);
  auto relay = std::make_shared<TcpRelay>(io_, clock_, fd, [this](TcpRelay* ended) {
    relays_.erase(ended);
    if (!full_ || closed_) return;
    full_ = false;
    asio::post(io_, [this, alive = std::weak_ptr<bool>(alive_)] {
      if (alive.expired()) return;
      for (auto& [place_key, place] : places_) {
        if (place.listener && !full_) place.listener->Resume();
      }
    });
  });
  relays_.emplace(relay.get(), relay);
  if (it == places_.end()) {
    relay->Abort();
    return false;
  }
  Place& place = it->second;
  const std::string node = NodeFor(place, client);
  TcpRelay::Source source;
  source.order = [this, port = place.port, client, node] {
    return port->balancer.Order(client, node, clock_.Monotonic());
  };
  source.connected = [this, port = place.port, client](const Backend& backend) {
    port->balancer.Served(client, backend, clock_.Monotonic());
  };
  source.again = [port = place.port, order = source.order](const Backend& failed) {
    std::vector<Backend> others;
    if (port->balancer.IsReady(failed)) return others;  // its reset is what it has to say
    others = order();
    std::erase_if(others,
                  [&](const Backend& other) { return other.address == failed.address && other.port == failed.port; });
    return others;
  };
  source.patient = [this, port = place.port, node] { return port->balancer.IsStarting(node, clock_.Monotonic()); };
  relay->Start(std::move(source));
  full_ = relays_.size() >= options_.max_connections;
  return !full_;
}

Backend Proxy::Pick(const PlaceKey& key, uint32_t client) {
  auto it = places_.find(key);
  if (it == places_.end()) return {};
  Place& place = it->second;
  std::vector<Backend> order = place.port->balancer.Order(client, NodeFor(place, client), clock_.Monotonic());
  if (order.empty()) return {};
  place.port->balancer.Served(client, order.front(), clock_.Monotonic());
  return order.front();
}

void Proxy::Close() {
  if (std::exchange(closed_, true)) return;
  while (!places_.empty()) Remove(PlaceKey(places_.begin()->first));
  services_.clear();
  while (!relays_.empty()) {
    const auto relay = relays_.begin()->second;
    relay->Abort();
  }
}

}  // namespace wherry
