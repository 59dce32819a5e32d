#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/scheduler/symbols.h"
#include "store/json.h"

namespace wherry {

// One requirement on a node's labels or, in matchFields, on its name.
struct NodeRequirement {
  enum class Op : uint8_t { kIn, kNotIn, kExists, kDoesNotExist, kGreater, kLess };
  std::string key;
  Op op = Op::kIn;
  std::vector<std::string> values;
  bool operator==(const NodeRequirement&) const = default;
};

// A NodeSelectorTerm: all of its requirements must hold. An empty term matches nothing.
struct NodeTerm {
  std::vector<NodeRequirement> expressions;
  std::vector<NodeRequirement> fields;
  bool operator==(const NodeTerm&) const = default;
};

struct PreferredNodeTerm {
  int64_t weight = 0;
  NodeTerm term;
  bool operator==(const PreferredNodeTerm&) const = default;
};

// spec.nodeSelector and the required node affinity: the node must satisfy both.
struct NodeSelection {
  std::vector<std::pair<std::string, std::string>> labels;  // nodeSelector
  bool has_terms = false;                                   // a required affinity is given, even if it has no terms
  std::vector<NodeTerm> terms;                              // one of them must match
  bool operator==(const NodeSelection&) const = default;
  bool everything() const { return labels.empty() && !has_terms; }
};

NodeSelection ReadNodeSelection(const Json& pod_spec);
std::vector<PreferredNodeTerm> ReadPreferredNodeTerms(const Json& pod_spec);

struct NodeInfo;

// A term in the symbols of one snapshot: matching compares numbers. Valid until the snapshot changes.
class CompiledNodeTerm {
 public:
  CompiledNodeTerm(const NodeTerm& term, const Symbols& symbols);
  bool Matches(const NodeInfo& node) const;
  // The names that matchFields leaves: true when it ties the term to some nodes.
  static bool TiedTo(const NodeTerm& term, std::vector<std::string>& names);

 private:
  struct Requirement {
    NodeRequirement::Op op;
    bool is_name;
    Symbols::Symbol key;
    std::vector<Symbols::Symbol> values;  // without those that no node has
    int64_t bound = 0;                    // kGreater, kLess
    bool valid = true;                    // the bound is a number
  };
  static Requirement Compile(const NodeRequirement& requirement, bool is_name, const Symbols& symbols);
  bool Holds(const Requirement& requirement, const NodeInfo& node) const;

  const Symbols* symbols_;
  std::vector<Requirement> requirements_;
};

// A NodeSelection in the symbols of one snapshot.
class CompiledNodeSelection {
 public:
  CompiledNodeSelection(const NodeSelection& selection, const Symbols& symbols);
  bool Matches(const NodeInfo& node) const;

 private:
  std::vector<std::pair<Symbols::Symbol, Symbols::Symbol>> labels_;  // nodeSelector
  bool impossible_ = false;                                          // it speaks of labels that no node has
  bool has_terms_ = false;
  std::vector<CompiledNodeTerm> terms_;
};

}  // namespace wherry
