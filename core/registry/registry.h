#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/kinds/codec.h"
#include "core/kinds/kind.h"
#include "core/registry/client.h"
#include "core/runtime/clock.h"
#include "store/object_store.h"
#include "store/watch_cache.h"

namespace wherry {

class Registry;

// What a write may see and change on its way in. Handed to each Admission in order.
struct AdmissionRequest {
  enum class Op : uint8_t { kCreate, kUpdate, kDelete };
  Op op;
  const Kind& kind;
  std::string subresource;
  std::string ns, name;
  Json* object;      // create and update: may be changed; null on delete
  const Json* old;   // update and delete; else null
  std::string user;  // who asks, "" for the cluster itself
  bool dry_run;
  // What rules keep for as long as the write is under way: dropped when it has been stored or refused.
  std::vector<std::shared_ptr<void>> held = {};
};

// One admission rule ("ServiceAccount", "LimitRanger", "NamespaceLifecycle" …): one row of a table.
struct Admission {
  std::string name;
  std::function<Status(AdmissionRequest& request, const WatchCache& cache)> admit;
};

// The way a request from outside names what it wants, beyond the document itself.
struct RequestContext {
  RequestContext() = default;  // no aggregate: see DeleteOptions
  std::string user;
  std::vector<std::string> groups;
  std::string field_manager;
  bool dry_run = false;
};

// The one write path (DESIGN: default ▸ admit ▸ validate ▸ commit) for people and controllers alike, and the reads
// beside it. Documents given here are decoded and conformed (core/kinds/codec.h), of the version of the `kind` given.
//
// Control thread only. Every write re-reads the cache after it waited. Writes without a precondition are retried on a
// race.
class Registry {
 public:
  Registry(const KindCatalog& catalog, ObjectStore& store, WatchCache& cache, Clock& clock, uint64_t seed);

  void AddAdmission(Admission admission);

  Task<Result<ObjectPtr>> Create(const Kind& kind, std::string ns, Json object, RequestContext context);
  // `subresource` "", "status" or one of the kind's parts; others have their own calls. PUT of an absent object creates
  // it when the kind says so
  // (`*created` tells; may be null).
  Task<Result<ObjectPtr>> Update(const Kind& kind, std::string ns, std::string name, std::string subresource,
                                 Json object, RequestContext context, bool* created);
  // JSON, merge and strategic patches. `validation` applies to fields the patch brings; problems go to `*problems`.
  Task<Result<ObjectPtr>> Patch(const Kind& kind, std::string ns, std::string name, std::string subresource,
                                PatchType type, Json patch, FieldValidation validation, RequestContext context,
                                std::vector<std::string>* problems);
  // A read-modify-write through the whole path: `change` edits the current document and may be called again on a race.
  // The way for scale, binding, eviction and other writers of one detail.
  Task<Result<ObjectPtr>> Modify(const Kind& kind, std::string ns, std::string name, std::string subresource,
                                 std::function<Status(Json& object)> change, RequestContext context);
  // Finalizers, grace and propagation as API conventions say. The answer is the object as it now is, or its last state
  // when gone
  // (`*gone` tells; may be null).
  Task<Result<ObjectPtr>> Delete(const Kind& kind, std::string ns, std::string name, DeleteOptions options,
                                 RequestContext context, bool* gone);
  Task<Status> Bind(std::string ns, std::string pod, Json binding, RequestContext context);

  const KindCatalog& catalog() const { return catalog_; }
  WatchCache& cache() { return cache_; }
  ObjectStore& store() { return store_; }
  Clock& clock() { return clock_; }
  // A fresh random suffix of `n` characters of the alphabet upstream uses for generated names.
  std::string RandomSuffix(size_t n);
  std::string NewUid();
  uint64_t Random(uint64_t below);  // REQUIRES: below > 0

 private:
  // The next document from the current one; sets `*precondition` when the caller insists on the revision it saw.
  using MakeNext = std::function<Result<Json>(const Json& current, uint64_t revision, bool* precondition)>;
  Task<Result<ObjectPtr>> Change(const Kind& kind, std::string ns, std::string name, std::string subresource,
                                 MakeNext make, RequestContext context);
  Task<Result<ObjectPtr>> Commit(Mutation mutation);
  Status Admit(AdmissionRequest& request);

  const KindCatalog& catalog_;
  ObjectStore& store_;
  WatchCache& cache_;
  Clock& clock_;
  std::vector<Admission> admissions_;
  struct Engine;
  std::shared_ptr<Engine> random_;
};

// `Foo in version "v1" cannot be handled as a Foo: strict decoding error: unknown field "spec.bogus"`: 400.
Status StrictStatus(const GroupVersionKind& gvk, const std::vector<std::string>& problems);

// The in-process Client over a Registry. Thin. `name` is the default field manager and user
// ("system:serviceaccount:kube-system:daemonset-controller").
std::unique_ptr<Client> NewLocalClient(Registry& registry, std::string name);

}  // namespace wherry
