#include "core/registry/registry.h"

#include <nlohmann/json.hpp>
#include <random>
#include <utility>

#include "core/kinds/patch.h"
#include "core/registry/deletion.h"
#include "core/registry/metadata.h"
#include "core/runtime/await.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

// Writes without a precondition begin again when another write came first.
constexpr int kMaxRaces = 32;
constexpr int kMaxNameTries = 8;
constexpr size_t kGeneratedBase = 58;
constexpr size_t kGeneratedSuffix = 5;

// What a dry run answers: an object that was never stored.
ObjectPtr Unstored(const Kind& kind, const Json& document, uint64_t revision) {
  return std::make_shared<const Object>(
      ObjectKey{kind.resource, StringAt(document, "metadata.namespace"), StringAt(document, "metadata.name")},
      StringAt(document, "metadata.uid"), revision, document.dump(-1, ' ', false, Json::error_handler_t::replace));
}

Status StaleStatus(const Kind& kind, const std::string& name) {
  return Status::Conflict(
      kind.plural, kind.gvk.group, name,
      "the object has been modified; please apply your changes to the latest version and try again");
}

// True when a patch itself speaks of metadata.resourceVersion: then a race is the caller's, and is not retried.
bool PatchNamesRevision(PatchType type, const Json& patch) {
  if (type != PatchType::kJson) return FindPath(patch, "metadata.resourceVersion") != nullptr;
  for (const Json& operation : patch) {
    if (StringAt(operation, "path") == "/metadata/resourceVersion") return true;
  }
  return false;
}

// A copy but for one member.
Json Without(const Json& object, std::string_view member) {
  Json out = Json::object();
  auto& members = out.get_ref<Json::object_t&>();
  for (auto it = object.begin(); it != object.end(); ++it) {
    if (it.key() != member) members.emplace_hint(members.end(), it.key(), *it);
  }
  return out;
}

const Kind& StoredKind(const Kind& kind) { return kind.storage ? *kind.storage : kind; }

}  // namespace

Status StrictStatus(const GroupVersionKind& gvk, const std::vector<std::string>& problems) {
  std::string text;
  for (const std::string& problem : problems) text.append(text.empty() ? "" : ", ").append(problem);
  return Status::BadRequest(gvk.kind + " in version \"" + gvk.version + "\" cannot be handled as a " + gvk.kind +
                            ": strict decoding error: " + text);
}

// Identifiers: from the system's entropy, or from a seed in tests.
struct Registry::Engine {
  std::mt19937_64 engine;
};

Registry::Registry(const KindCatalog& catalog, ObjectStore& store, WatchCache& cache, Clock& clock, uint64_t seed)
    : catalog_(catalog), store_(store), cache_(cache), clock_(clock), random_(std::make_shared<Engine>()) {
  if (seed != 0) {
    random_->engine.seed(seed);
  } else {
    std::random_device entropy;
    std::seed_seq sequence{entropy(), entropy(), entropy(), entropy(), entropy(), entropy(), entropy(), entropy()};
    random_->engine.seed(sequence);
  }
}

void Registry::AddAdmission(Admission admission) { admissions_.push_back(std::move(admission)); }

std::string Registry::RandomSuffix(size_t n) {
  static constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string out;
  for (size_t i = 0; i < n; ++i) out.push_back(kAlphabet[random_->engine() % kAlphabet.size()]);
  return out;
}

uint64_t Registry::Random(uint64_t below) { return random_->engine() % below; }

std::string Registry::NewUid() {
  uint64_t high = random_->engine();
  uint64_t low = random_->engine();
  high = (high & ~0xf000ULL) | 0x4000ULL;      // version 4
  low = (low & ~(3ULL << 62)) | (2ULL << 62);  // RFC 4122 variant
  char text[37];
  std::snprintf(text, sizeof text, "%08llx-%04llx-%04llx-%04llx-%012llx", static_cast<unsigned long long>(high >> 32),
                static_cast<unsigned long long>((high >> 16) & 0xffff), static_cast<unsigned long long>(high & 0xffff),
                static_cast<unsigned long long>(low >> 48), static_cast<unsigned long long>(low & 0xffffffffffffULL));
  return text;
}

Task<Result<ObjectPtr>> Registry::Commit(Mutation mutation) {
  auto start = [this, mutation = std::move(mutation)](ObjectStore::Callback done) mutable {
    store_.Commit(std::move(mutation), std::move(done));
  };
  Result<ObjectPtr> committed = co_await AwaitCallback<Result<ObjectPtr>>(std::move(start));
  co_return committed;
}

Status Registry::Admit(AdmissionRequest& request) {
  for (const Admission& admission : admissions_) {
    Status status = admission.admit(request, cache_);
    if (!status.ok()) return status;
  }
  return {};
}

Task<Result<ObjectPtr>> Registry::Create(const Kind& kind, std::string ns, Json object, RequestContext context) {
  const Kind& stored = StoredKind(kind);
  if (kind.storage) object = kind.hooks.to_storage(object);

  Status status = StampCreate(stored, ns, NewUid(), clock_.Now(), object);
  if (!status.ok()) co_return status;
  Json& metadata = object["metadata"];
  const std::string base = StringAt(metadata, "generateName");
  const bool generated = StringAt(metadata, "name").empty();
  if (generated && base.empty()) {
    co_return InvalidStatus(
        stored.gvk, "", {{"metadata.name", "FieldValueRequired", "Required value: name or generateName is required"}});
  }
  // The name first: a kind's own preparation may speak of it.
  if (generated) metadata["name"] = base.substr(0, kGeneratedBase) + RandomSuffix(kGeneratedSuffix);
  if (stored.hooks.prepare_create) stored.hooks.prepare_create(object);
  ApplyDefaults(stored, object);

  AdmissionRequest request{AdmissionRequest::Op::kCreate,
                           stored,
                           "",
                           ns,
                           StringAt(object, "metadata.name"),
                           &object,
                           nullptr,
                           context.user,
                           context.dry_run};
  status = Admit(request);
  if (!status.ok()) co_return status;
  if (stored.hooks.conclude_create) stored.hooks.conclude_create(object);

  const auto document = std::make_shared<Json>(std::move(object));
  for (int tries = 1;; ++tries) {
    const std::string name = StringAt(*document, "metadata.name");
    const FieldErrors errors = Validate(stored, *document, nullptr);
    if (!errors.empty()) co_return InvalidStatus(stored.gvk, name, errors);
    if (context.dry_run) {
      if (cache_.Get(stored.resource, ns, name)) co_return Status::AlreadyExists(stored.plural, stored.gvk.group, name);
      co_return Unstored(stored, *document, 0);
    }
    Mutation mutation;
    mutation.op = Mutation::Op::kCreate;
    mutation.key = ObjectKey{stored.resource, ns, name};
    mutation.uid = StringAt(*document, "metadata.uid");
    mutation.draft.emplace(document);
    Result<ObjectPtr> committed = co_await Commit(std::move(mutation));
    if (committed.ok() || !generated || committed.status().reason() != Reason::kAlreadyExists ||
        tries == kMaxNameTries) {
      co_return committed;
    }
    (*document)["metadata"]["name"] = base.substr(0, kGeneratedBase) + RandomSuffix(kGeneratedSuffix);
  }
}

Task<Result<ObjectPtr>> Registry::Change(const Kind& kind, std::string ns, std::string name, std::string subresource,
                                         MakeNext make, RequestContext context) {
  const Kind& stored = StoredKind(kind);
  for (int race = 0;; ++race) {
    const ObjectPtr current = cache_.Get(stored.resource, ns, name);
    if (!current) co_return Status::NotFound(stored.plural, stored.gvk.group, name);
    const JsonPtr old = current->json();

    bool precondition = false;
    Result<Json> made = make(*old, current->revision(), &precondition);
    if (!made.ok()) co_return made.status();
    Json object = std::move(made).value();
    if (object.contains("metadata") && object["metadata"].is_object()) object["metadata"].erase("resourceVersion");
    Status status = StampUpdate(stored, ns, name, *old, object);
    if (!status.ok()) co_return status;

    FieldErrors errors;
    std::vector<std::shared_ptr<void>> held;
    if (subresource == "status") {
      // A status write is the stored object with another status, whatever else the body says.
      Json next = Without(*old, "status");
      next["metadata"].erase("resourceVersion");
      if (auto it = object.find("status"); it != object.end()) next["status"] = std::move(*it);
      object = std::move(next);
      ApplyDefaults(stored, object);
    } else if (subresource == "finalize") {
      Json next = *old;
      next["metadata"].erase("resourceVersion");
      const Json* finalizers = FindPath(object, "spec.finalizers");
      next["spec"]["finalizers"] = finalizers ? *finalizers : Json::array();
      object = std::move(next);
    } else if (const PartRules* part = stored.FindPart(subresource)) {
      object = part->take(object, *old);
      object["metadata"].erase("resourceVersion");
      ApplyDefaults(stored, object);
      errors = Validate(stored, object, old.get(), part);
    } else if (subresource.empty()) {
      if (stored.has_status) {
        if (auto it = old->find("status"); it != old->end()) {
          object["status"] = *it;
        } else {
          object.erase("status");
        }
      }
      if (stored.hooks.prepare_update) stored.hooks.prepare_update(object, *old);
      ApplyDefaults(stored, object);
      BumpGeneration(stored, *old, object);
      AdmissionRequest request{AdmissionRequest::Op::kUpdate,
                               stored,
                               subresource,
                               ns,
                               name,
                               &object,
                               old.get(),
                               context.user,
                               context.dry_run};
      status = Admit(request);
      if (!status.ok()) co_return status;
      held = std::move(request.held);
      errors = Validate(stored, object, old.get());
    }
    // Other subresources (binding) edit what an ordinary update may not touch; their callers answer for the edit.
    if (!errors.empty()) co_return InvalidStatus(stored.gvk, name, errors);

    if (SameButRevision(*old, object)) co_return current;
    if (context.dry_run) {
      object["metadata"]["resourceVersion"] = std::to_string(current->revision());
      co_return Unstored(stored, object, current->revision());
    }
    Mutation mutation;
    mutation.op = Removable(stored, object) ? Mutation::Op::kDelete : Mutation::Op::kUpdate;
    mutation.key = current->key();
    mutation.uid = current->uid();
    mutation.draft.emplace(std::make_shared<Json>(std::move(object)));
    mutation.expected_revision = current->revision();
    Result<ObjectPtr> committed = co_await Commit(std::move(mutation));
    if (committed.ok() || precondition || race == kMaxRaces || committed.status().reason() != Reason::kConflict) {
      co_return committed;
    }
  }
}

Task<Result<ObjectPtr>> Registry::Update(const Kind& kind, std::string ns, std::string name, std::string subresource,
                                         Json object, RequestContext context, bool* created) {
  if (created) *created = false;
  const Kind& stored = StoredKind(kind);
  const Result<std::optional<uint64_t>> asked = RevisionPrecondition(object);
  if (!asked.ok()) co_return asked.status();
  const std::optional<uint64_t> expected = *asked;
  if (!cache_.Get(stored.resource, ns, name) && stored.create_on_update && subresource.empty()) {
    Json& metadata = MetadataOf(object);
    const std::string body_name = StringAt(metadata, "name");
    if (!body_name.empty() && body_name != name) {
      co_return Status::BadRequest("the name of the object (" + body_name + ") does not match the name on the URL (" +
                                   name + ")");
    }
    metadata["name"] = name;
    metadata.erase("resourceVersion");
    if (created) *created = true;
    Result<ObjectPtr> made = co_await Create(kind, ns, std::move(object), std::move(context));
    co_return made;
  }
  if (!expected && !stored.unconditional_update && subresource.empty()) {
    co_return InvalidStatus(
        stored.gvk, name,
        {{"metadata.resourceVersion", "FieldValueInvalid", "Invalid value: 0: must be specified for an update"}});
  }
  if (kind.storage) object = kind.hooks.to_storage(object);
  MakeNext make = [&stored, name, expected, object = std::move(object)](const Json&, uint64_t revision,
                                                                        bool* precondition) mutable -> Result<Json> {
    *precondition = expected.has_value();
    if (!expected) return object;
    if (*expected != revision) return StaleStatus(stored, name);
    return std::move(object);  // with a precondition there is no second try
  };
  Result<ObjectPtr> updated = co_await Change(kind, std::move(ns), std::move(name), std::move(subresource),
                                              std::move(make), std::move(context));
  co_return updated;
}

Task<Result<ObjectPtr>> Registry::Patch(const Kind& kind, std::string ns, std::string name, std::string subresource,
                                        PatchType type, Json patch, FieldValidation validation, RequestContext context,
                                        std::vector<std::string>* problems) {
  const Kind& stored = StoredKind(kind);
  MakeNext make = [&kind, &stored, name, type, validation, problems, patch = std::move(patch)](
                      const Json& current, uint64_t revision, bool* precondition) -> Result<Json> {
    const Json before = kind.storage ? kind.hooks.from_storage(current) : current;
    Result<Json> patched = type == PatchType::kJson    ? ApplyJsonPatch(before, patch)
                           : type == PatchType::kMerge ? Result<Json>(ApplyMergePatch(before, patch))
                                                       : ApplyStrategicMergePatch(*kind.type, before, patch);
    if (!patched.ok()) return patched.status();
    // No patch makes one kind another.
    const std::pair<std::string, std::string> type_meta[] = {{"apiVersion", kind.gvk.api_version()},
                                                             {"kind", kind.gvk.kind}};
    for (const auto& [key, expected] : type_meta) {
      const Json* value = FindPath(*patched, key);
      if (value && *value != expected) {
        return Status::BadRequest("the " + key + " of the patched object (" + value->dump() +
                                  ") does not match the expected " + expected);
      }
    }
    const Result<std::optional<uint64_t>> asked = RevisionPrecondition(*patched);
    if (!asked.ok()) return asked.status();
    // The document carries its own revision: only a patch that changes it states a precondition.
    if (*asked && **asked != revision) return StaleStatus(stored, name);
    *precondition = PatchNamesRevision(type, patch);
    Result<Decoded> conformed = Conform(*kind.type, kind.gvk, std::move(patched).value());
    if (!conformed.ok()) return conformed.status();
    if (problems) *problems = conformed->problems;
    if (validation == FieldValidation::kStrict && !conformed->problems.empty())
      return StrictStatus(kind.gvk, conformed->problems);
    return kind.storage ? kind.hooks.to_storage(conformed->document) : std::move(conformed->document);
  };
  Result<ObjectPtr> changed = co_await Change(kind, std::move(ns), std::move(name), std::move(subresource),
                                              std::move(make), std::move(context));
  co_return changed;
}

Task<Result<ObjectPtr>> Registry::Modify(const Kind& kind, std::string ns, std::string name, std::string subresource,
                                         std::function<Status(Json& object)> change, RequestContext context) {
  MakeNext make = [change = std::move(change)](const Json& current, uint64_t, bool*) -> Result<Json> {
    Json object = current;
    Status status = change(object);
    if (!status.ok()) return status;
    return object;
  };
  Result<ObjectPtr> changed = co_await Change(kind, std::move(ns), std::move(name), std::move(subresource),
                                              std::move(make), std::move(context));
  co_return changed;
}

Task<Result<ObjectPtr>> Registry::Delete(const Kind& kind, std::string ns, std::string name, DeleteOptions options,
                                         RequestContext context, bool* gone) {
  if (gone) *gone = false;
  const Kind& stored = StoredKind(kind);
  for (int race = 0;; ++race) {
    const ObjectPtr current = cache_.Get(stored.resource, ns, name);
    if (!current) co_return Status::NotFound(stored.plural, stored.gvk.group, name);
    if (!options.uid_precondition.empty() && options.uid_precondition != current->uid()) {
      co_return Status(Reason::kConflict,
                       "Operation cannot be fulfilled on " + stored.gvk.kind + " \"" + name +
                           "\": the UID in the precondition (" + options.uid_precondition +
                           ") does not match the UID in record (" + current->uid() +
                           "). The object might have been deleted and then recreated",
                       StatusDetails{name, stored.gvk.group, stored.plural, "", {}, 0});
    }
    if (options.revision_precondition && *options.revision_precondition != current->revision()) {
      co_return Status(Reason::kConflict,
                       "Operation cannot be fulfilled on " + stored.gvk.kind + " \"" + name +
                           "\": the ResourceVersion in the precondition (" +
                           std::to_string(*options.revision_precondition) +
                           ") does not match the ResourceVersion in record (" + std::to_string(current->revision()) +
                           "). The object might have been modified",
                       StatusDetails{name, stored.gvk.group, stored.plural, "", {}, 0});
    }
    const JsonPtr old = current->json();
    AdmissionRequest request{
        AdmissionRequest::Op::kDelete, stored, "", ns, name, nullptr, old.get(), context.user, context.dry_run};
    Status status = Admit(request);
    if (!status.ok()) co_return status;

    DeletionPlan plan = PlanDeletion(stored, *old, options, clock_.Now());
    if (context.dry_run || options.dry_run) {
      if (gone) *gone = plan.remove;
      co_return plan.remove ? current : Unstored(stored, plan.object, current->revision());
    }
    if (!plan.remove && !plan.changed) co_return current;
    Mutation mutation;
    mutation.op = plan.remove ? Mutation::Op::kDelete : Mutation::Op::kUpdate;
    mutation.key = current->key();
    mutation.uid = current->uid();
    // An object that goes at once is announced as it was, not as it would have been while waiting.
    if (!plan.remove || FindPath(*old, "metadata.deletionTimestamp")) {
      mutation.draft.emplace(std::make_shared<Json>(std::move(plan.object)));
    }
    mutation.expected_revision = current->revision();
    Result<ObjectPtr> committed = co_await Commit(std::move(mutation));
    if (committed.ok()) {
      if (gone) *gone = plan.remove;
      co_return committed;
    }
    const Reason reason = committed.status().reason();
    const bool raced = reason == Reason::kConflict || reason == Reason::kNotFound;
    if (!raced || race == kMaxRaces) co_return committed;
  }
}

Task<Status> Registry::Bind(std::string ns, std::string pod, Json binding, RequestContext context) {
  const Kind* kind = catalog_.FindResource("pods");
  const std::string node = StringAt(binding, "target.name");
  const std::string target_kind = StringAt(binding, "target.kind");
  if (node.empty() || (!target_kind.empty() && target_kind != "Node")) {
    co_return InvalidStatus(
        {"", "v1", "Binding"}, pod,
        {node.empty() ? FieldError{"target.name", "FieldValueRequired", "Required value"}
                      : FieldError{"target.kind", "FieldValueNotSupported",
                                   "Unsupported value: \"" + target_kind + "\": supported values: \"Node\""}});
  }
  const std::string uid = StringAt(binding, "metadata.uid");
  const std::string now = FormatTime(clock_.Now());
  auto change = [pod, node, uid, now, annotations = At(binding, "metadata.annotations")](Json& object) -> Status {
    auto refuse = [&](const std::string& why) { return Status::Conflict("pods/binding", "", pod, why); };
    if (!uid.empty() && uid != StringAt(object, "metadata.uid")) {
      return refuse("Precondition failed: UID in precondition: " + uid +
                    ", UID in object meta: " + StringAt(object, "metadata.uid"));
    }
    if (object["metadata"].contains("deletionTimestamp")) {
      return refuse("pod " + pod + " is being deleted, cannot be assigned to a host");
    }
    if (const std::string bound = StringAt(object, "spec.nodeName"); !bound.empty()) {
      return refuse("pod " + pod + " is already assigned to node \"" + bound + "\"");
    }
    if (!ListAt(object, "spec.schedulingGates").empty()) {
      return refuse("pod " + pod + " has non-empty .spec.schedulingGates");
    }
    object["spec"]["nodeName"] = node;
    if (annotations.is_object()) object["metadata"]["annotations"].update(annotations);
    if (object["status"].is_object()) object["status"].erase("nominatedNodeName");  // it is where it was to go
    Json& conditions = object["status"]["conditions"];
    if (!conditions.is_array()) conditions = Json::array();
    std::erase_if(conditions.get_ref<Json::array_t&>(),
                  [](const Json& c) { return c.value("type", "") == "PodScheduled"; });
    conditions.push_back(
        {{"type", "PodScheduled"}, {"status", "True"}, {"lastProbeTime", nullptr}, {"lastTransitionTime", now}});
    return {};
  };
  Result<ObjectPtr> bound =
      co_await Modify(*kind, std::move(ns), pod, "binding", std::move(change), std::move(context));
  co_return bound.status();
}

}  // namespace wherry
