#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "store/event_bus.h"
#include "store/object.h"

namespace wherry {

// The current objects in memory, with indexes and the recent events of each resource: what every read and every watch
// is served from. Fed only by committed events, in revision order (DESIGN: "Read your own writes, by construction").
// Control thread only.
class WatchCache {
 public:
  // The index values of an object, appended to `out`; none = not in the index.
  using Extract = std::function<void(const Object&, std::vector<std::string>& out)>;

  // Whether two states of one object are filed alike, where that is cheaper to tell than by extracting.
  using Alike = bool (*)(const Object& before, const Object& after);

  // `ring_capacity`: recent events kept per resource for watches that resume; older ones come from the store's history.
  explicit WatchCache(EventBus& bus, size_t ring_capacity = 4096);
  WatchCache(const WatchCache&) = delete;
  WatchCache& operator=(const WatchCache&) = delete;

  // Adds an index over `resource` ("" = every resource). `alike` may be null: nobody knows. REQUIRES: before the first
  // Load/Apply; `index` is new.
  void AddIndex(std::string index, std::string_view resource, Extract extract, Alike alike = nullptr);

  // Start-up: puts a stored object in place without an event. SetRevision then tells the store's revision, which is
  // where the rings begin.
  void Load(ObjectPtr object);
  void SetRevision(uint64_t revision);

  // One committed change: updates objects, indexes and the ring, then publishes. REQUIRES: revisions ascend.
  void Apply(EventPtr event);

  // The newest revision applied.
  uint64_t revision() const { return revision_; }

  ObjectPtr Get(const ObjectKey& key) const;  // null when absent
  ObjectPtr Get(std::string_view resource, std::string_view ns, std::string_view name) const;

  // Objects of a resource in (namespace, name) order; ns "" = all namespaces. `fn` returns false to stop. `fn` must not
  // cause Apply.
  void ForEach(std::string_view resource, std::string_view ns, const std::function<bool(const ObjectPtr&)>& fn) const;
  // As ForEach from the first object that sorts after (after_ns, after_name): the continuation of a chunked list.
  void ForEachAfter(std::string_view resource, std::string_view ns, std::string_view after_ns,
                    std::string_view after_name, const std::function<bool(const ObjectPtr&)>& fn) const;
  std::vector<ObjectPtr> List(std::string_view resource, std::string_view ns = {}) const;
  size_t Count(std::string_view resource) const;
  // Every resource that has, or once had, objects.
  std::vector<std::string> Resources() const;

  // The objects that an index files under `value`, in (resource, namespace, name) order.
  std::vector<ObjectPtr> ByIndex(std::string_view index, std::string_view value) const;

  // Events of `resource` with revision > `after`, oldest first. False when the ring no longer reaches back that far:
  // then the history must be read (ObjectStore::ReadHistory). `after` at or past ring_floor(resource) always succeeds.
  bool EventsSince(std::string_view resource, uint64_t after, std::vector<EventPtr>& out) const;
  uint64_t ring_floor(std::string_view resource) const;

  EventBus& bus() { return bus_; }

 private:
  struct Entry;
  struct ByKey {
    bool operator()(const Entry* a, const Entry* b) const { return a->object->key() < b->object->key(); }
  };
  // The objects filed under one value of an index.
  using Bucket = std::pair<const std::string, std::set<const Entry*, ByKey>>;
  struct Posting {
    size_t index;
    Bucket* bucket;
  };
  // One current object and where the indexes file it, so that a change touches only the buckets that it leaves or
  // enters.
  struct Entry {
    ObjectPtr object;
    std::vector<Posting> postings;
  };
  // (namespace, name): views into an Object's key.
  using Name = std::pair<std::string_view, std::string_view>;
  static Name NameOf(const Name& name) { return name; }
  static Name NameOf(const std::unique_ptr<Entry>& entry) { return {entry->object->ns(), entry->object->name()}; }
  static Name NameOf(const Entry* entry) { return {entry->object->ns(), entry->object->name()}; }
  struct ByName {
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return NameOf(a) < NameOf(b);
    }
  };
  struct SameName {
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return NameOf(a) == NameOf(b);
    }
  };
  struct HashName {
    using is_transparent = void;
    template <typename A>
    size_t operator()(const A& a) const {
      const Name name = NameOf(a);
      const std::hash<std::string_view> hash;
      return hash(name.second) * 31 + hash(name.first);
    }
  };
  // Objects of one resource, in order for lists and by name for everybody else. An entry stays where it is when its
  // object changes: all states of an object have one name, and indexes point at the entry.
  struct ResourceState {
    std::set<std::unique_ptr<Entry>, ByName> objects;
    std::unordered_set<Entry*, HashName, SameName> by_name;
    std::deque<EventPtr> ring;
    uint64_t floor = 0;  // events with revision <= floor may be missing from the ring
  };
  struct Index {
    std::string name;
    std::string resource;
    Extract extract;
    Alike alike;
    std::unordered_map<std::string, std::set<const Entry*, ByKey>> values;
  };
  ResourceState& StateOf(std::string_view resource);
  const ResourceState* Find(std::string_view resource) const;
  void Put(ResourceState& state, const ObjectPtr& object);
  void Remove(ResourceState& state, const ObjectKey& key);
  void Reindex(Entry& entry, const ObjectPtr& object);
  void Unfile(const Entry& entry, const Posting& posting);

  EventBus& bus_;
  const size_t ring_capacity_;
  uint64_t revision_ = 0;
  uint64_t loaded_revision_ = 0;  // events up to here were never seen
  std::map<std::string, ResourceState, std::less<>> resources_;
  std::vector<Index> indexes_;
};

// Names of the indexes that core registers at start-up.
inline constexpr std::string_view kIndexOwnerUid = "owner-uid";  // every resource, metadata.ownerReferences[].uid
inline constexpr std::string_view kIndexNodeName = "node-name";  // pods, spec.nodeName ("" for unbound)
inline constexpr std::string_view kIndexLabel = "label";         // pods, "namespace/key=value"

}  // namespace wherry
