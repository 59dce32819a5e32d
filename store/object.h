#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/json.h"

namespace wherry {

// Names one object. `resource` is the group-qualified plural that the store files it under ("pods", "daemonsets.apps");
// it does not carry the API version. `ns` is empty for cluster-scoped objects.
struct ObjectKey {
  std::string resource;
  std::string ns;
  std::string name;

  auto operator<=>(const ObjectKey&) const = default;
  // "pods default/web-0", for logs.
  std::string ToString() const;
};

// An object's document serialised for the store, with the place where its revision goes. Built on the control thread,
// finished by the writer once the revision is known: nothing is serialised twice.
class Draft {
 public:
  // Serialises `document` compactly, whatever metadata.resourceVersion it holds. REQUIRES: document is an object with
  // an object "metadata".
  explicit Draft(const Json& document);
  // The same, and the object made of it keeps `document` as its parsed form instead of parsing its own bytes again.
  // Nobody else may change `document` once the object exists.
  explicit Draft(std::shared_ptr<Json> document);

  // The final bytes with metadata.resourceVersion = "revision".
  std::string Finish(uint64_t revision) const;
  size_t size() const { return bytes_.size(); }
  const std::shared_ptr<Json>& document() const { return document_; }

 private:
  std::string bytes_;       // holds `"resourceVersion":""`
  size_t revision_at_ = 0;  // where the digits go
  std::shared_ptr<Json> document_;
};

// A stored object at one revision: immutable, serialised once, shared by everybody who reads it (DESIGN: "Objects are
// immutable and serialised once"). GET, LIST and WATCH join bytes(); readers that need fields ask for a view or json().
//
// Made by the store; owned by shared_ptr. bytes(), key() and revision() may be read on any thread; json() and view() on
// the control thread only, because they fill a cache inside.
class Object : public std::enable_shared_from_this<Object> {
 public:
  // `document`: what `bytes` were made of, if it is at hand (see Draft); its resourceVersion is filled in here.
  Object(ObjectKey key, std::string uid, uint64_t revision, std::string bytes,
         std::shared_ptr<Json> document = nullptr);
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  const ObjectKey& key() const { return key_; }
  const std::string& ns() const { return key_.ns; }
  const std::string& name() const { return key_.name; }
  const std::string& uid() const { return uid_; }
  uint64_t revision() const { return revision_; }
  // Compact JSON with apiVersion, kind and metadata.resourceVersion.
  std::string_view bytes() const { return bytes_; }

  // The parsed document. Parsed on demand; only those parsed or written last, a MiB of them, stay parsed, so hold the
  // pointer while you use it: `auto doc = object->json(); doc->at("spec")`.
  JsonPtr json() const;
  // Takes the document it was made of into the bounded set of parsed ones, in the place of `previous` (the state that
  // it supersedes; null = none). The cache calls it for each committed object.
  void AdoptDocument(const Object* previous) const;

  // A typed projection made once per object from its document and kept with it: `object->view<PodView>().node_name`.
  // V is constructible from `const Json&`. For fields that controllers read again and again; keep views small. The
  // reference lives as long as the object.
  template <typename V>
  const V& view() const {
    static const char tag = 0;
    if (const void* kept = FindView(&tag)) return *static_cast<const V*>(kept);
    auto made = std::make_shared<const V>(*json());
    return *static_cast<const V*>(KeepView(&tag, std::move(made)));
  }

 private:
  const void* FindView(const void* tag) const;
  const void* KeepView(const void* tag, std::shared_ptr<const void> view) const;

  // Constant after construction.
  const ObjectKey key_;
  const std::string uid_;
  const uint64_t revision_;
  const std::string bytes_;

  // Control thread only.
  friend class ParsedDocuments;
  mutable std::shared_ptr<Json> origin_;  // not adopted yet
  mutable JsonPtr document_;
  mutable uint32_t place_ = 0;  // of document_ among the parsed ones
  mutable std::vector<std::pair<const void*, std::shared_ptr<const void>>> views_;
};

using ObjectPtr = std::shared_ptr<const Object>;

}  // namespace wherry
