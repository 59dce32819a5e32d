#include "store/watch_cache.h"

#include <algorithm>
#include <cassert>

namespace wherry {

WatchCache::WatchCache(EventBus& bus, size_t ring_capacity) : bus_(bus), ring_capacity_(ring_capacity) {}

void WatchCache::AddIndex(std::string index, std::string_view resource, Extract extract, Alike alike) {
  assert(resources_.empty());
  assert(std::none_of(indexes_.begin(), indexes_.end(), [&](const Index& other) { return other.name == index; }));
  indexes_.push_back(Index{std::move(index), std::string(resource), std::move(extract), alike, {}});
}

void WatchCache::Load(ObjectPtr object) { Put(StateOf(object->key().resource), object); }

void WatchCache::SetRevision(uint64_t revision) {
  revision_ = revision;
  loaded_revision_ = revision;
  for (auto& [resource, state] : resources_) state.floor = revision;
}

void WatchCache::Apply(EventPtr event) {
  const ObjectKey& key = event->object->key();
  assert(event->revision() > revision_);
  ResourceState& state = StateOf(key.resource);
  event->object->AdoptDocument(event->previous.get());
  if (event->type == EventType::kDeleted) {
    Remove(state, key);
  } else {
    Put(state, event->object);
  }
  revision_ = event->revision();
  state.ring.push_back(event);
  while (state.ring.size() > ring_capacity_) {
    state.floor = state.ring.front()->revision();
    state.ring.pop_front();
  }
  bus_.Publish(event);
}

ObjectPtr WatchCache::Get(const ObjectKey& key) const { return Get(key.resource, key.ns, key.name); }

ObjectPtr WatchCache::Get(std::string_view resource, std::string_view ns, std::string_view name) const {
  const ResourceState* state = Find(resource);
  if (!state) return nullptr;
  const auto it = state->by_name.find(Name(ns, name));
  return it == state->by_name.end() ? nullptr : (*it)->object;
}

void WatchCache::ForEach(std::string_view resource, std::string_view ns,
                         const std::function<bool(const ObjectPtr&)>& fn) const {
  const ResourceState* state = Find(resource);
  if (!state) return;
  // No name is empty, so this is before the first object of the namespace.
  for (auto it = state->objects.lower_bound(Name(ns, {})); it != state->objects.end(); ++it) {
    const ObjectPtr& object = (*it)->object;
    if (!ns.empty() && object->ns() != ns) return;
    if (!fn(object)) return;
  }
}

void WatchCache::ForEachAfter(std::string_view resource, std::string_view ns, std::string_view after_ns,
                              std::string_view after_name, const std::function<bool(const ObjectPtr&)>& fn) const {
  const ResourceState* state = Find(resource);
  if (!state) return;
  const Name after(after_ns, after_name);
  const Name first(ns, {});
  auto it = after < first ? state->objects.lower_bound(first) : state->objects.upper_bound(after);
  for (; it != state->objects.end(); ++it) {
    const ObjectPtr& object = (*it)->object;
    if (!ns.empty() && object->ns() != ns) return;
    if (!fn(object)) return;
  }
}

std::vector<ObjectPtr> WatchCache::List(std::string_view resource, std::string_view ns) const {
  std::vector<ObjectPtr> out;
  if (ns.empty()) out.reserve(Count(resource));
  ForEach(resource, ns, [&](const ObjectPtr& object) {
    out.push_back(object);
    return true;
  });
  return out;
}

size_t WatchCache::Count(std::string_view resource) const {
  const ResourceState* state = Find(resource);
  return state ? state->objects.size() : 0;
}

std::vector<std::string> WatchCache::Resources() const {
  std::vector<std::string> out;
  out.reserve(resources_.size());
  for (const auto& [resource, state] : resources_) out.push_back(resource);
  return out;
}

std::vector<ObjectPtr> WatchCache::ByIndex(std::string_view index, std::string_view value) const {
  std::vector<ObjectPtr> out;
  const auto found = std::find_if(indexes_.begin(), indexes_.end(), [&](const Index& i) { return i.name == index; });
  assert(found != indexes_.end());
  if (found == indexes_.end()) return out;
  const auto bucket = found->values.find(std::string(value));
  if (bucket == found->values.end()) return out;
  out.reserve(bucket->second.size());
  for (const Entry* entry : bucket->second) out.push_back(entry->object);
  return out;
}

bool WatchCache::EventsSince(std::string_view resource, uint64_t after, std::vector<EventPtr>& out) const {
  if (after < ring_floor(resource)) return false;
  const ResourceState* state = Find(resource);
  if (!state) return true;
  const auto first =
      std::upper_bound(state->ring.begin(), state->ring.end(), after,
                       [](uint64_t revision, const EventPtr& event) { return revision < event->revision(); });
  out.insert(out.end(), first, state->ring.end());
  return true;
}

uint64_t WatchCache::ring_floor(std::string_view resource) const {
  const ResourceState* state = Find(resource);
  return state ? state->floor : loaded_revision_;
}

WatchCache::ResourceState& WatchCache::StateOf(std::string_view resource) {
  auto it = resources_.find(resource);
  if (it == resources_.end()) {
    it = resources_.emplace(std::string(resource), ResourceState()).first;
    it->second.floor = loaded_revision_;
  }
  return it->second;
}

const WatchCache::ResourceState* WatchCache::Find(std::string_view resource) const {
  const auto it = resources_.find(resource);
  return it == resources_.end() ? nullptr : &it->second;
}

void WatchCache::Put(ResourceState& state, const ObjectPtr& object) {
  if (const auto it = state.by_name.find(Name(object->ns(), object->name())); it != state.by_name.end()) {
    Reindex(**it, object);
    (*it)->object = object;
    return;
  }
  auto made = std::make_unique<Entry>(Entry{object, {}});
  Entry& entry = *made;
  state.objects.insert(std::move(made));
  state.by_name.insert(&entry);
  Reindex(entry, object);
}

void WatchCache::Remove(ResourceState& state, const ObjectKey& key) {
  const auto it = state.objects.find(Name(key.ns, key.name));
  if (it == state.objects.end()) return;
  Entry& entry = **it;
  for (const Posting& posting : entry.postings) Unfile(entry, posting);
  state.by_name.erase(&entry);
  state.objects.erase(it);
}

// Files `entry` as `object` asks. Until the caller replaces entry.object the old one still stands for the key, which
// both share.
void WatchCache::Reindex(Entry& entry, const ObjectPtr& object) {
  std::vector<Posting> postings;
  std::vector<std::string> values;
  for (size_t i = 0; i < indexes_.size(); ++i) {
    Index& index = indexes_[i];
    if (!index.resource.empty() && index.resource != object->key().resource) continue;
    if (index.alike != nullptr && entry.object != object && index.alike(*entry.object, *object)) {
      for (Posting& posting : entry.postings) {
        if (posting.bucket == nullptr || posting.index != i) continue;
        postings.push_back(posting);
        posting.bucket = nullptr;
      }
      continue;
    }
    values.clear();
    index.extract(*object, values);
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    for (std::string& value : values) {
      const auto kept = std::find_if(entry.postings.begin(), entry.postings.end(), [&](const Posting& posting) {
        return posting.bucket && posting.index == i && posting.bucket->first == value;
      });
      if (kept != entry.postings.end()) {
        postings.push_back(*kept);
        kept->bucket = nullptr;
        continue;
      }
      Bucket& bucket = *index.values.try_emplace(std::move(value)).first;
      bucket.second.insert(&entry);
      postings.push_back(Posting{i, &bucket});
    }
  }
  for (const Posting& left : entry.postings) {
    if (left.bucket) Unfile(entry, left);
  }
  entry.postings = std::move(postings);
}

void WatchCache::Unfile(const Entry& entry, const Posting& posting) {
  posting.bucket->second.erase(&entry);
  if (posting.bucket->second.empty()) {
    auto& values = indexes_[posting.index].values;
    values.erase(values.find(posting.bucket->first));
  }
}

}  // namespace wherry
