#include "core/kinds/selector.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "core/kinds/field_error.h"
#include "core/kinds/names.h"

namespace wherry {
namespace {

using Requirement = LabelSelector::Requirement;
using Op = Requirement::Op;

bool ToInt(std::string_view text, int64_t* out) {
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

Status Unparsable(std::string why) { return Status::BadRequest("unable to parse requirement: " + std::move(why)); }

std::string TextOf(const FieldError& error) { return error.field + ": " + error.message; }

// "" when the requirement is well formed.
std::string CheckRequirement(const Requirement& r) {
  if (std::string why = CheckQualifiedName(r.key); !why.empty()) return TextOf(Invalid("key", r.key, why));
  if ((r.op == Op::kIn || r.op == Op::kNotIn) && r.values.empty()) {
    return TextOf(Invalid("values", Json::array(), "for 'in', 'notin' operators, values set can't be empty"));
  }
  for (size_t i = 0; i < r.values.size(); ++i) {
    const std::string path = Key(Item("values", i), r.key);
    int64_t number = 0;
    if ((r.op == Op::kGreater || r.op == Op::kLess) && !ToInt(r.values[i], &number)) {
      return TextOf(Invalid(path, r.values[i], "for 'Gt', 'Lt' operators, the value must be an integer"));
    }
    if (std::string why = CheckLabelValue(r.values[i]); !why.empty()) return TextOf(Invalid(path, r.values[i], why));
  }
  return {};
}

void Sort(std::vector<Requirement>& requirements) {
  for (Requirement& r : requirements) {
    std::sort(r.values.begin(), r.values.end());
    r.values.erase(std::unique(r.values.begin(), r.values.end()), r.values.end());
  }
  std::stable_sort(requirements.begin(), requirements.end(),
                   [](const Requirement& a, const Requirement& b) { return a.key < b.key; });
}

struct Token {
  enum Kind : uint8_t { kEnd, kWord, kComma, kOpen, kClose, kNot, kEquals, kNotEquals, kGreater, kLess };
  Kind kind;
  std::string text;
};

std::vector<Token> Tokenize(std::string_view s) {
  static constexpr std::string_view kSpecial = "=!(),><";
  static constexpr std::string_view kBlank = " \t\r\n";
  std::vector<Token> tokens;
  for (size_t i = 0; i < s.size();) {
    if (kBlank.find(s[i]) != std::string_view::npos) {
      ++i;
      continue;
    }
    const std::string_view two = s.substr(i, 2);
    if (two == "==" || two == "!=") {
      tokens.push_back({two == "==" ? Token::kEquals : Token::kNotEquals, std::string(two)});
      i += 2;
      continue;
    }
    if (kSpecial.find(s[i]) != std::string_view::npos) {
      static constexpr Token::Kind kKinds[] = {Token::kEquals, Token::kNot,     Token::kOpen, Token::kClose,
                                               Token::kComma,  Token::kGreater, Token::kLess};
      tokens.push_back({kKinds[kSpecial.find(s[i])], std::string(1, s[i])});
      ++i;
      continue;
    }
    const size_t end = std::min(s.find_first_of("=!(),>< \t\r\n", i), s.size());
    tokens.push_back({Token::kWord, std::string(s.substr(i, end - i))});
    i = end;
  }
  tokens.push_back({Token::kEnd, ""});
  return tokens;
}

// Recursive descent over the query grammar; the first error wins and stops it.
class Parser {
 public:
  explicit Parser(std::string_view text) : tokens_(Tokenize(text)) {}

  Result<std::vector<Requirement>> Run() {
    std::vector<Requirement> out;
    if (Peek().kind == Token::kEnd) return out;
    if (Peek().kind != Token::kWord && Peek().kind != Token::kNot) {
      return Status::BadRequest(Found("!, identifier, or 'end of string'"));
    }
    while (true) {
      Requirement requirement = ParseOne();
      if (error_.empty()) error_ = CheckRequirement(requirement);
      if (!error_.empty()) return Unparsable(error_);
      out.push_back(std::move(requirement));
      const Token::Kind next = Peek().kind;
      if (next == Token::kEnd) return out;
      if (next != Token::kComma) return Status::BadRequest(Found("',' or 'end of string'"));
      Next();
      if (Peek().kind != Token::kWord && Peek().kind != Token::kNot) {
        return Status::BadRequest(Found("identifier after ','"));
      }
    }
  }

 private:
  const Token& Peek() const { return tokens_[at_]; }
  Token Next() {
    Token token = tokens_[at_];
    if (token.kind != Token::kEnd) ++at_;
    return token;
  }
  std::string Found(std::string_view expected) const {
    return "found '" + Peek().text + "', expected: " + std::string(expected);
  }
  void Fail(std::string_view expected) {
    if (error_.empty()) error_ = Found(expected);
  }

  Requirement ParseOne() {
    Requirement r{{}, Op::kExists, {}};
    if (Peek().kind == Token::kNot) {
      Next();
      r.op = Op::kDoesNotExist;
    }
    if (Peek().kind != Token::kWord) {
      Fail("identifier");
      return r;
    }
    r.key = Next().text;
    if (Peek().kind == Token::kEnd || Peek().kind == Token::kComma) return r;
    if (r.op == Op::kDoesNotExist) {
      Fail("',' or 'end of string'");
      return r;
    }
    ParseOperator(r);
    return r;
  }

  void ParseOperator(Requirement& r) {
    const Token token = Peek();
    const bool set = token.kind == Token::kWord && (token.text == "in" || token.text == "notin");
    if (set) {
      Next();
      r.op = token.text == "in" ? Op::kIn : Op::kNotIn;
      ParseSet(r);
      return;
    }
    switch (token.kind) {
      case Token::kEquals:
        r.op = Op::kIn;
        break;
      case Token::kNotEquals:
        r.op = Op::kNotIn;
        break;
      case Token::kGreater:
        r.op = Op::kGreater;
        break;
      case Token::kLess:
        r.op = Op::kLess;
        break;
      default:
        Fail("in, notin, =, ==, !=, gt, lt");
        return;
    }
    Next();
    if (Peek().kind == Token::kEnd || Peek().kind == Token::kComma) {
      r.values.emplace_back();  // `k=` asks for the empty value
    } else if (Peek().kind == Token::kWord) {
      r.values.push_back(Next().text);
    } else {
      Fail("identifier");
    }
  }

  // "(a,,b)": an empty place between commas is the empty value.
  void ParseSet(Requirement& r) {
    if (Peek().kind != Token::kOpen) return Fail("'('");
    Next();
    if (Peek().kind == Token::kClose) {
      Next();
      return;
    }
    while (true) {
      r.values.push_back(Peek().kind == Token::kWord ? Next().text : std::string());
      if (Peek().kind == Token::kClose) {
        Next();
        return;
      }
      if (Peek().kind != Token::kComma) return Fail("',' or ')'");
      Next();
    }
  }

  const std::vector<Token> tokens_;
  size_t at_ = 0;
  std::string error_;
};

bool Holds(const Requirement& r, const std::string* value) {
  switch (r.op) {
    case Op::kExists:
      return value != nullptr;
    case Op::kDoesNotExist:
      return value == nullptr;
    case Op::kIn:
      return value != nullptr && std::binary_search(r.values.begin(), r.values.end(), *value);
    case Op::kNotIn:
      return value == nullptr || !std::binary_search(r.values.begin(), r.values.end(), *value);
    case Op::kGreater:
    case Op::kLess: {
      int64_t have = 0, want = 0;
      if (value == nullptr || !ToInt(*value, &have) || r.values.empty() || !ToInt(r.values[0], &want)) return false;
      return r.op == Op::kGreater ? have > want : have < want;
    }
  }
  return false;
}

Status BadOperator(const std::string& op) {
  return Status(Reason::kInvalid, "\"" + op + "\" is not a valid label selector operator");
}

}  // namespace

Result<LabelSelector> LabelSelector::Parse(std::string_view text) {
  Result<std::vector<Requirement>> parsed = Parser(text).Run();
  if (!parsed.ok()) return parsed.status();
  LabelSelector selector;
  selector.requirements_ = *std::move(parsed);
  Sort(selector.requirements_);
  return selector;
}

Result<LabelSelector> LabelSelector::FromJson(const Json& label_selector) {
  if (!label_selector.is_object()) return Nothing();
  LabelSelector selector;
  if (const auto labels = label_selector.find("matchLabels"); labels != label_selector.end()) {
    selector = FromMap(*labels);
  }
  const auto expressions = label_selector.find("matchExpressions");
  if (expressions != label_selector.end() && expressions->is_array()) {
    for (const Json& e : *expressions) {
      if (!e.is_object()) return Status(Reason::kInvalid, "matchExpressions must be objects");
      Requirement r{e.value("key", ""), Op::kIn, {}};
      const std::string op = e.value("operator", "");
      if (op == "In") {
        r.op = Op::kIn;
      } else if (op == "NotIn") {
        r.op = Op::kNotIn;
      } else if (op == "Exists") {
        r.op = Op::kExists;
      } else if (op == "DoesNotExist") {
        r.op = Op::kDoesNotExist;
      } else {
        return BadOperator(op);
      }
      if (const auto values = e.find("values"); values != e.end() && values->is_array()) {
        for (const Json& v : *values) {
          if (v.is_string()) r.values.push_back(v.get<std::string>());
        }
      }
      if (std::string why = CheckRequirement(r); !why.empty()) return Status(Reason::kInvalid, why);
      selector.requirements_.push_back(std::move(r));
    }
  }
  Sort(selector.requirements_);
  return selector;
}

LabelSelector LabelSelector::FromMap(const Json& labels) {
  LabelSelector selector;
  if (!labels.is_object()) return selector;
  for (const auto& [key, value] : labels.items()) {
    if (value.is_string()) selector.requirements_.push_back({key, Op::kIn, {value.get<std::string>()}});
  }
  return selector;
}

LabelSelector LabelSelector::Nothing() {
  LabelSelector selector;
  selector.nothing_ = true;
  return selector;
}

template <typename Lookup>
bool LabelSelector::MatchesWith(const Lookup& lookup) const {
  if (nothing_) return false;
  return std::all_of(requirements_.begin(), requirements_.end(),
                     [&](const Requirement& r) { return Holds(r, lookup(r.key)); });
}

bool LabelSelector::Matches(const Json& labels) const {
  const auto* map = labels.get_ptr<const Json::object_t*>();
  return MatchesWith([&](const std::string& key) -> const std::string* {
    if (map == nullptr) return nullptr;
    const auto it = map->find(key);
    return it == map->end() ? nullptr : it->second.get_ptr<const std::string*>();
  });
}

bool LabelSelector::Matches(const Labels& labels) const {
  return MatchesWith([&](const std::string& key) -> const std::string* {
    const auto it = std::lower_bound(labels.begin(), labels.end(), key,
                                     [](const auto& label, const std::string& k) { return label.first < k; });
    return it == labels.end() || it->first != key ? nullptr : &it->second;
  });
}

std::string LabelSelector::ToString() const {
  std::string out;
  for (const Requirement& r : requirements_) {
    if (!out.empty()) out += ',';
    if (r.op == Op::kDoesNotExist) out += '!';
    out += r.key;
    if (r.op == Op::kExists || r.op == Op::kDoesNotExist) continue;
    std::string values;
    for (const std::string& v : r.values) {
      if (&v != &r.values.front()) values += ',';
      values += v;
    }
    if (r.op == Op::kGreater || r.op == Op::kLess) {
      out.append(r.op == Op::kGreater ? ">" : "<").append(values);
    } else if (r.values.size() == 1) {
      out.append(r.op == Op::kIn ? "=" : "!=").append(values);
    } else {
      out.append(r.op == Op::kIn ? " in (" : " notin (").append(values).append(")");
    }
  }
  return out;
}

namespace {

// Splits at unescaped commas, keeping the escapes.
std::vector<std::string_view> SplitTerms(std::string_view text) {
  std::vector<std::string_view> terms;
  size_t begin = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] == '\\') {
      ++i;
      continue;
    }
    if (i < text.size() && text[i] != ',') continue;
    terms.push_back(text.substr(begin, i - begin));
    begin = i + 1;
  }
  if (begin < text.size()) terms.push_back(text.substr(begin));
  return terms;
}

Result<std::string> Unescape(std::string_view value) {
  std::string out;
  for (size_t i = 0; i < value.size(); ++i) {
    if (value[i] == '\\') {
      if (i + 1 == value.size() || std::string_view("\\,=").find(value[i + 1]) == std::string_view::npos) {
        return Status::BadRequest("invalid field selector: invalid escape sequence: " +
                                  std::string(value.substr(i, 2)));
      }
      out += value[++i];
    } else if (value[i] == '=' || value[i] == ',') {
      return Status::BadRequest("invalid field selector: unescaped character in value: " + std::string(1, value[i]));
    } else {
      out += value[i];
    }
  }
  return out;
}

}  // namespace

Result<FieldSelector> FieldSelector::Parse(std::string_view text) {
  FieldSelector selector;
  for (const std::string_view term : SplitTerms(text)) {
    if (term.empty()) continue;
    const size_t at = term.find('=');
    if (at == std::string_view::npos) {
      return Status::BadRequest("invalid selector: '" + std::string(text) + "'; can't understand '" +
                                std::string(term) + "'");
    }
    const bool equal = at == 0 || term[at - 1] != '!';
    const size_t value_at = at + (equal && term.substr(at + 1).starts_with('=') ? 2 : 1);
    Result<std::string> value = Unescape(term.substr(value_at));
    if (!value.ok()) return value.status();
    selector.requirements_.push_back({std::string(term.substr(0, equal ? at : at - 1)), equal, *std::move(value)});
  }
  return selector;
}

bool FieldSelector::Matches(const std::function<std::string(const std::string& field)>& value_of) const {
  return std::all_of(requirements_.begin(), requirements_.end(),
                     [&](const Requirement& r) { return (value_of(r.field) == r.value) == r.equal; });
}

std::string FieldSelector::ExactValue(std::string_view field) const {
  for (const Requirement& r : requirements_) {
    if (r.equal && r.field == field) return r.value;
  }
  return {};
}

}  // namespace wherry
