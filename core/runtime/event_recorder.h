#pragma once

#include <list>
#include <string>
#include <unordered_map>

#include "core/runtime/controller.h"

namespace wherry {

// Writes Events (core/v1) about objects, the way client-go's recorder does: repeats of the same event raise `count` and
// `lastTimestamp` of the first, and a noisy source is rate-limited per object (burst 25, then one each 5 minutes), so
// that no fault floods the store. Fire and forget; never waits. Control thread only.
class EventRecorder {
 public:
  // `component` is source.component, e.g. "daemonset-controller"; `host` source.host ("" = none).
  EventRecorder(RuntimeContext context, std::string component, std::string host = {});

  void Normal(const Object& about, std::string reason, std::string message, std::string field_path = {});
  void Warning(const Object& about, std::string reason, std::string message, std::string field_path = {});
  // The same, of something decided at `when`, a little ago: what followed from it may have been told already, and
  // events are shown in the order of their moments.
  void NormalAt(Time when, const Object& about, std::string reason, std::string message);
  // About an object given by reference: {apiVersion, kind, namespace, name, uid, resourceVersion, fieldPath}.
  void Record(Json involved_object, std::string type, std::string reason, std::string message);

 private:
  struct Series {
    std::string ns, name;
    int count = 1;
    bool writing = false;  // a write is under way; further repeats wait for it
    int unwritten = 0;
    std::list<std::string>::iterator recency;
  };
  struct Bucket {
    double tokens;
    Duration filled;
  };
  void Record(Time when, Json involved, std::string type, std::string reason, std::string message);
  Task<> Write(std::string key, Json event);
  bool Allow(const std::string& about);

  RuntimeContext context_;
  const std::string component_, host_;
  std::unordered_map<std::string, Series> series_;
  std::list<std::string> recency_;  // of series_, newest first
  std::unordered_map<std::string, Bucket> buckets_;
  uint64_t sequence_ = 0;
};

}  // namespace wherry
