#include "core/network/dns/message.h"

#include <algorithm>
#include <utility>

namespace wherry {
namespace {

constexpr size_t kHeader = 12;
constexpr size_t kMaxName = 253;
constexpr size_t kMaxLabel = 63;
constexpr uint16_t kResponse = 0x8000, kOpcode = 0x7800, kAuthoritative = 0x0400, kTruncated = 0x0200,
                   kRecursionDesired = 0x0100, kRecursionAvailable = 0x0080;
constexpr size_t kOptBytes = 11;
constexpr uint16_t kOurUdpSize = 4096;
constexpr uint32_t kRefresh = 7200, kRetry = 1800, kExpire = 86400, kMinimum = 5;

uint16_t U16(std::string_view bytes, size_t at) {
  return static_cast<uint16_t>(static_cast<uint8_t>(bytes[at]) << 8 | static_cast<uint8_t>(bytes[at + 1]));
}

void Put16(std::string& out, size_t value) {
  out += static_cast<char>(value >> 8 & 255);
  out += static_cast<char>(value & 255);
}

void Put32(std::string& out, uint32_t value) {
  Put16(out, value >> 16);
  Put16(out, value & 0xffff);
}

void Set16(std::string& out, size_t at, size_t value) {
  out[at] = static_cast<char>(value >> 8 & 255);
  out[at + 1] = static_cast<char>(value & 255);
}

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

std::string LowerCase(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), Lower);
  return out;
}

// Writes names, each suffix once; later ones point to it.
class Writer {
 public:
  std::string bytes;

  void Name(std::string_view name) {
    while (!name.empty()) {
      const std::string key = LowerCase(name);
      if (auto it = places_.find(key); it != places_.end()) {
        Put16(bytes, 0xc000 | it->second);
        return;
      }
      if (bytes.size() < 0x4000) places_.emplace(key, bytes.size());
      const size_t dot = name.find('.');
      const std::string_view label = name.substr(0, std::min(dot, kMaxLabel));
      bytes += static_cast<char>(label.size());
      bytes.append(label);
      if (dot == std::string_view::npos) break;
      name.remove_prefix(dot + 1);
    }
    bytes += '\0';
  }

  void Record(const DnsRecord& record) {
    Name(record.name);
    Put16(bytes, static_cast<uint16_t>(record.type));
    Put16(bytes, kDnsClassIn);
    Put32(bytes, record.ttl);
    const size_t length_at = bytes.size();
    Put16(bytes, 0);
    switch (record.type) {
      case DnsType::kA:
        Put32(bytes, record.address);
        break;
      case DnsType::kAaaa:
        bytes.append(record.data);
        break;
      case DnsType::kSrv:
        Put16(bytes, record.priority);
        Put16(bytes, record.weight);
        Put16(bytes, record.port);
        Name(record.target);
        break;
      case DnsType::kTxt:
        bytes += static_cast<char>(std::min<size_t>(record.text.size(), 255));
        bytes.append(record.text, 0, 255);
        break;
      case DnsType::kSoa:
        Name(record.target);
        Name(record.text);
        for (uint32_t value : {record.serial, kRefresh, kRetry, kExpire, kMinimum}) Put32(bytes, value);
        break;
      default:
        Name(record.target);
    }
    Set16(bytes, length_at, bytes.size() - length_at - 2);
  }

  // Takes back what was written after `size`.
  void CutTo(size_t size) {
    bytes.resize(size);
    std::erase_if(places_, [&](const auto& entry) { return entry.second >= size; });
  }

 private:
  std::map<std::string, size_t> places_;
};

}  // namespace

bool ReadDnsName(std::string_view bytes, size_t* at, std::string* name) {
  name->clear();
  size_t here = *at;
  bool jumped = false;
  for (int steps = 0; steps < 128; ++steps) {
    if (here >= bytes.size()) return false;
    const auto length = static_cast<uint8_t>(bytes[here]);
    if (length == 0) {
      if (!jumped) *at = here + 1;
      return true;
    }
    if ((length & 0xc0) == 0xc0) {
      if (here + 1 >= bytes.size()) return false;
      const size_t target = U16(bytes, here) & 0x3fff;
      if (target >= here) return false;  // only backwards, or it never ends
      if (!jumped) *at = here + 2;
      jumped = true;
      here = target;
      continue;
    }
    if (length > kMaxLabel || here + 1 + length > bytes.size()) return false;
    const std::string_view label = bytes.substr(here + 1, length);
    // A dot or a control character in a label would say something else as text.
    if (label.find('.') != std::string_view::npos || label.find('\0') != std::string_view::npos) return false;
    if (!name->empty()) *name += '.';
    name->append(label);
    if (name->size() > kMaxName) return false;
    here += 1 + static_cast<size_t>(length);
  }
  return false;
}

std::optional<DnsQuery> ParseDnsQuery(std::string_view bytes, DnsCode* code) {
  *code = DnsCode::kOk;
  if (bytes.size() < kHeader) return std::nullopt;
  DnsQuery query;
  query.id = U16(bytes, 0);
  const uint16_t flags = U16(bytes, 2);
  if ((flags & kResponse) != 0) return std::nullopt;
  query.recursion_desired = (flags & kRecursionDesired) != 0;
  const auto refuse = [&](DnsCode why) {
    *code = why;
    return query;
  };
  if ((flags & kOpcode) != 0) return refuse(DnsCode::kNotImplemented);
  if (U16(bytes, 4) != 1) return refuse(DnsCode::kFormat);
  size_t at = kHeader;
  if (!ReadDnsName(bytes, &at, &query.asked_name) || at + 4 > bytes.size()) return refuse(DnsCode::kFormat);
  query.name = LowerCase(query.asked_name);
  query.type = static_cast<DnsType>(U16(bytes, at));
  query.class_code = U16(bytes, at + 2);
  at += 4;

  // Of what follows only OPT matters; the rest is stepped over.
  const size_t before_additional = static_cast<size_t>(U16(bytes, 6)) + U16(bytes, 8);
  const size_t records = before_additional + U16(bytes, 10);
  for (size_t i = 0; i < records; ++i) {
    std::string name;
    if (!ReadDnsName(bytes, &at, &name) || at + 10 > bytes.size()) return refuse(DnsCode::kFormat);
    const auto type = static_cast<DnsType>(U16(bytes, at));
    const size_t length = U16(bytes, at + 8);
    if (at + 10 + length > bytes.size()) return refuse(DnsCode::kFormat);
    if (type == DnsType::kOpt) {
      if (query.edns || !name.empty() || i < before_additional) return refuse(DnsCode::kFormat);
      query.edns = true;
      query.udp_size = std::max<uint16_t>(512, U16(bytes, at + 2));
      query.edns_version = static_cast<uint8_t>(bytes[at + 5]);
    }
    at += 10 + length;
  }
  if (query.edns_version != 0) return refuse(DnsCode::kBadVersion);
  return query;
}

std::string WriteDnsReply(const DnsQuery& query, const DnsReply& reply, size_t limit) {
  Writer out;
  const auto code = static_cast<uint16_t>(reply.code);
  uint16_t flags = kResponse | (code & 15);
  if (reply.authoritative) flags |= kAuthoritative;
  if (query.recursion_desired) flags |= kRecursionDesired;
  if (reply.recursion_available) flags |= kRecursionAvailable;
  Put16(out.bytes, query.id);
  Put16(out.bytes, flags);
  for (int count : {1, 0, 0, 0}) Put16(out.bytes, static_cast<size_t>(count));
  out.Name(query.asked_name);
  Put16(out.bytes, static_cast<uint16_t>(query.type));
  Put16(out.bytes, query.class_code);

  const size_t room = limit > kOptBytes && query.edns ? limit - kOptBytes : limit;
  bool truncated = false;
  size_t place = 6;
  size_t additional = 0;
  for (const auto* section : {&reply.answers, &reply.authority, &reply.additional}) {
    size_t written = 0;
    for (const DnsRecord& record : *section) {
      if (truncated) break;
      const size_t before = out.bytes.size();
      out.Record(record);
      if (out.bytes.size() > room) {
        out.CutTo(before);
        if (section == &reply.additional) break;
        truncated = true;
        break;
      }
      ++written;
    }
    Set16(out.bytes, place, written);
    place += 2;
    additional = written;
  }
  if (truncated) Set16(out.bytes, 2, flags | kTruncated);
  if (query.edns) {
    out.bytes += '\0';
    Put16(out.bytes, static_cast<uint16_t>(DnsType::kOpt));
    Put16(out.bytes, kOurUdpSize);
    out.bytes += static_cast<char>(code >> 4);
    out.bytes.append(3, '\0');
    Put16(out.bytes, 0);
    Set16(out.bytes, 10, additional + 1);
  }
  return std::move(out.bytes);
}

std::string WriteDnsError(std::string_view request, DnsCode code) {
  std::string out(kHeader, '\0');
  if (request.size() < 4) return out;
  out[0] = request[0];
  out[1] = request[1];
  Set16(out, 2, kResponse | (U16(request, 2) & (kOpcode | kRecursionDesired)) | (static_cast<uint16_t>(code) & 15));
  return out;
}

bool ParseDnsAnswer(std::string_view bytes, DnsCode* code, std::vector<DnsRecord>* answers) {
  answers->clear();
  if (bytes.size() < kHeader || (U16(bytes, 2) & kResponse) == 0) return false;
  *code = static_cast<DnsCode>(U16(bytes, 2) & 15);
  size_t at = kHeader;
  std::string name;
  for (int i = U16(bytes, 4); i > 0; --i) {
    if (!ReadDnsName(bytes, &at, &name) || at + 4 > bytes.size()) return false;
    at += 4;
  }
  for (int i = U16(bytes, 6); i > 0; --i) {
    DnsRecord record;
    if (!ReadDnsName(bytes, &at, &record.name) || at + 10 > bytes.size()) return false;
    record.type = static_cast<DnsType>(U16(bytes, at));
    record.ttl = static_cast<uint32_t>(U16(bytes, at + 4)) << 16 | U16(bytes, at + 6);
    const size_t length = U16(bytes, at + 8);
    at += 10;
    if (at + length > bytes.size()) return false;
    size_t inside = at;
    if (record.type == DnsType::kA && length == 4) {
      record.address = static_cast<uint32_t>(U16(bytes, at)) << 16 | U16(bytes, at + 2);
      answers->push_back(std::move(record));
    } else if (record.type == DnsType::kAaaa && length == 16) {
      record.data = std::string(bytes.substr(at, 16));
      answers->push_back(std::move(record));
    } else if (record.type == DnsType::kCname) {
      if (!ReadDnsName(bytes, &inside, &record.target)) return false;
      answers->push_back(std::move(record));
    }
    at += length;
  }
  return true;
}

std::string WriteDnsQuestion(uint16_t id, const std::string& name, DnsType type) {
  Writer out;
  Put16(out.bytes, id);
  Put16(out.bytes, kRecursionDesired);
  for (int count : {1, 0, 0, 0}) Put16(out.bytes, static_cast<size_t>(count));
  out.Name(name);
  Put16(out.bytes, static_cast<uint16_t>(type));
  Put16(out.bytes, kDnsClassIn);
  return std::move(out.bytes);
}

}  // namespace wherry
