#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "store/json.h"
#include "store/status.h"

namespace wherry {

using Labels = std::vector<std::pair<std::string, std::string>>;  // sorted by key

// A label selector: from the query grammar (`a=b,c in (d,e),!f,g>5`) or from a metav1.LabelSelector or a plain map.
// Immutable.
class LabelSelector {
 public:
  LabelSelector() = default;  // matches everything

  // kBadRequest: `unable to parse requirement: …`.
  static Result<LabelSelector> Parse(std::string_view text);
  // From {matchLabels, matchExpressions}; null or absent matches nothing, {} everything. kInvalid on a bad operator.
  static Result<LabelSelector> FromJson(const Json& label_selector);
  // From a plain map (spec.nodeSelector, Service.spec.selector).
  static LabelSelector FromMap(const Json& labels);
  static LabelSelector Nothing();

  bool Matches(const Json& labels) const;  // a JSON object of strings, or null
  bool Matches(const Labels& labels) const;
  bool empty() const { return requirements_.empty() && !nothing_; }  // selects everything
  std::string ToString() const;                                      // canonical text, as status.selector of a Scale

  struct Requirement {
    enum class Op : uint8_t { kIn, kNotIn, kExists, kDoesNotExist, kGreater, kLess };
    std::string key;
    Op op;
    std::vector<std::string> values;  // sorted
  };
  const std::vector<Requirement>& requirements() const { return requirements_; }

 private:
  template <typename Lookup>
  bool MatchesWith(const Lookup& lookup) const;
  std::vector<Requirement> requirements_;
  bool nothing_ = false;
};

// A field selector: `metadata.name=a,status.phase!=Failed`. Backslash escapes , = and itself.
class FieldSelector {
 public:
  struct Requirement {
    std::string field;
    bool equal;
    std::string value;
  };
  static Result<FieldSelector> Parse(std::string_view text);
  const std::vector<Requirement>& requirements() const { return requirements_; }
  bool empty() const { return requirements_.empty(); }
  // `value_of` gives a field's value in the object, "" when absent.
  bool Matches(const std::function<std::string(const std::string& field)>& value_of) const;
  // The value that metadata.name (or another field) must equal, or "".
  std::string ExactValue(std::string_view field) const;

 private:
  std::vector<Requirement> requirements_;
};

}  // namespace wherry
