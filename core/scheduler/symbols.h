#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace wherry {

// Small numbers for the label keys and values of nodes, so that matching them compares integers. Only nodes intern; a
// pod's selector looks its words up, and a word that no node has matches nothing. Words are never forgotten: there are
// as many as nodes ever had labels. Control thread only.
class Symbols {
 public:
  using Symbol = uint32_t;
  static constexpr Symbol kUnknown = 0;

  Symbol Intern(std::string_view text) {
    auto it = ids_.find(text);
    if (it != ids_.end()) return it->second;
    const auto symbol = static_cast<Symbol>(texts_.size() + 1);
    it = ids_.emplace(std::string(text), symbol).first;
    texts_.push_back(&it->first);
    return symbol;
  }
  Symbol Find(std::string_view text) const {
    auto it = ids_.find(text);
    return it == ids_.end() ? kUnknown : it->second;
  }
  // REQUIRES: `symbol` is not kUnknown.
  const std::string& text(Symbol symbol) const { return *texts_[symbol - 1]; }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::unordered_map<std::string, Symbol, Hash, std::equal_to<>> ids_;
  std::vector<const std::string*> texts_;
};

}  // namespace wherry
