#include "core/network/dns/zone.h"

#include <catch2/catch.hpp>

#include "core/network/dns/message.h"
#include "tests/core/network/dns/dns_text.h"

using namespace wherry;

namespace {

DnsServicePtr Web() {
  DnsService out;
  out.ns = "default";
  out.name = "web";
  out.address = 0x7f800102;  // 127.128.1.2
  out.ports = {{"http", false, 80}, {"dns", true, 53}};
  return std::make_shared<DnsService>(out);
}

DnsServicePtr Db() {
  DnsService out;
  out.ns = "data";
  out.name = "db";
  out.ports = {{"sql", false, 5432}};
  out.endpoints = {{0x7f400102, "db-0", {{"sql", false, 5432}}},
                   {0x7f400103, "db-1", {{"sql", false, 5433}}},
                   {0x7f400104, "", {{"sql", false, 5432}}}};
  return std::make_shared<DnsService>(out);
}

DnsServicePtr External(const std::string& target) {
  DnsService out;
  out.ns = "default";
  out.name = "out";
  out.external_name = target;
  return std::make_shared<DnsService>(out);
}

DnsZone World() {
  DnsZone zone;
  zone.SetOwnAddress(0x7f80000a);
  zone.Set("default/web", Web());
  zone.Set("data/db", Db());
  zone.Set("default/out", External("example.com"));
  return zone;
}

}  // namespace

TEST_CASE("What the zone answers, over the wire") {
  const DnsZone zone = World();
  const auto ask = [&](const std::string& name, DnsType type) { return AskZone(zone, name, type); };
  const struct {
    const char* name;
    DnsType type;
    const char* answer;
  } rows[] = {
      {"web.default.svc.cluster.local", DnsType::kA, "ok A 127.128.1.2"},
      {"WEB.Default.svc.CLUSTER.local", DnsType::kA, "ok A 127.128.1.2"},
      {"web.default.svc.cluster.local", DnsType::kAaaa, "ok none soa"},
      {"web.default.svc.cluster.local", DnsType::kTxt, "ok none soa"},
      {"_http._tcp.web.default.svc.cluster.local", DnsType::kSrv,
       "ok SRV 80 web.default.svc.cluster.local + A 127.128.1.2"},
      {"_dns._udp.web.default.svc.cluster.local", DnsType::kSrv,
       "ok SRV 53 web.default.svc.cluster.local + A 127.128.1.2"},
      {"_http._udp.web.default.svc.cluster.local", DnsType::kSrv, "no-name soa"},
      {"_http._tcp.web.default.svc.cluster.local", DnsType::kA, "ok none soa"},
      {"_tcp.web.default.svc.cluster.local", DnsType::kA, "ok none soa"},
      // Headless: everybody, and each by name; without a hostname by the address.
      {"db.data.svc.cluster.local", DnsType::kA, "ok A 127.64.1.2 A 127.64.1.3 A 127.64.1.4"},
      {"db-1.db.data.svc.cluster.local", DnsType::kA, "ok A 127.64.1.3"},
      {"127-64-1-4.db.data.svc.cluster.local", DnsType::kA, "ok A 127.64.1.4"},
      {"db-9.db.data.svc.cluster.local", DnsType::kA, "no-name soa"},
      {"_sql._tcp.db.data.svc.cluster.local", DnsType::kSrv,
       "ok SRV 5432 db-0.db.data.svc.cluster.local SRV 5433 db-1.db.data.svc.cluster.local SRV 5432 "
       "127-64-1-4.db.data.svc.cluster.local + A 127.64.1.2 A 127.64.1.3 A 127.64.1.4"},
      // By the address of a pod.
      {"127-64-9-9.default.pod.cluster.local", DnsType::kA, "ok A 127.64.9.9"},
      {"127-64-9-999.default.pod.cluster.local", DnsType::kA, "no-name soa"},
      // External.
      {"out.default.svc.cluster.local", DnsType::kA, "ok CNAME example.com"},
      {"out.default.svc.cluster.local", DnsType::kAaaa, "ok CNAME example.com"},
      // Places on the way, and nothing.
      {"default.svc.cluster.local", DnsType::kA, "ok none soa"},
      {"svc.cluster.local", DnsType::kA, "ok none soa"},
      {"cluster.local", DnsType::kA, "ok none soa"},
      {"cluster.local", DnsType::kSoa, "ok SOA ns.dns.cluster.local"},
      {"cluster.local", DnsType::kNs, "ok NS ns.dns.cluster.local + A 127.128.0.10"},
      {"ns.dns.cluster.local", DnsType::kA, "ok A 127.128.0.10"},
      {"dns-version.cluster.local", DnsType::kTxt, "ok TXT 1.1.0"},
      {"absent.default.svc.cluster.local", DnsType::kA, "no-name soa"},
      {"web.absent.svc.cluster.local", DnsType::kA, "no-name soa"},
      {"a.b.c.d.e.web.default.svc.cluster.local", DnsType::kA, "no-name soa"},
      {"cluster", DnsType::kA, "elsewhere"},
      {"xcluster.local", DnsType::kA, "elsewhere"},
      {"example.com", DnsType::kA, "elsewhere"},
      {"", DnsType::kNs, "elsewhere"},
      // The way back.
      {"2.1.128.127.in-addr.arpa", DnsType::kPtr, "ok PTR web.default.svc.cluster.local"},
      {"3.1.64.127.in-addr.arpa", DnsType::kPtr, "ok PTR db-1.db.data.svc.cluster.local"},
      {"3.1.64.127.in-addr.arpa", DnsType::kA, "ok none soa"},
      {"9.9.64.127.in-addr.arpa", DnsType::kPtr, "no-name soa"},
      {"1.0.0.127.in-addr.arpa", DnsType::kPtr, "elsewhere"},
      {"8.8.8.8.in-addr.arpa", DnsType::kPtr, "elsewhere"},
      {"8.8.8.in-addr.arpa", DnsType::kPtr, "elsewhere"},
  };
  for (const auto& row : rows) {
    INFO(row.name << " " << static_cast<int>(row.type));
    CHECK(ask(row.name, row.type) == row.answer);
  }
}

TEST_CASE("The zone follows its Services") {
  DnsZone zone = World();
  zone.Set("default/web", nullptr);
  CHECK(AskZone(zone, "web.default.svc.cluster.local", DnsType::kA) == "no-name soa");
  CHECK(AskZone(zone, "2.1.128.127.in-addr.arpa", DnsType::kPtr) == "no-name soa");
  DnsService fewer = *Db();
  fewer.endpoints.erase(fewer.endpoints.begin());
  zone.Set("data/db", std::make_shared<DnsService>(fewer));
  CHECK(AskZone(zone, "db.data.svc.cluster.local", DnsType::kA) == "ok A 127.64.1.3 A 127.64.1.4");
  CHECK(AskZone(zone, "2.1.64.127.in-addr.arpa", DnsType::kPtr) == "no-name soa");
  CHECK(AskZone(zone, "3.1.64.127.in-addr.arpa", DnsType::kPtr) == "ok PTR db-1.db.data.svc.cluster.local");
}
