// The verbs of api.h on objects: get, list, create, update, patch, delete, deletecollection.

#include <nlohmann/json.hpp>
#include <utility>

#include "api/rest/api.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

const std::string& StoredResource(const Kind& kind) { return kind.storage ? kind.storage->resource : kind.resource; }

}  // namespace

Task<> Api::Get(std::shared_ptr<Call> call) {
  const Kind& kind = *call->kind;
  const WatchCache& cache = registry_.cache();
  Status status = CheckMinimumRevision(QueryString(call->request(), "resourceVersion"), cache.revision());
  if (!status.ok()) co_return RespondStatus(*call->exchange, status);
  const ObjectPtr object = cache.Get(StoredResource(kind), call->ns, call->name);
  if (!object) co_return RespondStatus(*call->exchange, Status::NotFound(kind.plural, kind.gvk.group, call->name));
  RespondObject(*call, object, 200, registry_.clock().Now());
}

Task<> Api::List(std::shared_ptr<Call> call) {
  Result<ListQuery> query = ReadListQuery(call->request(), false);
  if (!query.ok()) co_return RespondStatus(*call->exchange, query.status());
  Status status = CheckFields(*call->kind, query->fields);
  if (!status.ok()) co_return RespondStatus(*call->exchange, status);
  Result<ListPages::Page> page = pages_.Read(*call->kind, call->ns, *query);
  if (!page.ok()) co_return RespondStatus(*call->exchange, page.status());
  const bool selective = !query->labels.empty() || !query->fields.empty();
  RespondList(*call, *page, selective, registry_.clock().Now());
}

Task<> Api::Create(std::shared_ptr<Call> call) {
  const Kind& kind = *call->kind;
  Result<FieldValidation> validation = ReadFieldValidation(call->request());
  if (!validation.ok()) co_return RespondStatus(*call->exchange, validation.status());
  Status status = CheckDryRun(call->request());
  if (!status.ok()) co_return RespondStatus(*call->exchange, status);
  Result<Decoded> body = DecodeBody(call->request(), *kind.type, kind.gvk);
  if (!body.ok()) co_return RespondStatus(*call->exchange, body.status());
  status = JudgeProblems(*call, kind.gvk, *validation, body->problems);
  if (!status.ok()) co_return RespondStatus(*call->exchange, status);
  Result<ObjectPtr> created = co_await registry_.Create(kind, call->ns, std::move(body->document), call->context());
  if (!created.ok()) co_return RespondStatus(*call->exchange, created.status());
  RespondObject(*call, *created, 201, registry_.clock().Now());
}

Task<> Api::Update(std::shared_ptr<Call> call) {
  const Kind& kind = *call->kind;
  Result<FieldValidation> validation = ReadFieldValidation(call->request());
  if (!validation.ok()) co_return RespondStatus(*call->exchange, validation.status());
  Status status = CheckDryRun(call->request());
  if (!status.ok()) co_return RespondStatus(*call->exchange, status);
  Result<Decoded> body = DecodeBody(call->request(), *kind.type, kind.gvk);
  if (!body.ok()) co_return RespondStatus(*call->exchange, body.status());
  status = JudgeProblems(*call, kind.gvk, *validation, body->problems);
  if (!status.ok()) co_return RespondStatus(*call->exchange, status);
  bool made = false;
  Result<ObjectPtr> updated = co_await registry_.Update(kind, call->ns, call->name, call->subresource,
                                                        std::move(body->document), call->context(), &made);
  if (!updated.ok()) co_return RespondStatus(*call->exchange, updated.status());
  RespondObject(*call, *updated, made ? 201 : 200, registry_.clock().Now());
}

Task<> Api::Patch(std::shared_ptr<Call> call) {
  const Kind& kind = *call->kind;
  Result<FieldValidation> validation = ReadFieldValidation(call->request());
  if (!validation.ok()) co_return RespondStatus(*call->exchange, validation.status());
  Status status = CheckDryRun(call->request());
  if (!status.ok()) co_return RespondStatus(*call->exchange, status);
  Result<PatchType> type = ReadPatchType(call->request(), kind);
  if (!type.ok()) co_return RespondStatus(*call->exchange, type.status());
  std::vector<std::string> repeated;
  Result<Json> patch = DecodePatch(call->request(), &repeated);
  if (!patch.ok()) co_return RespondStatus(*call->exchange, patch.status());
  status = JudgeProblems(*call, kind.gvk, *validation, repeated);
  if (!status.ok()) co_return RespondStatus(*call->exchange, status);
  std::vector<std::string> problems;
  Result<ObjectPtr> patched = co_await registry_.Patch(kind, call->ns, call->name, call->subresource, *type,
                                                       std::move(*patch), *validation, call->context(), &problems);
  if (!patched.ok()) co_return RespondStatus(*call->exchange, patched.status());
  status = JudgeProblems(*call, kind.gvk, *validation, problems);
  if (!status.ok()) co_return RespondStatus(*call->exchange, status);
  RespondObject(*call, *patched, 200, registry_.clock().Now());
}

Task<> Api::Delete(std::shared_ptr<Call> call) {
  const Kind& kind = *call->kind;
  Result<DeleteOptions> options = ReadDeleteOptions(call->request(), registry_.catalog());
  if (!options.ok()) co_return RespondStatus(*call->exchange, options.status());
  bool gone = false;
  Result<ObjectPtr> deleted = co_await registry_.Delete(kind, call->ns, call->name, *options, call->context(), &gone);
  if (!deleted.ok()) co_return RespondStatus(*call->exchange, deleted.status());
  // Pods answer with the object even when it went at once, as upstream.
  if (gone && !kind.returns_deleted_object) co_return RespondSuccess(*call, kind, **deleted);
  RespondObject(*call, *deleted, 200, registry_.clock().Now());
}

Task<> Api::DeleteCollection(std::shared_ptr<Call> call) {
  const Kind& kind = *call->kind;
  Result<DeleteOptions> options = ReadDeleteOptions(call->request(), registry_.catalog());
  if (!options.ok()) co_return RespondStatus(*call->exchange, options.status());
  Result<ListQuery> query = ReadListQuery(call->request(), false);
  if (!query.ok()) co_return RespondStatus(*call->exchange, query.status());
  Status status = CheckFields(kind, query->fields);
  if (!status.ok()) co_return RespondStatus(*call->exchange, status);
  ListPages::Page page;
  for (const ObjectPtr& object : Matching(registry_.cache(), kind, call->ns, "", *query)) {
    DeleteOptions one = *options;
    one.uid_precondition = object->uid();
    Result<ObjectPtr> deleted =
        co_await registry_.Delete(kind, object->ns(), object->name(), one, call->context(), nullptr);
    if (deleted.ok()) {
      page.objects.push_back(*deleted);
    } else if (deleted.status().reason() != Reason::kNotFound && deleted.status().reason() != Reason::kConflict) {
      co_return RespondStatus(*call->exchange, deleted.status());
    }
  }
  page.revision = registry_.cache().revision();
  RespondList(*call, page, true, registry_.clock().Now());
}

}  // namespace wherry
