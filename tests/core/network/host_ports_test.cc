#include "core/network/host_ports.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/network/socket.h"

using namespace wherry;

namespace {

constexpr uint32_t kNode = 0x7f400101;  // 127.64.1.1

// "address:port/protocol->address:port", one for each listener.
std::string Text(const ServiceRule& rule) {
  std::string out;
  for (const PortRule& port : rule.ports) {
    for (const ListenAt& at : port.listens) {
      out += (out.empty() ? "" : " ") + AddressText(at.address, at.port) + (port.udp ? "/UDP" : "/TCP");
      for (const Backend& backend : port.backends) {
        CHECK(backend.ready);
        out += "->" + AddressText(backend.address, backend.port);
      }
    }
  }
  return out;
}

}  // namespace

TEST_CASE("A pod's host ports lead from its node's address to it while it has an address") {
  struct Case {
    const char *what, *spec, *status;
    uint32_t node;
    int offset;
    const char* rule;
  };
  const char* const kWeb = R"({"nodeName":"n","containers":[{"ports":[{"containerPort":80,"hostPort":9080}]}]})";
  const char* const kRuns = R"({"phase":"Running","podIP":"127.64.1.5"})";
  const Case cases[] = {
      {"as the server of root", kWeb, kRuns, kNode, 0, "127.64.1.1:9080/TCP->127.64.1.5:80"},
      {"as an ordinary user", kWeb, kRuns, kNode, 8000, "127.64.1.1:9080/TCP->127.64.1.5:8080"},
      {"its node is not to be reached", kWeb, kRuns, 0, 0, ""},
      {"no address yet", kWeb, R"({"phase":"Pending"})", kNode, 0, ""},
      {"it has ended", kWeb, R"({"phase":"Failed","podIP":"127.64.1.5"})", kNode, 0, ""},
      {"several, one of them UDP, one at an address of its own, one without",
       R"({"containers":[{"ports":[{"containerPort":5353,"hostPort":53,"protocol":"UDP"},{"containerPort":1}]},
           {"ports":[{"containerPort":8080,"hostPort":8081,"hostIP":"127.0.0.1"}]}]})",
       kRuns, kNode, 8000, "127.64.1.1:53/UDP->127.64.1.5:5353 127.0.0.1:8081/TCP->127.64.1.5:8080"},
      {"0.0.0.0 is the node's address",
       R"({"containers":[{"ports":[{"containerPort":8080,"hostPort":8081,"hostIP":"0.0.0.0"}]}]})", kRuns, kNode, 0,
       "127.64.1.1:8081/TCP->127.64.1.5:8080"},
      {"with hostNetwork it listens there itself",
       R"({"hostNetwork":true,"containers":[{"ports":[{"containerPort":80,"hostPort":80}]}]})", kRuns, kNode, 0, ""},
      {"SCTP is beyond us", R"({"containers":[{"ports":[{"containerPort":80,"hostPort":80,"protocol":"SCTP"}]}]})",
       kRuns, kNode, 0, ""},
  };
  for (const Case& c : cases) {
    INFO(c.what);
    const HostPortView pod(Json{{"spec", Json::parse(c.spec)}, {"status", Json::parse(c.status)}});
    CHECK(Text(PlanHostPorts(pod, c.node, c.offset)) == c.rule);
  }
}
