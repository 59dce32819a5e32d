#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/controllers/daemonset/node_verdict.h"
#include "core/controllers/node_view.h"
#include "core/kinds/taints.h"
#include "store/json.h"

namespace wherry {

// Where a DaemonSet's pods may run: its template's node name, node selector, required node affinity and tolerations,
// with the automatic ones. `set_object->view<DaemonPlacement>()`.
class DaemonPlacement {
 public:
  explicit DaemonPlacement(const Json& set);

  NodeVerdict Judge(const NodeView& node) const;
  // Equal for templates that place their pods alike.
  uint64_t fingerprint() const { return fingerprint_; }

 private:
  struct Requirement {
    std::string key, op;
    std::vector<std::string> values;
    bool Holds(const std::string* value) const;
  };
  struct Term {
    std::vector<Requirement> expressions, fields;
    bool Matches(const NodeView& node) const;
  };
  static std::vector<Requirement> ReadRequirements(const Json* list);

  std::string node_name_;
  std::vector<std::pair<std::string, std::string>> selector_;
  bool has_terms_ = false;
  std::vector<Term> terms_;
  std::vector<Toleration> tolerations_;
  uint64_t fingerprint_ = 0;
};

// Gives a pod spec the tolerations that every daemon pod has: node trouble shall not drive daemons away (upstream:
// "DaemonSet › Taints and tolerations").
void AddDaemonTolerations(Json& pod_spec);

// Ties a pod spec to one node: required node affinity is replaced by the node's name, preferred terms stay.
void PinToNode(Json& pod_spec, const std::string& node);

}  // namespace wherry
