#include "core/runtime/event_recorder.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/kinds/resources.h"
#include "core/runtime/object_view.h"

namespace wherry {
namespace {

constexpr size_t kMaxSeries = 4096, kSweepEvery = 1024;
constexpr double kBurst = 25;
constexpr double kTokensPerSecond = 1.0 / 300;
constexpr size_t kMaxMessage = 1024;

Json ReferenceTo(const Object& about, std::string field_path) {
  const TypeOfObject type = TypeOf(about);
  Json reference = {{"apiVersion", type.api_version},
                    {"kind", type.kind},
                    {"name", about.name()},
                    {"uid", about.uid()},
                    {"resourceVersion", std::to_string(about.revision())}};
  if (!about.ns().empty()) reference["namespace"] = about.ns();
  if (!field_path.empty()) reference["fieldPath"] = std::move(field_path);
  return reference;
}

}  // namespace

EventRecorder::EventRecorder(RuntimeContext context, std::string component, std::string host)
    : context_(std::move(context)), component_(std::move(component)), host_(std::move(host)) {
  // Recorders that tell of one object at one moment must not meet in a name.
  sequence_ = std::hash<std::string>()(component_ + "/" + host_);
}

void EventRecorder::Normal(const Object& about, std::string reason, std::string message, std::string field_path) {
  Record(ReferenceTo(about, std::move(field_path)), "Normal", std::move(reason), std::move(message));
}

void EventRecorder::Warning(const Object& about, std::string reason, std::string message, std::string field_path) {
  Record(ReferenceTo(about, std::move(field_path)), "Warning", std::move(reason), std::move(message));
}

bool EventRecorder::Allow(const std::string& about) {
  const Duration now = context_.clock.Monotonic();
  auto [it, fresh] = buckets_.try_emplace(about, Bucket{kBurst, now});
  Bucket& bucket = it->second;
  const double elapsed = std::chrono::duration<double>(now - bucket.filled).count();
  bucket.tokens = std::min(kBurst, bucket.tokens + elapsed * kTokensPerSecond);
  bucket.filled = now;
  if (fresh && buckets_.size() > kMaxSeries) {
    // Full buckets say nothing that a fresh one would not. They are looked for now and then only: thousands of objects
    // may each have their first event within a second.
    if (buckets_.size() % kSweepEvery == 0) {
      std::erase_if(buckets_, [&](const auto& entry) { return entry.second.tokens >= kBurst && entry.first != about; });
    }
    if (buckets_.size() > 2 * kMaxSeries)
      buckets_.erase(buckets_.begin()->first == about ? std::next(buckets_.begin()) : buckets_.begin());
    return Allow(about);
  }
  if (bucket.tokens < 1) return false;
  bucket.tokens -= 1;
  return true;
}

void EventRecorder::NormalAt(Time when, const Object& about, std::string reason, std::string message) {
  Record(when, ReferenceTo(about, {}), "Normal", std::move(reason), std::move(message));
}

void EventRecorder::Record(Json involved, std::string type, std::string reason, std::string message) {
  Record(context_.clock.Now(), std::move(involved), std::move(type), std::move(reason), std::move(message));
}

void EventRecorder::Record(Time when, Json involved, std::string type, std::string reason, std::string message) {
  if (message.size() > kMaxMessage) message.resize(kMaxMessage);
  const std::string about = StringAt(involved, "kind") + "/" + StringAt(involved, "namespace") + "/" +
                            StringAt(involved, "name") + "/" + StringAt(involved, "uid");
  if (!Allow(about)) return;
  const std::string key = about + "|" + StringAt(involved, "fieldPath") + "|" + type + "|" + reason + "|" + message;
  const std::string now = FormatTime(when);

  auto found = series_.find(key);
  if (found != series_.end()) {
    Series& series = found->second;
    recency_.splice(recency_.begin(), recency_, series.recency);
    ++series.count;
    if (series.writing) {
      ++series.unwritten;
      return;
    }
  } else {
    const std::string ns = StringAt(involved, "namespace", "default");
    // Unique per server run: the name carries the moment and a sequence number, as client-go's does.
    char suffix[40];
    std::snprintf(suffix, sizeof suffix, ".%llx%04llx",
                  static_cast<unsigned long long>(when.time_since_epoch().count()),
                  static_cast<unsigned long long>(++sequence_ & 0xffff));
    recency_.push_front(key);
    Series series;
    series.ns = ns;
    series.name = StringAt(involved, "name") + suffix;
    series.recency = recency_.begin();
    found = series_.emplace(key, std::move(series)).first;
    while (series_.size() > kMaxSeries && recency_.back() != key) {
      series_.erase(recency_.back());
      recency_.pop_back();
    }
  }
  found->second.writing = true;
  Json source = {{"component", component_}};
  if (!host_.empty()) source["host"] = host_;
  Json event = {{"metadata", {{"name", found->second.name}, {"namespace", found->second.ns}}},
                {"involvedObject", std::move(involved)},
                {"reason", std::move(reason)},
                {"message", std::move(message)},
                {"type", std::move(type)},
                {"source", std::move(source)},
                {"reportingComponent", component_},
                {"reportingInstance", host_},
                {"firstTimestamp", now},
                {"lastTimestamp", now},
                {"count", 1}};
  Spawn(context_.executor, "event recorder", Write(key, std::move(event)));
}

Task<> EventRecorder::Write(std::string key, Json event) {
  for (;;) {
    auto it = series_.find(key);
    if (it == series_.end()) co_return;
    const std::string ns = it->second.ns;
    const std::string name = it->second.name;
    const int count = it->second.count;
    it->second.unwritten = 0;
    Status status;
    if (count > 1) {
      Json patch = {{"count", count}, {"lastTimestamp", FormatTime(context_.clock.Now())}};
      auto patched = co_await context_.client.Patch(std::string(resources::kEvents), ns, name, PatchType::kMerge,
                                                    std::move(patch));
      status = patched.status();
    }
    if (count == 1 || status.reason() == Reason::kNotFound) {
      Json fresh = event;
      fresh["count"] = count;
      auto created = co_await context_.client.Create(std::string(resources::kEvents), ns, std::move(fresh));
      status = created.status();
    }
    // A namespace that is going away takes its events with it.
    if (!status.ok() && status.reason() != Reason::kForbidden && status.reason() != Reason::kNotFound) {
      spdlog::warn("event not recorded about={}/{} reason={} error=\"{}\"", ns, name, event.value("reason", ""),
                   status.message());
    }
    it = series_.find(key);
    if (it == series_.end()) co_return;
    if (it->second.unwritten == 0) {
      it->second.writing = false;
      co_return;
    }
  }
}

}  // namespace wherry
