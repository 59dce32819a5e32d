#pragma once

#include <memory>

#include "core/kinds/selector.h"

namespace wherry {

// A set of labels that all objects with equal labels hold together: thousands of pods have those of one template.
// Immutable. Making one is for the control thread; copies may die anywhere.
class SharedLabels {
 public:
  SharedLabels() = default;
  // REQUIRES: sorted by key, as Labels are.
  explicit SharedLabels(Labels labels);

  const Labels& operator*() const;
  const Labels* operator->() const { return &**this; }
  // Of sets made on one thread: no look into them.
  bool operator==(const SharedLabels&) const = default;

 private:
  std::shared_ptr<const Labels> labels_;  // null = none
};

// Whether a selector matches, asked of many objects in a row of which most have the labels of the one before. For one
// sweep: the labels asked about outlive it.
class SweepMatcher {
 public:
  explicit SweepMatcher(const LabelSelector& selector) : selector_(selector) {}
  bool operator()(const Labels& labels) {
    if (&labels != last_) {
      last_ = &labels;
      matches_ = selector_.Matches(labels);
    }
    return matches_;
  }

 private:
  const LabelSelector& selector_;
  const Labels* last_ = nullptr;
  bool matches_ = false;
};

}  // namespace wherry
