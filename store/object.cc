#include "store/object.h"

#include <algorithm>
#include <cassert>
#include <deque>
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

// The documents parsed or written last, as far as a budget goes: memory stays bounded by bytes() however many objects
// were once looked into, and however large they are. A state that supersedes another takes its place: what is written
// again and again pushes out nobody else.
class ParsedDocuments {
 public:
  static ParsedDocuments& OfThisThread() {
    thread_local ParsedDocuments documents;
    return documents;
  }
  void Keep(const Object& object, const Object* previous) {
    if (previous != nullptr && previous->document_ && current_.Replace(*previous, object)) {
      superseded_.Add(*previous);
    } else {
      current_.Add(object);
    }
  }

 private:
  // First in, first out.
  class Row {
   public:
    explicit Row(size_t budget) : budget_(budget) {}
    void Add(const Object& object) {
      object.place_ = first_ + static_cast<uint32_t>(slots_.size());
      slots_.push_back({object.weak_from_this(), object.bytes().size()});
      used_ += slots_.back().bytes;
      Trim();
    }
    // Puts `next` into the place of `object`; false when that has none here.
    bool Replace(const Object& object, const Object& next) {
      const uint32_t index = object.place_ - first_;
      if (index >= slots_.size() || slots_[index].object.lock().get() != &object) return false;
      Slot& slot = slots_[index];
      used_ += next.bytes().size() - slot.bytes;
      slot = {next.weak_from_this(), next.bytes().size()};
      next.place_ = object.place_;
      Trim();
      return true;
    }

   private:
    struct Slot {
      std::weak_ptr<const Object> object;
      size_t bytes;  // serialised
    };
    // The newest may be larger than the budget; its readers are at work.
    void Trim() {
      while (used_ > budget_ && slots_.size() > 1) {
        if (const auto oldest = slots_.front().object.lock()) oldest->document_.reset();
        used_ -= slots_.front().bytes;
        slots_.pop_front();
        ++first_;
      }
    }

    const size_t budget_;
    std::deque<Slot> slots_;
    size_t used_ = 0;
    uint32_t first_ = 0;  // the place of slots_.front()
  };

  // Of serialised bytes; parsed they take about eight times as much.
  Row current_{size_t{1} << 20};
  Row superseded_{size_t{1} << 17};  // by others that are in current_: watchers may yet ask what they were
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
