#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/scheduler/plugin.h"
#include "core/scheduler/queue.h"

namespace wherry {

// Why no node took a pod: how many nodes gave each reason, and the sentence users know.
class Diagnosis {
 public:
  explicit Diagnosis(size_t nodes = 0) : nodes_(nodes) {}

  // A node's refusal by the filter with this bit.
  void Add(const Refusal& refusal, FilterMask filter);
  // `count` nodes that the filter ruled out without a look at each.
  void AddUnseen(size_t count, std::string_view filter_name, FilterMask filter);
  // `count` nodes for one reason.
  void AddAll(size_t count, std::string_view reason);
  // No node can pass; the text stands for all of them.
  void SetWhole(std::string text, FilterMask filter);

  // What was tried after that, and which filters kept it from helping.
  void SetAfterwards(std::string text, FilterMask filters) {
    afterwards_ = std::move(text);
    refused_by_ |= filters;
  }

  FilterMask refused_by() const { return refused_by_; }
  // "0/3 nodes are available: 1 node(s) had untolerated taint {k: v}, 2 Insufficient cpu." The reasons sorted as
  // strings, count included, as upstream's FitError does.
  std::string Message() const;

 private:
  void Count(std::string_view reason, size_t count);

  size_t nodes_;
  FilterMask refused_by_ = 0;
  std::vector<std::pair<std::string, size_t>> reasons_;
  std::string whole_, afterwards_;
};

}  // namespace wherry
