#include "api/rest/list.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr size_t kMaxSnapshots = 64;
constexpr Duration kSnapshotLife = std::chrono::minutes(5);

Status ExpiredToken() {
  return Status(Reason::kExpired,
                "The provided continue parameter is too old to display a consistent list result. You must start a new "
                "list without "
                "the continue parameter.");
}

}  // namespace

Status CheckMinimumRevision(const std::string& asked, uint64_t current) {
  uint64_t revision = 0;
  std::from_chars(asked.data(), asked.data() + asked.size(), revision);
  if (revision <= current) return {};
  StatusDetails details;
  details.retry_after_seconds = 1;
  details.causes.push_back({"ResourceVersionTooLarge", "Too large resource version", ""});
  return Status(Reason::kTimeout,
                "Timeout: Too large resource version: " + asked + ", current: " + std::to_string(current),
                std::move(details));
}

std::vector<ObjectPtr> Matching(const WatchCache& cache, const Kind& kind, const std::string& ns,
                                const std::string& name, const ListQuery& query) {
  const std::string& resource = kind.storage ? kind.storage->resource : kind.resource;
  std::vector<ObjectPtr> out;
  const std::string exact = name.empty() ? query.fields.ExactValue("metadata.name") : name;
  if (!exact.empty() && (!ns.empty() || !kind.namespaced)) {
    ObjectPtr object = cache.Get(resource, ns, exact);
    if (object && Selects(kind, query, name, *object)) out.push_back(std::move(object));
    return out;
  }
  const std::string node = resource == resources::kPods ? query.fields.ExactValue("spec.nodeName") : "";
  if (!node.empty()) {
    for (ObjectPtr& object : cache.ByIndex(kIndexNodeName, node)) {
      if ((ns.empty() || object->ns() == ns) && Selects(kind, query, name, *object)) out.push_back(std::move(object));
    }
    return out;
  }
  cache.ForEach(resource, ns, [&](const ObjectPtr& object) {
    if (Selects(kind, query, name, *object)) out.push_back(object);
    return true;
  });
  return out;
}

Result<ListPages::Page> ListPages::Read(const Kind& kind, const std::string& ns, const ListQuery& query) {
  if (!query.continue_token.empty()) return Continue(kind, ns, query);
  WatchCache& cache = registry_.cache();
  Status status = CheckMinimumRevision(query.resource_version, cache.revision());
  if (!status.ok()) return status;
  if (query.resource_version_match == "Exact" && query.resource_version != std::to_string(cache.revision())) {
    return Status(Reason::kExpired, "The provided exact resource version " + query.resource_version +
                                        " is no longer kept as a whole; the current one is " +
                                        std::to_string(cache.revision()));
  }
  Snapshot snapshot;
  snapshot.revision = cache.revision();
  auto objects = std::make_shared<std::vector<ObjectPtr>>(Matching(cache, kind, ns, "", query));
  snapshot.objects = objects;
  if (query.limit == 0 || objects->size() <= static_cast<size_t>(query.limit)) {
    Page page;
    page.objects = std::move(*objects);
    page.revision = snapshot.revision;
    return page;
  }
  snapshot.id = registry_.RandomSuffix(16);
  snapshot.resource = kind.resource;
  snapshot.ns = ns;
  snapshot.made = registry_.clock().Monotonic();
  snapshots_.push_back(snapshot);
  while (snapshots_.size() > kMaxSnapshots || snapshot.made - snapshots_.front().made > kSnapshotLife)
    snapshots_.pop_front();
  return Cut(snapshot, 0, query.limit);
}

// A token is "<snapshot id>.<offset>".
Result<ListPages::Page> ListPages::Continue(const Kind& kind, const std::string& ns, const ListQuery& query) {
  const std::string& token = query.continue_token;
  const size_t dot = token.find('.');
  size_t offset = 0;
  if (dot == std::string::npos ||
      std::from_chars(token.data() + dot + 1, token.data() + token.size(), offset).ptr != token.data() + token.size()) {
    return Status::BadRequest("continue key is not valid: " + token);
  }
  const std::string id = token.substr(0, dot);
  const Duration now = registry_.clock().Monotonic();
  for (const Snapshot& snapshot : snapshots_) {
    if (snapshot.id != id) continue;
    if (snapshot.resource != kind.resource || snapshot.ns != ns || offset > snapshot.objects->size()) {
      return Status::BadRequest("continue key is not valid: " + token);
    }
    if (now - snapshot.made > kSnapshotLife) return ExpiredToken();
    return Cut(snapshot, offset, query.limit);
  }
  return ExpiredToken();
}

ListPages::Page ListPages::Cut(const Snapshot& snapshot, size_t offset, int64_t limit) {
  Page page;
  page.revision = snapshot.revision;
  const size_t size = snapshot.objects->size();
  const size_t end = limit == 0 ? size : std::min(size, offset + static_cast<size_t>(limit));
  page.objects.assign(snapshot.objects->begin() + static_cast<ptrdiff_t>(offset),
                      snapshot.objects->begin() + static_cast<ptrdiff_t>(end));
  if (end < size) {
    page.next = snapshot.id + "." + std::to_string(end);
    page.remaining = static_cast<int64_t>(size - end);
  }
  return page;
}

void RespondList(Call& call, const ListPages::Page& page, bool selective, Time now) {
  const Kind& kind = *call.kind;
  Json metadata = {{"resourceVersion", std::to_string(page.revision)}};
  if (!page.next.empty()) {
    metadata["continue"] = page.next;
    if (!selective) metadata["remainingItemCount"] = page.remaining;
  }
  http::Response response;
  if (call.form == AnswerForm::kTable) {
    auto include = ReadIncludeObject(call.request());
    if (!include.ok()) return RespondStatus(*call.exchange, include.status());
    Json rows = Json::array();
    for (const ObjectPtr& object : page.objects)
      rows.push_back(TableRow(kind, DocumentOf(kind, *object), *include, now));
    return RespondJson(*call.exchange, {{"kind", "Table"},
                                        {"apiVersion", "meta.k8s.io/v1"},
                                        {"metadata", std::move(metadata)},
                                        {"columnDefinitions", TableColumns(kind)},
                                        {"rows", std::move(rows)}});
  }
  if (call.form == AnswerForm::kMetadata) {
    Json items = Json::array();
    for (const ObjectPtr& object : page.objects) items.push_back(PartialMetadata(*object->json()));
    return RespondJson(*call.exchange, {{"kind", "PartialObjectMetadataList"},
                                        {"apiVersion", "meta.k8s.io/v1"},
                                        {"metadata", std::move(metadata)},
                                        {"items", std::move(items)}});
  }
  // The stored bytes, joined.
  response.buffers.reserve(page.objects.size() * 2 + 2);
  response.body = "{\"kind\":\"" + kind.list_kind + "\",\"apiVersion\":\"" + kind.gvk.api_version() +
                  "\",\"metadata\":" + metadata.dump() + ",\"items\":[";
  bool first = true;
  for (const ObjectPtr& object : page.objects) {
    if (!first) response.buffers.push_back(http::SharedBuffer::Static(","));
    first = false;
    if (kind.storage) {
      response.buffers.emplace_back(DocumentOf(kind, *object).dump(-1, ' ', false, Json::error_handler_t::replace));
    } else {
      response.buffers.emplace_back(object->bytes(), object);
    }
  }
  response.buffers.push_back(http::SharedBuffer::Static("]}"));
  call.exchange->Respond(std::move(response));
}

}  // namespace wherry
