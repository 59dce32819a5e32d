// Random graphs of owners on the real registry: several owners each, dead ones, ones of the wrong namespace, circles,
// finalizers, owners that come back under another uid, every way of deletion. At every moment nobody goes whom an owner
// still holds; once things calm down nobody is left dangling or stuck.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"
#include "tests/core/controllers/controller_cluster.h"

using namespace wherry;

namespace {

constexpr char kHold[] = "example.com/hold";

struct Sort {
  std::string_view resource;
  const char *api_version, *kind;
  bool namespaced;
};
constexpr Sort kSorts[] = {
    {resources::kConfigMaps, "v1", "ConfigMap", true},
    {resources::kSecrets, "v1", "Secret", true},
    {resources::kPriorityClasses, "scheduling.k8s.io/v1", "PriorityClass", false},
};
const Sort& SortOf(std::string_view resource) {
  return *std::find_if(std::begin(kSorts), std::end(kSorts), [&](const Sort& s) { return s.resource == resource; });
}

// What an owner reference may name: an object that was there once.
struct Seen {
  ObjectKey key;
  std::string uid;
};

class World {
 public:
  explicit World(uint64_t seed)
      : cluster_(seed, {"service-account-controller", "namespace-controller"}), random_(seed) {
    cluster_.Create({{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "far"}}}});
    cluster_.Settle();
    for (const Sort& sort : kSorts) {
      handlers_.push_back(cluster_.client().events().AddHandler(std::string(sort.resource),
                                                                [this](const Event& event) { Watch(event); }));
    }
  }
  ~World() {
    for (const EventBus::HandlerId id : handlers_) cluster_.client().events().RemoveHandler(id);
  }

  void Step() {
    switch (Pick(8)) {
      case 0:
      case 1:
      case 2:
        Create();
        break;
      case 3:
      case 4:
        Delete();
        break;
      case 5:
        ChangeOwners();
        break;
      default:
        Release();
        break;
    }
    if (Pick(3)) cluster_.Settle();
  }

  void Calm() {
    for (int round = 0; round < 20; ++round) {
      while (Release(true)) {
      }
      cluster_.Advance(std::chrono::minutes(20));
      if (!AnyDeleting()) break;
    }
  }

  void CheckEnd() {
    for (const ObjectPtr& object : All()) {
      const MetaView& meta = object->view<MetaView>();
      CAPTURE(object->key().ToString(), std::string(object->bytes()));
      CHECK_FALSE(meta.deleting());  // stuck
      if (meta.owners.empty()) continue;
      for (const OwnerRef& ref : meta.owners) {
        if (!Lookupable(*object, ref)) continue;
        CHECK(OwnerOf(*object, ref));  // dangling
      }
    }
  }

 private:
  size_t Pick(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }

  std::vector<ObjectPtr> All() const {
    std::vector<ObjectPtr> out;
    for (const Sort& sort : kSorts) {
      for (ObjectPtr& object : cluster_.List(sort.resource)) {
        if (object->name().starts_with("o-")) out.push_back(std::move(object));
      }
    }
    return out;
  }
  bool AnyDeleting() const {
    const std::vector<ObjectPtr> all = All();
    return std::any_of(all.begin(), all.end(), [](const ObjectPtr& o) { return o->view<MetaView>().deleting(); });
  }

  static const Sort& SortOf(const OwnerRef& ref) {
    return *std::find_if(std::begin(kSorts), std::end(kSorts), [&](const Sort& s) { return ref.kind == s.kind; });
  }
  // A cluster-wide object cannot have a namespaced owner; such a reference is a mistake that nothing follows from.
  static bool Lookupable(const Object& object, const OwnerRef& ref) {
    return !(SortOf(ref).namespaced && object.ns().empty());
  }
  ObjectPtr OwnerOf(const Object& object, const OwnerRef& ref) const {
    const Sort& sort = SortOf(ref);
    ObjectPtr owner = cluster_.Get(sort.resource, sort.namespaced ? object.ns() : "", ref.name);
    return owner && owner->uid() == ref.uid ? owner : nullptr;
  }
  static bool HasFinalizer(const MetaView& meta, std::string_view name) {
    return std::find(meta.finalizers.begin(), meta.finalizers.end(), name) != meta.finalizers.end();
  }

  Json SomeOwners(const std::string& except_uid) {
    Json owners = Json::array();
    std::set<std::string> used{except_uid};
    for (size_t i = Pick(4); i > 0 && !seen_.empty(); --i) {
      // Rather a young one: old ones are mostly dead.
      const size_t back = std::min(seen_.size(), 1 + Pick(1 + Pick(12)));
      const Seen& owner = seen_[seen_.size() - back];
      if (!used.insert(owner.uid).second) continue;
      const Sort& sort = ::SortOf(owner.key.resource);
      owners.push_back(
          {{"apiVersion", sort.api_version}, {"kind", sort.kind}, {"name", owner.key.name}, {"uid", owner.uid}});
      if (Pick(2)) owners.back()["blockOwnerDeletion"] = true;
    }
    return owners;
  }

  void Create() {
    const Sort& sort = kSorts[Pick(10) < 8 ? Pick(2) : 2];
    const std::string name = "o-" + std::to_string(Pick(14));  // names come back, uids do not
    const std::string ns = !sort.namespaced ? "" : Pick(5) ? "default" : "far";
    if (cluster_.Get(sort.resource, ns, name)) return;
    Json object = {{"apiVersion", sort.api_version}, {"kind", sort.kind}, {"metadata", {{"name", name}}}};
    if (sort.namespaced) object["metadata"]["namespace"] = ns;
    if (!sort.namespaced) object["value"] = 1;
    Json owners = SomeOwners("");
    if (!owners.empty()) object["metadata"]["ownerReferences"] = std::move(owners);
    if (Pick(5) == 0) object["metadata"]["finalizers"] = Json::array({kHold});
    const ObjectPtr made = cluster_.Create(std::move(object));
    seen_.push_back({made->key(), made->uid()});
  }

  ObjectPtr Some() {
    const std::vector<ObjectPtr> all = All();
    return all.empty() ? nullptr : all[Pick(all.size())];
  }

  void Delete() {
    const ObjectPtr object = Some();
    if (!object) return;
    deleted_by_user_.insert(object->uid());
    DeleteOptions options;
    options.propagation = static_cast<Propagation>(Pick(4));
    // A later word wins: nobody waits for the dependents then.
    if (options.propagation == Propagation::kBackground) in_a_hurry_.insert(object->uid());
    std::set<std::string>& dependents = dependents_at_delete_[object->uid()];
    for (const ObjectPtr& d : cluster_.cache().ByIndex(kIndexOwnerUid, object->uid())) dependents.insert(d->uid());
    cluster_.Delete(object->key().resource, object->ns(), object->name(), options);
  }

  // Other owners: circles come from here.
  void ChangeOwners() {
    const ObjectPtr object = Some();
    if (!object) return;
    Json owners = SomeOwners(object->uid());
    changed_since_.insert(object->uid());
    cluster_.Update(object, [&](Json& document) {
      document["metadata"].erase("ownerReferences");
      if (!owners.empty()) document["metadata"]["ownerReferences"] = owners;
    });
  }

  // Takes a hold away; false when there is none.
  bool Release(bool any = false) {
    for (const ObjectPtr& object : All()) {
      if (!HasFinalizer(object->view<MetaView>(), kHold) || !(any || Pick(2))) continue;
      cluster_.Update(object, [](Json& document) {
        Json& finalizers = document["metadata"]["finalizers"];
        std::erase(finalizers.get_ref<Json::array_t&>(), Json(kHold));
      });
      return true;
    }
    return false;
  }

  void Watch(const Event& event) {
    if (!event.previous || !event.object->name().starts_with("o-")) return;
    const Object& object = *event.object;
    const MetaView &now = object.view<MetaView>(), &before = event.previous->view<MetaView>();
    const bool gone = event.type == EventType::kDeleted;
    CAPTURE(object.key().ToString(), std::string(event.previous->bytes()));
    if (now.deleting() && HasFinalizer(now, "foregroundDeletion")) waited_.insert(object.uid());
    if (!before.deleting() && (gone || now.deleting()) && !deleted_by_user_.contains(object.uid())) {
      // The collector's doing: nobody may hold it any more.
      REQUIRE_FALSE(before.owners.empty());
      for (const OwnerRef& ref : before.owners) {
        REQUIRE(Lookupable(*event.previous, ref));
        // One that has waited for its dependents, and now waits for others, holds nobody.
        const ObjectPtr owner = OwnerOf(*event.previous, ref);
        const bool solid = owner && !waited_.contains(owner->uid());
        REQUIRE_FALSE(solid);
      }
    }
    if (!gone || in_a_hurry_.contains(object.uid())) return;
    // Who was waited for has gone, who was to be let go has been.
    for (const ObjectPtr& dependent : cluster_.cache().ByIndex(kIndexOwnerUid, object.uid())) {
      const bool in_scope = object.ns().empty() || object.ns() == dependent->ns();
      if (!in_scope || !dependents_at_delete_[object.uid()].contains(dependent->uid())) continue;
      CAPTURE(dependent->key().ToString());
      if (HasFinalizer(before, "orphan")) REQUIRE(changed_since_.contains(dependent->uid()));
      for (const OwnerRef& ref : dependent->view<MetaView>().owners) {
        if (ref.uid != object.uid() || !HasFinalizer(before, "foregroundDeletion")) continue;
        const bool blocks = ref.block_owner_deletion && !changed_since_.contains(dependent->uid());
        REQUIRE_FALSE(blocks);
      }
    }
  }

  ControllerCluster cluster_;
  std::mt19937_64 random_;
  std::vector<EventBus::HandlerId> handlers_;
  std::vector<Seen> seen_;
  std::set<std::string> deleted_by_user_, in_a_hurry_, waited_, changed_since_;  // uids; changed_since_: other owners
  std::map<std::string, std::set<std::string>> dependents_at_delete_;
};

}  // namespace

TEST_CASE("Property: nobody goes who is held, nobody stays who is not") {
  const char* only = std::getenv("WHERRY_SEED");
  const uint64_t first = only ? std::strtoull(only, nullptr, 10) : 1;
  const uint64_t last = only ? first : 1000;
  for (uint64_t seed = first; seed <= last; ++seed) {
    CAPTURE(seed);
    World world(seed);
    for (int step = 0; step < 40; ++step) world.Step();
    world.Calm();
    world.CheckEnd();
  }
}
