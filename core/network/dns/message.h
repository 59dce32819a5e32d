#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace wherry {

// The wire format of DNS, as far as a responder needs it (RFC 1035, EDNS0 of RFC 6891). Names are lower case, without
// the last dot: "web.default.svc.cluster.local"; the root is "".

enum class DnsType : uint16_t {
  kA = 1,
  kNs = 2,
  kCname = 5,
  kSoa = 6,
  kPtr = 12,
  kTxt = 16,
  kAaaa = 28,
  kSrv = 33,
  kOpt = 41,
  kAny = 255
};
enum class DnsCode : uint16_t {
  kOk = 0,
  kFormat = 1,
  kFailure = 2,
  kNoName = 3,
  kNotImplemented = 4,
  kRefused = 5,
  kBadVersion = 16
};
inline constexpr uint16_t kDnsClassIn = 1, kDnsClassAny = 255;

// A request, taken apart.
struct DnsQuery {
  uint16_t id = 0;
  bool recursion_desired = false;
  std::string name;        // as asked, lower case
  std::string asked_name;  // in the letters it was asked in, to be given back so
  DnsType type = DnsType::kA;
  uint16_t class_code = kDnsClassIn;
  bool edns = false;
  uint8_t edns_version = 0;
  uint16_t udp_size = 512;  // what the asker can take in one datagram
};

// Takes a request apart. `*code` is kOk, or what to answer: kFormat, kNotImplemented (another opcode). Nothing = not
// even worth an answer: too short, or itself an answer. Never reads past `bytes`.
std::optional<DnsQuery> ParseDnsQuery(std::string_view bytes, DnsCode* code);

// One resource record to be written.
struct DnsRecord {
  std::string name;
  DnsType type = DnsType::kA;
  uint32_t ttl = 5;
  uint32_t address = 0;                         // A
  std::string target;                           // CNAME, PTR, NS, SRV; the primary of SOA
  std::string data;                             // AAAA: its 16 bytes
  uint16_t priority = 0, weight = 0, port = 0;  // SRV
  std::string text;                             // TXT; the mailbox of SOA
  uint32_t serial = 0;                          // SOA
};

struct DnsReply {
  DnsCode code = DnsCode::kOk;
  bool authoritative = true;
  bool recursion_available = false;
  std::vector<DnsRecord> answers, authority, additional;
};

// The bytes of the answer to `query`, with compressed names, at most `limit` long: what does not fit is left out and
// the answer marked as truncated (records of `additional` are left out silently).
std::string WriteDnsReply(const DnsQuery& query, const DnsReply& reply, size_t limit);
// An answer to something that could not be taken apart.
std::string WriteDnsError(std::string_view request, DnsCode code);

// The addresses and aliases (A, AAAA, CNAME) that somebody else's answer gives, and its code. False when it is no
// answer or malformed.
bool ParseDnsAnswer(std::string_view bytes, DnsCode* code, std::vector<DnsRecord>* answers);
// A question of our own, to be sent on.
std::string WriteDnsQuestion(uint16_t id, const std::string& name, DnsType type);

// Reads a name at `*at`, following compression, and moves `*at` behind it. False when it is malformed.
bool ReadDnsName(std::string_view bytes, size_t* at, std::string* name);

}  // namespace wherry
