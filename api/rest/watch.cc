#include "api/rest/watch.h"

#include <asio/any_io_executor.hpp>
#include <charconv>
#include <nlohmann/json.hpp>

#include "api/http/deadline.h"
#include "api/http/wakeup.h"
#include "api/rest/list.h"
#include "core/runtime/await.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

// A watcher that is this many events behind is closed; it resumes from the last revision it saw.
constexpr size_t kMaxBehind = 16 * 1024;
constexpr size_t kBatchBytes = 64 * 1024;
// Often enough for clients that take half a minute of silence for a dead connection.
constexpr Duration kBookmarkEvery = std::chrono::seconds(25);

std::shared_ptr<const std::string> Line(const Json& frame) {
  return std::make_shared<const std::string>(frame.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

// One watch connection: what it selects, how it writes, where it stands.
class Watcher {
 public:
  Watcher(std::shared_ptr<Call> call, ListQuery query, Registry& registry, asio::any_io_executor executor)
      : call_(std::move(call)),
        query_(std::move(query)),
        registry_(registry),
        kind_(*call_->kind),
        resource_(kind_.storage ? kind_.storage->resource : kind_.resource),
        wakeup_(std::move(executor)) {}

  Task<> Run();

 private:
  bool Matches(const Object& object) const {
    return (call_->ns.empty() || object.ns() == call_->ns) && Selects(kind_, query_, call_->name, object);
  }
  bool unfiltered() const {
    return call_->ns.empty() && call_->name.empty() && query_.labels.empty() && query_.fields.empty();
  }
  http::SharedBuffer FrameOf(EventType type, const Object& object);
  void Add(const Event& event, std::vector<http::SharedBuffer>& out, size_t& bytes);
  http::SharedBuffer Bookmark(bool initial_events_end);
  http::SharedBuffer Expired() const;
  Task<Status> SendInitial();
  Task<Status> Flush(std::vector<http::SharedBuffer>& out, size_t& bytes);
  Task<> Stream(Duration end);

  const std::shared_ptr<Call> call_;
  const ListQuery query_;
  Registry& registry_;
  const Kind& kind_;
  const std::string resource_;
  http::Wakeup wakeup_;
  http::ResponseStream* stream_ = nullptr;
  std::shared_ptr<Subscription> subscription_;
  uint64_t position_ = 0;  // the revision up to which everything was sent
  bool columns_sent_ = false;
  IncludeObject include_ = IncludeObject::kMetadata;
};

http::SharedBuffer Watcher::FrameOf(EventType type, const Object& object) {
  Json shown;
  switch (call_->form) {
    case AnswerForm::kObject:
      shown = DocumentOf(kind_, object);
      break;
    case AnswerForm::kMetadata:
      shown = PartialMetadata(*object.json());
      break;
    case AnswerForm::kTable:
      shown = {{"kind", "Table"},
               {"apiVersion", "meta.k8s.io/v1"},
               {"metadata", {{"resourceVersion", std::to_string(object.revision())}}},
               {"columnDefinitions", columns_sent_ ? Json() : TableColumns(kind_)},
               {"rows", Json::array({TableRow(kind_, DocumentOf(kind_, object), include_, registry_.clock().Now())})}};
      columns_sent_ = true;
      break;
  }
  return http::SharedBuffer(Line({{"type", std::string(ToString(type))}, {"object", std::move(shown)}}));
}

void Watcher::Add(const Event& event, std::vector<http::SharedBuffer>& out, size_t& bytes) {
  if (event.revision() <= position_) return;
  position_ = event.revision();
  EventType type = event.type;
  if (!unfiltered()) {
    const bool now = type != EventType::kDeleted && Matches(*event.object);
    const bool before =
        event.previous ? Matches(*event.previous) : type == EventType::kDeleted && Matches(*event.object);
    if (!now && !before) return;
    type = now ? (before ? EventType::kModified : EventType::kAdded) : EventType::kDeleted;
  }
  const bool left = type == EventType::kDeleted && event.type != EventType::kDeleted;
  if (left && event.previous) {
    // It left the selection: the last state that was in it, with the revision at which it left.
    Json last = *event.previous->json();
    last["metadata"]["resourceVersion"] = std::to_string(event.revision());
    const Object shown(event.previous->key(), event.previous->uid(), event.revision(), last.dump());
    out.push_back(FrameOf(type, shown));
  } else if (call_->form == AnswerForm::kObject && !kind_.storage) {
    out.emplace_back(event.Frame(type));
  } else {
    out.push_back(FrameOf(type, *event.object));
  }
  bytes += out.back().data.size();
}

http::SharedBuffer Watcher::Bookmark(bool initial_events_end) {
  Json metadata = {{"resourceVersion", std::to_string(position_)}, {"creationTimestamp", nullptr}};
  if (initial_events_end) metadata["annotations"] = {{"k8s.io/initial-events-end", "true"}};
  Json object = {{"kind", kind_.gvk.kind}, {"apiVersion", kind_.gvk.api_version()}, {"metadata", metadata}};
  if (call_->form == AnswerForm::kMetadata) {
    object["kind"] = "PartialObjectMetadata";
    object["apiVersion"] = "meta.k8s.io/v1";
  } else if (call_->form == AnswerForm::kTable) {
    Json row = {
        {"cells", Json::array()},
        {"object", {{"kind", "PartialObjectMetadata"}, {"apiVersion", "meta.k8s.io/v1"}, {"metadata", metadata}}}};
    for (size_t i = 0; i < kind_.columns.size(); ++i) row["cells"].push_back(nullptr);
    object = {{"kind", "Table"},
              {"apiVersion", "meta.k8s.io/v1"},
              {"metadata", {{"resourceVersion", std::to_string(position_)}}},
              {"columnDefinitions", columns_sent_ ? Json() : TableColumns(kind_)},
              {"rows", Json::array({std::move(row)})}};
    columns_sent_ = true;
  }
  return http::SharedBuffer(Line({{"type", "BOOKMARK"}, {"object", std::move(object)}}));
}

http::SharedBuffer Watcher::Expired() const {
  const Status status(Reason::kExpired, "too old resource version: " + query_.resource_version + " (" +
                                            std::to_string(registry_.store().compacted_revision()) + ")");
  return http::SharedBuffer(Line({{"type", "ERROR"}, {"object", StatusDocument(status)}}));
}

Task<Status> Watcher::Flush(std::vector<http::SharedBuffer>& out, size_t& bytes) {
  bytes = 0;
  if (out.empty()) co_return Status();
  std::vector<http::SharedBuffer> batch;
  batch.swap(out);
  Status status = co_await stream_->Write(std::move(batch));
  co_return status;
}

Task<Status> Watcher::SendInitial() {
  const WatchCache& cache = registry_.cache();
  std::vector<http::SharedBuffer> out;
  size_t bytes = 0;
  uint64_t from = 0;
  const std::string& text = query_.resource_version;
  std::from_chars(text.data(), text.data() + text.size(), from);

  const bool all = query_.send_initial_events.value_or(from == 0);
  if (all) {
    position_ = cache.revision();
    for (const ObjectPtr& object : Matching(cache, kind_, call_->ns, call_->name, query_)) {
      if (call_->form == AnswerForm::kObject && !kind_.storage) {
        out.push_back(http::SharedBuffer::Static("{\"type\":\"ADDED\",\"object\":"));
        out.emplace_back(object->bytes(), object);
        out.push_back(http::SharedBuffer::Static("}\n"));
        bytes += object->bytes().size() + 32;
      } else {
        out.push_back(FrameOf(EventType::kAdded, *object));
        bytes += out.back().data.size();
      }
      if (bytes < kBatchBytes) continue;
      Status status = co_await Flush(out, bytes);
      if (!status.ok()) co_return status;
    }
    if (query_.send_initial_events && query_.allow_bookmarks) out.push_back(Bookmark(true));
    Status status = co_await Flush(out, bytes);
    co_return status;
  }

  position_ = from == 0 ? cache.revision() : from;
  std::vector<EventPtr> events;
  if (!cache.EventsSince(resource_, position_, events)) {
    const uint64_t upto = cache.ring_floor(resource_);
    events.clear();
    // Taken before the wait, which the ring may not outlast; what comes later waits in the subscription.
    std::vector<EventPtr> recent;
    cache.EventsSince(resource_, upto, recent);
    auto read = [this, upto](std::function<void(Result<std::vector<EventPtr>>)> done) {
      registry_.store().ReadHistory(resource_, position_, upto, std::move(done));
    };
    Result<std::vector<EventPtr>> history = co_await AwaitCallback<Result<std::vector<EventPtr>>>(std::move(read));
    if (!history.ok()) {
      out.push_back(Expired());
      Status sent = co_await Flush(out, bytes);
      if (!sent.ok()) co_return sent;
      co_return history.status();
    }
    events = std::move(*history);
    events.insert(events.end(), recent.begin(), recent.end());
  }
  for (const EventPtr& event : events) {
    Add(*event, out, bytes);
    if (bytes < kBatchBytes) continue;
    Status status = co_await Flush(out, bytes);
    if (!status.ok()) co_return status;
  }
  Status status = co_await Flush(out, bytes);
  co_return status;
}

Task<> Watcher::Stream(Duration end) {
  Clock& clock = registry_.clock();
  Duration bookmark_at = clock.Monotonic() + kBookmarkEvery;
  http::Deadline alarm(clock, [this] { wakeup_.Notify(); });
  std::vector<http::SharedBuffer> out;
  size_t bytes = 0;
  while (!call_->exchange->closed() && !stream_->closed()) {
    while (bytes < kBatchBytes) {
      const EventPtr event = subscription_->Pop();
      if (!event) break;
      Add(*event, out, bytes);
    }
    const Duration now = clock.Monotonic();
    const bool over = now >= end || (subscription_->closed() && subscription_->empty());
    if (query_.allow_bookmarks && (now >= bookmark_at || now >= end)) {
      // Nothing of this resource that is committed is unsent once the queue is empty.
      if (subscription_->empty() && !subscription_->closed())
        position_ = std::max(position_, registry_.cache().revision());
      out.push_back(Bookmark(false));
      bookmark_at = now + kBookmarkEvery;
    }
    if (!out.empty()) {
      Status status = co_await Flush(out, bytes);
      if (!status.ok()) co_return;
      if (!over) continue;
    }
    if (over) co_return;
    const Duration next = query_.allow_bookmarks ? std::min(end, bookmark_at) : end;
    alarm.Set(next - now);
    co_await wakeup_.Wait();
  }
}

Task<> Watcher::Run() {
  Status status = CheckFields(kind_, query_.fields);
  if (!status.ok()) co_return RespondStatus(*call_->exchange, status);
  if (call_->form == AnswerForm::kTable) {
    auto include = ReadIncludeObject(call_->request());
    if (!include.ok()) co_return RespondStatus(*call_->exchange, include.status());
    include_ = *include;
  }
  // A watch-list promises a state not older than what was asked for.
  if (query_.send_initial_events.value_or(false)) {
    status = CheckMinimumRevision(query_.resource_version, registry_.cache().revision());
    if (!status.ok()) co_return RespondStatus(*call_->exchange, status);
  }
  // From here on nothing is missed: what happens while the past is being sent waits in the subscription.
  subscription_ = registry_.cache().bus().Subscribe(resource_, kMaxBehind);
  subscription_->set_wakeup([this] { wakeup_.Notify(); });

  // Watchers of one moment shall not all come back at one moment.
  const Duration fallback = std::chrono::minutes(30) + std::chrono::seconds(registry_.Random(1800));
  const Duration life = query_.timeout_seconds && *query_.timeout_seconds > 0
                            ? Duration(std::chrono::seconds(*query_.timeout_seconds))
                            : fallback;
  const Duration end = registry_.clock().Monotonic() + life;

  http::Response head;
  Result<http::ResponseStream*> started = co_await call_->exchange->StartStream(std::move(head));
  if (!started.ok()) co_return;
  stream_ = *started;
  call_->exchange->set_on_close([this] { wakeup_.Notify(); });
  status = co_await SendInitial();
  if (status.ok()) co_await Stream(end);
  call_->exchange->set_on_close(nullptr);
  subscription_->set_wakeup(nullptr);
}

}  // namespace

Task<> ServeWatch(std::shared_ptr<Call> call, ListQuery query, Registry& registry, asio::any_io_executor executor) {
  Watcher watcher(std::move(call), std::move(query), registry, std::move(executor));
  co_await watcher.Run();
}

}  // namespace wherry
