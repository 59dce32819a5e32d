// Subresources that are an edit of their object: scale, binding, eviction, finalize.

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "api/rest/api.h"
#include "core/kinds/patch.h"
#include "core/kinds/resources.h"
#include "core/kinds/table.h"
#include "core/registry/eviction.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

// The autoscaling/v1 Scale of an object with spec.replicas.
Json ScaleOf(const Object& object) {
  const JsonPtr document = object.json();
  const Json& metadata = document->at("metadata");
  Json scale = {{"kind", "Scale"},
                {"apiVersion", "autoscaling/v1"},
                {"metadata",
                 {{"name", object.name()},
                  {"namespace", object.ns()},
                  {"uid", object.uid()},
                  {"resourceVersion", std::to_string(object.revision())},
                  {"creationTimestamp", metadata.value("creationTimestamp", Json())}}},
                {"spec", {{"replicas", IntAt(*document, "spec.replicas", 1)}}},
                {"status", {{"replicas", IntAt(*document, "status.replicas")}}}};
  if (const Json* selector = FindPath(*document, "spec.selector"); selector && selector->is_object()) {
    // A plain map of labels, as a ReplicationController has it, or a metav1.LabelSelector, which holds no strings.
    const bool plain = std::any_of(selector->begin(), selector->end(), [](const Json& v) { return v.is_string(); });
    Result<LabelSelector> parsed =
        plain ? Result<LabelSelector>(LabelSelector::FromMap(*selector)) : LabelSelector::FromJson(*selector);
    if (parsed.ok()) scale["status"]["selector"] = parsed->ToString();
  }
  return scale;
}

// A Scale in the form the call asks for.
void RespondScale(Call& call, const Object& object, Time now) {
  Json scale = ScaleOf(object);
  if (call.form == AnswerForm::kMetadata) return RespondJson(*call.exchange, PartialMetadata(scale));
  if (call.form != AnswerForm::kTable) return RespondJson(*call.exchange, scale);
  auto include = ReadIncludeObject(call.request());
  if (!include.ok()) return RespondStatus(*call.exchange, include.status());
  Json columns = Json::array();
  for (const auto& [name, type, format] : {std::tuple("Name", "string", "name"), std::tuple("Desired", "integer", ""),
                                           std::tuple("Available", "integer", ""), std::tuple("Age", "string", "")}) {
    columns.push_back({{"name", name}, {"type", type}, {"format", format}, {"description", ""}, {"priority", 0}});
  }
  Json row = {{"cells",
               {object.name(), scale["spec"]["replicas"], scale["status"]["replicas"],
                HumanDuration(now - object.view<MetaView>().creation_timestamp)}},
              {"object", nullptr}};
  if (*include == IncludeObject::kMetadata) row["object"] = PartialMetadata(scale);
  if (*include == IncludeObject::kObject) row["object"] = std::move(scale);
  RespondJson(*call.exchange, {{"kind", "Table"},
                               {"apiVersion", "meta.k8s.io/v1"},
                               {"metadata", {{"resourceVersion", std::to_string(object.revision())}}},
                               {"columnDefinitions", std::move(columns)},
                               {"rows", Json::array({std::move(row)})}});
}

Task<Result<ObjectPtr>> SetReplicas(std::shared_ptr<Call> call, Registry& registry, Json scale) {
  const Json* replicas = FindPath(scale, "spec.replicas");
  const int64_t wanted = replicas && replicas->is_number_integer() ? replicas->get<int64_t>() : 0;
  const std::string revision = StringAt(scale, "metadata.resourceVersion");
  const std::string plural = call->kind->plural, group = call->kind->gvk.group, name = call->name;
  if (const std::string said = StringAt(scale, "metadata.name"); !said.empty() && said != name) {
    co_return Status::BadRequest("the name of the object (" + said + ") does not match the name on the URL (" + name +
                                 ")");
  }
  if (wanted < 0) {
    co_return InvalidStatus({"autoscaling", "v1", "Scale"}, name,
                            {{"spec.replicas", "FieldValueInvalid",
                              "Invalid value: " + std::to_string(wanted) + ": must be greater than or equal to 0"}});
  }
  auto change = [wanted, revision, plural, group, name](Json& object) -> Status {
    if (!revision.empty() && revision != StringAt(object, "metadata.resourceVersion")) {
      return Status::Conflict(
          plural, group, name,
          "the object has been modified; please apply your changes to the latest version and try again");
    }
    object["spec"]["replicas"] = wanted;
    return {};
  };
  Result<ObjectPtr> changed =
      co_await registry.Modify(*call->kind, call->ns, call->name, "", std::move(change), call->context());
  co_return changed;
}

Task<> GetScale(std::shared_ptr<Call> call, Registry& registry) {
  const ObjectPtr object = registry.cache().Get(call->kind->resource, call->ns, call->name);
  if (!object)
    co_return RespondStatus(*call->exchange, Status::NotFound(call->kind->plural, call->kind->gvk.group, call->name));
  RespondScale(*call, *object, registry.clock().Now());
}

Task<> PutScale(std::shared_ptr<Call> call, Registry& registry) {
  const GroupVersionKind gvk{"autoscaling", "v1", "Scale"};
  Result<Decoded> body = DecodeBody(call->request(), *registry.catalog().FindBodyType(gvk), gvk);
  if (!body.ok()) co_return RespondStatus(*call->exchange, body.status());
  Result<ObjectPtr> changed = co_await SetReplicas(call, registry, std::move(body->document));
  if (!changed.ok()) co_return RespondStatus(*call->exchange, changed.status());
  RespondScale(*call, **changed, registry.clock().Now());
}

Task<> PatchScale(std::shared_ptr<Call> call, Registry& registry) {
  const ObjectPtr object = registry.cache().Get(call->kind->resource, call->ns, call->name);
  if (!object)
    co_return RespondStatus(*call->exchange, Status::NotFound(call->kind->plural, call->kind->gvk.group, call->name));
  Result<PatchType> type = ReadPatchType(call->request(), *call->kind);
  if (!type.ok()) co_return RespondStatus(*call->exchange, type.status());
  std::vector<std::string> repeated;
  Result<Json> patch = DecodePatch(call->request(), &repeated);
  if (!patch.ok()) co_return RespondStatus(*call->exchange, patch.status());
  Json before = ScaleOf(*object);
  before["metadata"].erase("resourceVersion");  // only the patch itself may insist on one
  // A Scale has no lists, so a strategic patch of it is a merge patch.
  Result<Json> scale =
      *type == PatchType::kJson ? ApplyJsonPatch(before, *patch) : Result<Json>(ApplyMergePatch(before, *patch));
  if (!scale.ok()) co_return RespondStatus(*call->exchange, scale.status());
  const GroupVersionKind gvk{"autoscaling", "v1", "Scale"};
  Result<Decoded> conformed = Conform(*registry.catalog().FindBodyType(gvk), gvk, std::move(*scale));
  if (!conformed.ok()) co_return RespondStatus(*call->exchange, conformed.status());
  Result<ObjectPtr> changed = co_await SetReplicas(call, registry, std::move(conformed->document));
  if (!changed.ok()) co_return RespondStatus(*call->exchange, changed.status());
  RespondScale(*call, **changed, registry.clock().Now());
}

Task<> PostBinding(std::shared_ptr<Call> call, Registry& registry) {
  const GroupVersionKind gvk{"", "v1", "Binding"};
  Result<Decoded> body = DecodeBody(call->request(), *registry.catalog().FindBodyType(gvk), gvk);
  if (!body.ok()) co_return RespondStatus(*call->exchange, body.status());
  Status status = co_await registry.Bind(call->ns, call->name, std::move(body->document), call->context());
  if (!status.ok()) co_return RespondStatus(*call->exchange, status);
  RespondDone(*call->exchange);
}

// POST pods/x/eviction: a delete that a disruption budget may refuse.
Task<> PostEviction(std::shared_ptr<Call> call, Registry& registry) {
  const Type& type = *registry.catalog().FindBodyType({"policy", "v1", "Eviction"});
  Result<Decoded> body = DecodeBody(call->request(), type, {"policy", "v1", "Eviction"});
  if (!body.ok()) {
    // The older version, in whatever form.
    Result<Decoded> older = DecodeBody(call->request(), type, {"policy", "v1beta1", "Eviction"});
    if (older.ok()) body = std::move(older);
  }
  if (!body.ok()) co_return RespondStatus(*call->exchange, body.status());
  if (const std::string said = StringAt(body->document, "metadata.name"); !said.empty() && said != call->name) {
    co_return RespondStatus(*call->exchange, Status::BadRequest("name in URL does not match name in Eviction object"));
  }
  const ObjectPtr pod = registry.cache().Get(resources::kPods, call->ns, call->name);
  if (!pod) co_return RespondStatus(*call->exchange, Status::NotFound("pods", "", call->name));

  DeleteOptions options;
  if (const Json* grace = FindPath(body->document, "deleteOptions.gracePeriodSeconds"))
    options.grace_period_seconds = grace->get<int64_t>();
  options.uid_precondition = StringAt(body->document, "deleteOptions.preconditions.uid");
  RequestContext context = call->context();
  if (const Json* dry = FindPath(body->document, "deleteOptions.dryRun"); dry && dry->is_array() && !dry->empty())
    context.dry_run = true;
  Result<ObjectPtr> deleted = co_await Evict(registry, pod, std::move(options), std::move(context));
  if (!deleted.ok()) co_return RespondStatus(*call->exchange, deleted.status());
  RespondDone(*call->exchange);
}

Task<> PutFinalize(std::shared_ptr<Call> call, Registry& registry) {
  Result<Decoded> body = DecodeBody(call->request(), *call->kind->type, call->kind->gvk);
  if (!body.ok()) co_return RespondStatus(*call->exchange, body.status());
  Result<ObjectPtr> updated = co_await registry.Update(*call->kind, call->ns, call->name, "finalize",
                                                       std::move(body->document), call->context(), nullptr);
  if (!updated.ok()) co_return RespondStatus(*call->exchange, updated.status());
  RespondObject(*call, *updated, 200, registry.clock().Now());
}

}  // namespace

void AddBuiltInSubresources(Api& api, Registry& registry) {
  using Function = Task<> (*)(std::shared_ptr<Call>, Registry&);
  struct Row {
    std::string_view resource, subresource, method;
    Function function;
  };
  std::vector<Row> table = {
      {resources::kPods, "binding", "POST", PostBinding},
      {resources::kPods, "eviction", "POST", PostEviction},
      {resources::kNamespaces, "finalize", "PUT", PutFinalize},
  };
  for (const auto& kind : registry.catalog().kinds()) {
    if (!kind->FindSubresource("scale")) continue;
    table.push_back({kind->resource, "scale", "GET", GetScale});
    table.push_back({kind->resource, "scale", "PUT", PutScale});
    table.push_back({kind->resource, "scale", "PATCH", PatchScale});
  }
  for (const Row& row : table) {
    api.AddSubresource(std::string(row.resource), std::string(row.subresource), std::string(row.method),
                       [&registry, function = row.function](std::shared_ptr<Call> call) {
                         return function(std::move(call), registry);
                       });
  }
}

}  // namespace wherry
