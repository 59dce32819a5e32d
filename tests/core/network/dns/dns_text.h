#pragma once

#include <string>

#include "core/network/dns/message.h"
#include "core/network/dns/zone.h"

namespace wherry {

// The bytes of a request, written without the code under test. `udp_size` > 0 adds an OPT record.
std::string DnsRequest(const std::string& name, DnsType type, int udp_size = 0, uint16_t id = 0x1234);

// An answer's bytes as text: "ok A 127.0.0.1 + A …" (after + the additional ones), "no-name soa", "refused" …, read
// without the code under test. "truncated" is said where the answer says so.
std::string DnsText(const std::string& bytes);

// Over the wire format, but without sockets; "elsewhere" when the zone leaves it to others.
std::string AskZone(const DnsZone& zone, const std::string& name, DnsType type, int udp_size = 0);

}  // namespace wherry
