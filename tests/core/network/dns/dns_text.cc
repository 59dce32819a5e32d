#include "tests/core/network/dns/dns_text.h"

#include <catch2/catch.hpp>

namespace wherry {
namespace {

struct Reader {
  const std::string& bytes;
  size_t at = 0;

  unsigned Byte() {
    REQUIRE(at < bytes.size());
    return static_cast<unsigned char>(bytes[at++]);
  }
  unsigned Two() {
    const unsigned high = Byte();
    return high << 8 | Byte();
  }
  std::string Name() {
    std::string out;
    size_t back = 0;
    for (int i = 0; i < 100; ++i) {
      const unsigned length = Byte();
      if (length == 0) {
        if (back) at = back;
        return out;
      }
      if (length >= 0xc0) {
        const unsigned target = (length & 63) << 8 | Byte();
        if (!back) back = at;
        at = target;
        continue;
      }
      if (!out.empty()) out += '.';
      for (unsigned k = 0; k < length; ++k) out += static_cast<char>(Byte());
    }
    FAIL("a name without end");
    return out;
  }
  std::string Address() {
    std::string out;
    for (int i = 0; i < 4; ++i) out += (i ? "." : "") + std::to_string(Byte());
    return out;
  }
  std::string Record() {
    Name();
    const unsigned type = Two();
    Two();
    Two();
    Two();
    const unsigned length = Two();
    const size_t end = at + length;
    std::string out;
    switch (type) {
      case 1:
        out = "A " + Address();
        break;
      case 2:
        out = "NS " + Name();
        break;
      case 5:
        out = "CNAME " + Name();
        break;
      case 6:
        out = "SOA " + Name();
        break;
      case 12:
        out = "PTR " + Name();
        break;
      case 16:
        out = "TXT " + bytes.substr(at + 1, length - 1);
        break;
      case 33:
        Two();
        Two();
        out = "SRV " + std::to_string(Two());
        out += " " + Name();
        break;
      case 41:
        out = "OPT";
        break;
      default:
        out = "type" + std::to_string(type);
    }
    at = end;
    return out;
  }
};

}  // namespace

std::string DnsRequest(const std::string& name, DnsType type, int udp_size, uint16_t id) {
  std::string out;
  const auto two = [&](unsigned value) {
    out += static_cast<char>(value >> 8);
    out += static_cast<char>(value & 255);
  };
  two(id);
  two(0x0100);
  two(1);
  two(0);
  two(0);
  two(udp_size > 0 ? 1 : 0);
  for (size_t at = 0; at < name.size();) {
    const size_t dot = std::min(name.find('.', at), name.size());
    out += static_cast<char>(dot - at);
    out += name.substr(at, dot - at);
    at = dot + 1;
  }
  out += '\0';
  two(static_cast<unsigned>(type));
  two(1);
  if (udp_size > 0) {
    out += '\0';
    two(41);
    two(static_cast<unsigned>(udp_size));
    two(0);
    two(0);
    two(0);
  }
  return out;
}

std::string DnsText(const std::string& bytes) {
  if (bytes.empty()) return "nothing";
  Reader in{bytes};
  in.Two();
  const unsigned flags = in.Two();
  REQUIRE((flags & 0x8000) != 0);
  static const char* kCodes[] = {"ok", "format", "failure", "no-name", "not-implemented", "refused"};
  std::string out = (flags & 15) < 6 ? kCodes[flags & 15] : "code" + std::to_string(flags & 15);
  if ((flags & 0x0200) != 0) out += " truncated";
  const unsigned questions = in.Two(), answers = in.Two(), authority = in.Two(), additional = in.Two();
  for (unsigned i = 0; i < questions; ++i) {
    in.Name();
    in.Two();
    in.Two();
  }
  for (unsigned i = 0; i < answers; ++i) out += " " + in.Record();
  if (answers == 0 && (flags & 15) == 0) out += " none";
  for (unsigned i = 0; i < authority; ++i) out += in.Record().starts_with("SOA") ? " soa" : " ?";
  std::string rest;
  for (unsigned i = 0; i < additional; ++i) rest += " " + in.Record();
  if (!rest.empty()) out += " +" + rest;
  CHECK(in.at == bytes.size());
  return out;
}

std::string AskZone(const DnsZone& zone, const std::string& name, DnsType type, int udp_size) {
  DnsCode code;
  const auto query = ParseDnsQuery(DnsRequest(name, type, udp_size), &code);
  REQUIRE(query);
  REQUIRE(code == DnsCode::kOk);
  const auto reply = zone.Answer(*query);
  return reply ? DnsText(WriteDnsReply(*query, *reply, query->udp_size)) : "elsewhere";
}

}  // namespace wherry
