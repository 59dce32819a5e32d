// The DNS responder's request path: whatever comes, a request is taken apart within its bytes, and every answer is one
// that can be taken apart again and keeps to its limit.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "core/network/dns/message.h"
#include "core/network/dns/zone.h"
#include "tests/fuzz/seeds.h"

namespace wherry {
namespace {

void Require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "dns_fuzz: %s\n", what);
  std::abort();
}

const DnsZone& World() {
  static const DnsZone kZone = [] {
    DnsZone zone;
    DnsService web;
    web.ns = "default";
    web.name = "web";
    web.address = 0x7f800102;
    web.ports = {{"http", false, 80}};
    zone.Set("default/web", std::make_shared<DnsService>(web));
    DnsService db;
    db.ns = "default";
    db.name = "db";
    db.ports = {{"sql", false, 5432}};
    for (uint32_t i = 0; i < 40; ++i) db.endpoints.push_back({0x7f400102 + i, "db-" + std::to_string(i), db.ports});
    zone.Set("default/db", std::make_shared<DnsService>(db));
    DnsService out;
    out.ns = "default";
    out.name = "out";
    out.external_name = "example.com";
    zone.Set("default/out", std::make_shared<DnsService>(out));
    return zone;
  }();
  return kZone;
}

void CheckReply(const DnsQuery& query, const DnsReply& reply, size_t limit) {
  const std::string bytes = WriteDnsReply(query, reply, limit);
  Require(bytes.size() <= std::max<size_t>(limit, 12 + 256 + 4 + 11), "an answer passes its limit");
  DnsCode code = DnsCode::kOk;
  std::vector<DnsRecord> records;
  Require(ParseDnsAnswer(bytes, &code, &records), "an answer cannot be taken apart");
  size_t at = 12;
  std::string name;
  Require(ReadDnsName(bytes, &at, &name) && name == query.asked_name, "the question is not given back");
}

}  // namespace

int FuzzOne(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  DnsCode code = DnsCode::kOk;
  if (const auto query = ParseDnsQuery(bytes, &code)) {
    if (code == DnsCode::kOk) {
      Require(query->udp_size >= 512, "a datagram smaller than every datagram");
      if (const auto reply = World().Answer(*query)) {
        for (const size_t limit : {size_t{512}, size_t{query->udp_size}, size_t{65535}})
          CheckReply(*query, *reply, limit);
      }
    } else {
      Require(WriteDnsError(bytes, code).size() == 12, "an error is a header");
    }
  }
  std::vector<DnsRecord> records;
  ParseDnsAnswer(bytes, &code, &records);
  for (size_t at = 0; at < size && at < 64; ++at) {
    size_t here = at;
    std::string name;
    if (ReadDnsName(bytes, &here, &name)) {
      Require(here > at && here <= size, "a name ends outside");
      Require(name.size() <= 253, "a name is too long");
    }
  }
  return 0;
}

}  // namespace wherry

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) { return wherry::FuzzOne(data, size); }

std::vector<std::string> FuzzSeeds() {
  using wherry::DnsType;
  using wherry::WriteDnsQuestion;
  std::vector<std::string> out;
  for (const char* name : {"web.default.svc.cluster.local", "_sql._tcp.db.default.svc.cluster.local",
                           "127-64-1-2.default.pod.cluster.local", "out.default.svc.cluster.local",
                           "2.1.128.127.in-addr.arpa", "db.default.svc.cluster.local", "cluster.local", ""}) {
    for (const DnsType type : {DnsType::kA, DnsType::kSrv, DnsType::kPtr, DnsType::kSoa, DnsType::kAny})
      out.push_back(WriteDnsQuestion(7, name, type));
  }
  // With EDNS.
  std::string edns = out.front() + std::string("\0\0\x29\x10\0\0\0\0\0\0\0", 11);
  edns[11] = 1;
  out.push_back(edns);
  // An answer, with a name that points back.
  std::string answer = out.front() + std::string("\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1", 16);
  answer[2] = static_cast<char>(0x81);
  answer[7] = 1;
  out.push_back(answer);
  // Not messages, but what mutations should splice in.
  out.push_back("\xc0\x0c");
  out.push_back("\xff\xff");
  out.push_back(std::string(70, '\x3f'));
  return out;
}
