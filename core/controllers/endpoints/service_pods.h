#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/controllers/endpoints/endpoints_plan.h"
#include "core/runtime/controller.h"

namespace wherry {

// Which pods a Service selects and which Services an event concerns: what the Endpoints and the EndpointSlice
// controllers have in common. Control thread only.
class ServicePods {
 public:
  explicit ServicePods(RuntimeContext context) : context_(std::move(context)) {}

  void OnService(const Event& event, WorkQueue& queue);
  // Wakes Services that select the pod as it is or as it was, if anything they say of it changed.
  void OnPod(const Event& event, WorkQueue& queue);
  // Wakes Services of pods on a node whose zone changed; nothing else about nodes matters.
  void OnNode(const Event& event, WorkQueue& queue);

  // The pods that a Service selects, in name order; `objects` keeps alive what the views point into.
  std::vector<EndpointPod> Select(const Object& service, std::vector<ObjectPtr>* objects);

 private:
  // Services that select many pods are looked at a few times a second, however many of them report.
  Duration Patience(const std::string& key) const;
  void WakeSelecting(const std::string& ns, const Labels& labels, const Labels* before, WorkQueue& queue) const;

  RuntimeContext context_;
  std::map<std::string, std::map<std::string, LabelSelector>> selectors_;  // namespace → service → selector
  std::unordered_map<std::string, size_t> pods_;                           // by key: how many were selected last
};

}  // namespace wherry
