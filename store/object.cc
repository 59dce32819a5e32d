#include "store/object.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <nlohmann/json.hpp>

namespace wherry {

std::string ObjectKey::ToString() const { return resource + " " + (ns.empty() ? name : ns + "/" + name); }

namespace {

// Text that JSON holds as it is. dump() has a price of its own for each call, and most members are one short string.
bool IsPlain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f && c != '"' && c != '\\'; });
}

void Append(std::string& out, const Json& value) {
  const auto* text = value.get_ptr<const std::string*>();
  if (text != nullptr && IsPlain(*text)) {
    out.append(1, '"').append(*text).push_back('"');
    return;
  }
  // Invalid UTF-8 becomes U+FFFD rather than an exception: what is stored can always be served.
  out.append(value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

void AppendMember(std::string& out, const std::string& key, const Json& value) {
  if (out.back() != '{') out.push_back(',');
  if (IsPlain(key)) {
    out.append(1, '"').append(key).push_back('"');
  } else {
    Append(out, Json(key));
  }
  out.push_back(':');
  Append(out, value);
}

}  // namespace

Draft::Draft(const Json& document) {
  assert(document.is_object() && document.contains("metadata") && document.at("metadata").is_object());
  bytes_.reserve(1024);
  bytes_.push_back('{');
  for (auto member = document.begin(); member != document.end(); ++member) {
    if (member.key() != "metadata") {
      AppendMember(bytes_, member.key(), *member);
      continue;
    }
    if (bytes_.size() > 1) bytes_.push_back(',');
    bytes_.append("\"metadata\":{");
    for (auto field = member->begin(); field != member->end(); ++field) {
      if (field.key() != "resourceVersion") AppendMember(bytes_, field.key(), *field);
    }
    if (bytes_.back() != '{') bytes_.push_back(',');
    bytes_.append("\"resourceVersion\":\"");
    revision_at_ = bytes_.size();
    bytes_.append("\"}");
  }
  bytes_.push_back('}');
}

Draft::Draft(std::shared_ptr<Json> document) : Draft(*document) { document_ = std::move(document); }

std::string Draft::Finish(uint64_t revision) const {
  const std::string digits = std::to_string(revision);
  std::string out;
  out.reserve(bytes_.size() + digits.size());
  out.append(bytes_, 0, revision_at_).append(digits).append(bytes_, revision_at_, std::string::npos);
  return out;
}

// The most recently parsed documents, so that memory stays bounded by bytes() however many objects were once looked
// into. A state that supersedes another takes its place: what is written again and again pushes out nobody else.
class ParsedDocuments {
 public:
  static ParsedDocuments& OfThisThread() {
    thread_local ParsedDocuments documents;
    return documents;
  }
  void Keep(const Object& object, const Object* previous) {
    if (previous == nullptr || !previous->document_ || !Holds(current_, previous->place_, previous)) {
      object.place_ = Put(current_, object);
      return;
    }
    object.place_ = previous->place_;
    current_.slots[object.place_] = object.weak_from_this();
    previous->place_ = Put(superseded_, *previous);
  }

 private:
  template <size_t kSize>
  struct Ring {
    std::array<std::weak_ptr<const Object>, kSize> slots;
    size_t next = 0;
  };
  template <size_t kSize>
  static bool Holds(const Ring<kSize>& ring, size_t place, const Object* object) {
    return ring.slots[place].lock().get() == object;
  }
  template <size_t kSize>
  static uint16_t Put(Ring<kSize>& ring, const Object& object) {
    const size_t place = ring.next;
    if (auto old = ring.slots[place].lock()) old->document_.reset();
    ring.slots[place] = object.weak_from_this();
    ring.next = (place + 1) % kSize;
    return static_cast<uint16_t>(place);
  }

  Ring<512> current_;
  Ring<64> superseded_;  // by others that are in current_: watchers may yet ask what they were
};

Object::Object(ObjectKey key, std::string uid, uint64_t revision, std::string bytes, std::shared_ptr<Json> document)
    : key_(std::move(key)),
      uid_(std::move(uid)),
      revision_(revision),
      bytes_(std::move(bytes)),
      origin_(std::move(document)) {}

void Object::AdoptDocument(const Object* previous) const {
  if (!origin_) return;
  (*origin_)["metadata"]["resourceVersion"] = std::to_string(revision_);
  document_ = std::move(origin_);
  ParsedDocuments::OfThisThread().Keep(*this, previous);
}

JsonPtr Object::json() const {
  AdoptDocument(nullptr);
  if (document_) return document_;
  JsonPtr parsed = std::make_shared<const Json>(Json::parse(bytes_));
  if (!weak_from_this().expired()) {
    document_ = parsed;
    ParsedDocuments::OfThisThread().Keep(*this, nullptr);
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
