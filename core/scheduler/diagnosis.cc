#include "core/scheduler/diagnosis.h"

#include <algorithm>

namespace wherry {

void Diagnosis::Add(const Refusal& refusal, FilterMask filter) {
  refused_by_ |= filter;
  for (const std::string_view reason : refusal.reasons()) Count(reason, 1);
}

void Diagnosis::AddUnseen(size_t count, std::string_view filter_name, FilterMask filter) {
  refused_by_ |= filter;
  if (count > 0) Count("node(s) didn't satisfy plugin(s) [" + std::string(filter_name) + "]", count);
}

void Diagnosis::AddAll(size_t count, std::string_view reason) {
  if (count > 0) Count(reason, count);
}

void Diagnosis::SetWhole(std::string text, FilterMask filter) {
  refused_by_ |= filter;
  whole_ = std::move(text);
}

void Diagnosis::Count(std::string_view reason, size_t count) {
  for (auto& [known, number] : reasons_) {
    if (known == reason) {
      number += count;
      return;
    }
  }
  reasons_.emplace_back(reason, count);
}

std::string Diagnosis::Message() const {
  if (nodes_ == 0) return "no nodes available to schedule pods";
  std::string message = "0/" + std::to_string(nodes_) + " nodes are available:";
  const std::string end = afterwards_.empty() ? "." : ". " + afterwards_;
  if (!whole_.empty()) return message + " " + whole_ + end;
  std::vector<std::string> parts;
  for (const auto& [reason, count] : reasons_) parts.push_back(std::to_string(count) + " " + reason);
  std::sort(parts.begin(), parts.end());
  for (size_t i = 0; i < parts.size(); ++i) message += (i == 0 ? " " : ", ") + parts[i];
  return message + end;
}

}  // namespace wherry
