#include "store/object.h"

#include <array>
#include <cassert>
#include <nlohmann/json.hpp>

namespace wherry {

std::string ObjectKey::ToString() const { return resource + " " + (ns.empty() ? name : ns + "/" + name); }


Draft::Draft(const Json& document) {
  assert(document.is_object() && document.contains("metadata"));
  // Serialise metadata apart, so that the mark is looked for in metadata only and in its last place.
  Json metadata = document.at("metadata");
  metadata.erase("resourceVersion");
  bytes_.reserve(1024);
  bytes_.push_back('{');
  for (auto it = document.begin(); it != document.end(); ++it) {
    if (bytes_.size() > 1) bytes_.push_back(',');
    bytes_.append(Json(it.key()).dump());
    bytes_.push_back(':');
    if (it.key() != "metadata") {
      bytes_.append(it->dump(-1, ' ', false, Json::error_handler_t::replace));
      continue;
    }
    std::string text = metadata.dump(-1, ' ', false, Json::error_handler_t::replace);
    text.pop_back();  // the closing brace
    if (!metadata.empty()) text.push_back(',');
    text.append("\"resourceVersion\":\"");
    bytes_.append(text);
    revision_at_ = bytes_.size();
    bytes_.append("\"}");
  }
  bytes_.push_back('}');
}

std::string Draft::Finish(uint64_t revision) const {
  const std::string digits = std::to_string(revision);
  std::string out;
  out.reserve(bytes_.size() + digits.size());
  out.append(bytes_, 0, revision_at_).append(digits).append(bytes_, revision_at_, std::string::npos);
  return out;
}

// The most recently parsed documents, so that memory stays bounded by bytes() however many objects were once looked into.
class DocumentRing {
 public:
  static DocumentRing& OfThisThread() {
    thread_local DocumentRing ring;
    return ring;
  }
  void Keep(std::weak_ptr<const Object> object) {
    if (auto old = ring_[next_].lock()) old->document_.reset();
    ring_[next_] = std::move(object);
    next_ = (next_ + 1) % ring_.size();
  }

 private:
  std::array<std::weak_ptr<const Object>, 512> ring_;
  size_t next_ = 0;
};

Object::Object(ObjectKey key, std::string uid, uint64_t revision, std::string bytes)
    : key_(std::move(key)), uid_(std::move(uid)), revision_(revision), bytes_(std::move(bytes)) {}

JsonPtr Object::json() const {
  if (document_) return document_;
  JsonPtr parsed = std::make_shared<const Json>(Json::parse(bytes_));
  if (auto self = weak_from_this(); !self.expired()) {
    document_ = parsed;
    DocumentRing::OfThisThread().Keep(std::move(self));
  }
  return parsed;
}

const void* Object::FindView(const void* tag) const {
  for (const auto& [t, v] : views_) {
    if (t == tag) return v.get();
  }
  return nullptr;
}

const void* Object::KeepView(const void* tag, std::shared_ptr<const void> view) const {
  views_.emplace_back(tag, std::move(view));
  return views_.back().second.get();
}

}  // namespace wherry
