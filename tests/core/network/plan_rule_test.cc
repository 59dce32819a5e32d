#include "core/network/plan_rule.h"

#include <catch2/catch.hpp>
#include <deque>
#include <nlohmann/json.hpp>

#include "core/network/socket.h"

using namespace wherry;

namespace {

Json Slice(const std::string& text) { return Json::parse(text); }

// "tcp 127.128.0.9:80 127.0.0.1:30080@ 127.64.1.1:30080@n1 -> 127.64.0.2:80 r, 127.64.0.3:80 s" per port.
std::string Text(const ServiceRule& rule) {
  std::string out;
  for (const PortRule& port : rule.ports) {
    out += (out.empty() ? "" : "; ") + std::string(port.udp ? "udp" : "tcp");
    for (const ListenAt& at : port.listens)
      out += " " + AddressText(at.address, at.port) + (at.local_only ? "@" + at.node : "");
    out += " ->";
    for (const Backend& backend : port.backends)
      out +=
          " " + AddressText(backend.address, backend.port) + (backend.ready ? "r" : "") + (backend.serving ? "s" : "");
  }
  return out;
}

struct World {
  World(Json spec, const std::vector<std::string>& slice_texts) : service(Json{{"spec", std::move(spec)}}) {
    for (const std::string& text : slice_texts) slices.emplace_back(Slice(text));
    for (const SliceView& slice : slices) inputs.slices.push_back(&slice);
    inputs.nodes = {{"n1", ParseIpv4("127.64.1.1")}};
  }
  std::string Rule() const { return Text(PlanServiceRule(service, inputs)); }

  ServiceView service;
  std::deque<SliceView> slices;
  RuleInputs inputs;
};

const char kSlice[] = R"({"ports":[{"name":"","port":80,"protocol":"TCP"}],"endpoints":[
  {"addresses":["127.64.0.3"],"conditions":{"ready":false,"serving":true,"terminating":true},
   "targetRef":{"kind":"Pod","name":"b","uid":"2"}},
  {"addresses":["127.64.0.2"],"conditions":{"ready":true,"serving":true},"nodeName":"n1",
   "targetRef":{"kind":"Pod","name":"a","uid":"1"}},
  {"addresses":["127.64.0.4"],"conditions":{"ready":false,"serving":false}},
  {"addresses":["192.0.2.1"]},
  {"addresses":["fd00::1"]}]})";

Json Spec(Json more = Json::object()) {
  Json spec = {{"type", "ClusterIP"},
               {"clusterIP", "127.128.0.9"},
               {"ports", Json::array({{{"port", 8000}, {"targetPort", 80}, {"nodePort", 30080}}})}};
  spec.merge_patch(more);
  return spec;
}

}  // namespace

TEST_CASE("Where a Service is served, and by whom") {
  CHECK(World(Spec(), {kSlice}).Rule() == "tcp 127.128.0.9:8000 -> 127.64.0.2:80rs 127.64.0.3:80s 192.0.2.1:80rs");
  CHECK(World(Spec(), {}).Rule() == "tcp 127.128.0.9:8000 ->");
  CHECK(World(Spec({{"type", "NodePort"}}), {}).Rule() == "tcp 127.128.0.9:8000 127.0.0.1:30080 127.64.1.1:30080 ->");
  CHECK(World(Spec({{"type", "LoadBalancer"}, {"externalTrafficPolicy", "Local"}}), {}).Rule() ==
        "tcp 127.128.0.9:8000 127.0.0.1:30080@ 127.64.1.1:30080@n1 ->");
  CHECK(World(Spec({{"internalTrafficPolicy", "Local"}}), {}).Rule() == "tcp 127.128.0.9:8000@ ->");
  CHECK(World(Spec({{"clusterIP", "None"}}), {kSlice}).Rule().empty());
  CHECK(World(Spec({{"type", "ExternalName"}, {"clusterIP", nullptr}}), {kSlice}).Rule().empty());
  // The same endpoint in two slices is one.
  CHECK(World(Spec(), {kSlice, kSlice}).Rule() == World(Spec(), {kSlice}).Rule());
}

TEST_CASE("Ports are matched by name and protocol") {
  const Json ports = {{"ports", Json::array({{{"name", "a"}, {"port", 1}},
                                             {{"name", "b"}, {"port", 1}, {"protocol", "UDP"}},
                                             {{"name", "c"}, {"port", 2}, {"protocol", "SCTP"}}})}};
  const char slice[] =
      R"({"ports":[{"name":"a","port":11},{"name":"b","port":12,"protocol":"UDP"},{"name":"b","port":13}],
    "endpoints":[{"addresses":["127.64.0.2"]}]})";
  CHECK(World(Spec(ports), {slice}).Rule() ==
        "tcp 127.128.0.9:1 -> 127.64.0.2:11rs; udp 127.128.0.9:1 -> 127.64.0.2:12rs");
}

TEST_CASE("A pod that was told to go is not ready, whatever its slice still says") {
  World world(Spec(), {kSlice});
  world.inputs.is_going = [](const std::string& pod, const std::string& uid) { return pod == "a" && uid == "1"; };
  CHECK(world.Rule() == "tcp 127.128.0.9:8000 -> 127.64.0.2:80s 127.64.0.3:80s 192.0.2.1:80rs");
}

TEST_CASE("Pods' low ports are where this user may bind them; other people's stay") {
  World world(Spec(), {kSlice});
  world.inputs.privileged_port_offset = 8000;
  CHECK(world.Rule() == "tcp 127.128.0.9:8000 -> 127.64.0.2:8080rs 127.64.0.3:8080s 192.0.2.1:80rs");
}

TEST_CASE("Names of a headless Service are those of its ready endpoints") {
  const char slice[] = R"({"ports":[{"name":"sql","port":5432}],"endpoints":[
    {"addresses":["127.64.0.3"],"hostname":"db-1","conditions":{"ready":true}},
    {"addresses":["127.64.0.2"],"hostname":"db-0","conditions":{"ready":true}},
    {"addresses":["127.64.0.4"],"hostname":"db-2","conditions":{"ready":false}}]})";
  World world(Spec({{"clusterIP", "None"}}), {slice});
  DnsService names = PlanDnsService("default", "db", world.service, world.inputs);
  CHECK(names.address == 0);
  REQUIRE(names.endpoints.size() == 2);
  CHECK(names.endpoints[0].hostname == "db-0");
  CHECK(names.endpoints[1].ports[0].port == 5432);
  // Those of an ordinary one are its own.
  World plain(Spec(), {slice});
  names = PlanDnsService("default", "db", plain.service, plain.inputs);
  CHECK(names.endpoints.empty());
  CHECK(names.address == ParseIpv4("127.128.0.9"));
  World external(Spec({{"type", "ExternalName"}, {"externalName", "example.com"}}), {});
  CHECK(PlanDnsService("default", "db", external.service, external.inputs).external_name == "example.com");
}
