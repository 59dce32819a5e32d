#include "core/agent/addresses.h"

#include <arpa/inet.h>

#include <charconv>

namespace wherry {
namespace {

constexpr int kBlockBits = 24;
const Cidr kLoopback{0x7f000000, 8};

}  // namespace

Result<Cidr> Cidr::Parse(std::string_view text) {
  const size_t slash = text.find('/');
  Cidr out;
  const char* end = text.data() + text.size();
  if (slash == std::string_view::npos || !ParseAddress(text.substr(0, slash), &out.base) ||
      std::from_chars(text.data() + slash + 1, end, out.bits).ptr != end || out.bits < 0 || out.bits > 32) {
    return Status(Reason::kInvalid, "\"" + std::string(text) + "\" is not an IPv4 block such as 127.64.0.0/10");
  }
  if (out.bits < 32) out.base &= ~((out.bits == 0 ? 0u : 1u << (32 - out.bits)) - 1);
  return out;
}

std::string Cidr::ToString() const { return FormatAddress(base) + "/" + std::to_string(bits); }

std::string FormatAddress(uint32_t address) {
  return std::to_string(address >> 24) + "." + std::to_string(address >> 16 & 255) + "." +
         std::to_string(address >> 8 & 255) + "." + std::to_string(address & 255);
}

bool ParseAddress(std::string_view text, uint32_t* out) {
  in_addr parsed{};
  if (inet_pton(AF_INET, std::string(text).c_str(), &parsed) != 1) return false;
  *out = ntohl(parsed.s_addr);
  return true;
}

bool NodeBlocks::Reserve(const std::string& node, const std::string& cidr, bool loopback) {
  Result<Cidr> block = Cidr::Parse(cidr);
  if (!block.ok() || (loopback && !kLoopback.Contains(block->base)) || block->bits < 16 || block->bits > 30)
    return false;
  const std::string text = block->ToString();
  const auto [holder, fresh] = node_of_.try_emplace(text, node);
  if (!fresh) return holder->second == node;
  Release(node);
  node_of_[text] = node;
  block_of_[node] = text;
  if (range_.Contains(block->base)) {
    const uint32_t index = (block->base - range_.base) >> (32 - kBlockBits);
    if (index >= next_) next_ = index + 1;
  }
  return true;
}

Result<std::string> NodeBlocks::Allocate(const std::string& node) {
  if (auto it = block_of_.find(node); it != block_of_.end()) return it->second;
  const uint32_t count = range_.bits >= kBlockBits ? 1 : 1u << (kBlockBits - range_.bits);
  for (uint32_t tried = 0; tried < count; ++tried) {
    const uint32_t index = (next_ + tried) % count;
    const std::string text = Cidr{range_.base + (index << (32 - kBlockBits)), kBlockBits}.ToString();
    if (!node_of_.try_emplace(text, node).second) continue;
    next_ = index + 1;
    block_of_[node] = text;
    return text;
  }
  return Status::Unavailable("every /24 of " + range_.ToString() + " belongs to a node: a wider --pod-cidr is needed");
}

void NodeBlocks::Release(const std::string& node) {
  auto it = block_of_.find(node);
  if (it == block_of_.end()) return;
  node_of_.erase(it->second);
  block_of_.erase(it);
}

bool PodAddressPool::Reserve(const std::string& uid, const std::string& address) {
  uint32_t value = 0;
  if (!ParseAddress(address, &value) || !block_.Contains(value) || value < block_.base + 2) return false;
  const auto [it, fresh] = holders_.try_emplace(value - block_.base, Holder{uid, false});
  if (!fresh) return it->second.uid == uid;
  offset_of_[uid] = value - block_.base;
  if (it->first >= next_) next_ = it->first + 1;
  return true;
}

std::string PodAddressPool::Allocate(const std::string& uid) {
  if (auto it = offset_of_.find(uid); it != offset_of_.end()) return FormatAddress(block_.base + it->second);
  // Offsets 2 to size-2: .0 and the last are left alone, .1 is the node's.
  const uint32_t count = block_.size() - 3;
  for (const bool take_finished : {false, true}) {
    for (uint32_t tried = 0; tried < count; ++tried) {
      const uint32_t offset = 2 + (next_ - 2 + tried) % count;
      auto it = holders_.find(offset);
      if (it != holders_.end()) {
        if (!take_finished || !it->second.finished) continue;
        offset_of_.erase(it->second.uid);
        holders_.erase(it);
      }
      holders_[offset] = {uid, false};
      offset_of_[uid] = offset;
      next_ = offset + 1;
      return FormatAddress(block_.base + offset);
    }
  }
  return "";
}

void PodAddressPool::MarkFinished(const std::string& uid) {
  if (auto it = offset_of_.find(uid); it != offset_of_.end()) holders_[it->second].finished = true;
}

void PodAddressPool::Release(const std::string& uid) {
  auto it = offset_of_.find(uid);
  if (it == offset_of_.end()) return;
  holders_.erase(it->second);
  offset_of_.erase(it);
}

}  // namespace wherry
