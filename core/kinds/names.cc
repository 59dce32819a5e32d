#include "core/kinds/names.h"

#include <arpa/inet.h>

#include <array>
#include <initializer_list>
#include <utility>

namespace wherry {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsUpper(char c) { return c >= 'A' && c <= 'Z'; }
bool IsLowerAlnum(char c) { return IsLower(c) || IsDigit(c); }
bool IsAlnum(char c) { return IsLowerAlnum(c) || IsUpper(c); }

std::string MaxLength(size_t max) { return "must be no more than " + std::to_string(max) + " bytes"; }

// "… (e.g. 'a',  or 'b', regex used for validation is '…')", with the double space users know.
std::string WithRegex(std::string message, std::string_view regex, std::initializer_list<std::string_view> examples) {
  message += " (e.g. ";
  bool first = true;
  for (const std::string_view example : examples) {
    if (!first) message += " or ";
    first = false;
    message.append("'").append(example).append("', ");
  }
  return message.append("regex used for validation is '").append(regex).append("')");
}

// Lower-case alphanumerics and '-', with alphanumeric ends.
bool IsLabel(std::string_view s) {
  if (s.empty() || !IsLowerAlnum(s.front()) || !IsLowerAlnum(s.back())) return false;
  for (const char c : s) {
    if (!IsLowerAlnum(c) && c != '-') return false;
  }
  return true;
}

bool IsSubdomain(std::string_view s) {
  while (true) {
    const size_t dot = s.find('.');
    if (!IsLabel(s.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    s.remove_prefix(dot + 1);
  }
}

// Alphanumerics, '-', '_' and '.', with alphanumeric ends.
bool IsNamePart(std::string_view s) {
  if (s.empty() || !IsAlnum(s.front()) || !IsAlnum(s.back())) return false;
  for (const char c : s) {
    if (!IsAlnum(c) && c != '-' && c != '_' && c != '.') return false;
  }
  return true;
}

constexpr std::string_view kNamePartText =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
constexpr std::string_view kNamePartRegex = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

}  // namespace

std::string CheckDns1123Label(std::string_view value) {
  if (value.size() > 63) return MaxLength(63);
  if (IsLabel(value)) return {};
  return WithRegex(
      "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
      "with "
      "an alphanumeric character",
      "[a-z0-9]([-a-z0-9]*[a-z0-9])?", {"my-name", "123-abc"});
}

std::string CheckDns1123Subdomain(std::string_view value) {
  if (value.size() > 253) return MaxLength(253);
  if (IsSubdomain(value)) return {};
  return WithRegex(
      "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
      "and "
      "end with an alphanumeric character",
      "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", {"example.com"});
}

std::string CheckDns1035Label(std::string_view value) {
  if (value.size() > 63) return MaxLength(63);
  if (IsLabel(value) && IsLower(value.front())) return {};
  return WithRegex(
      "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
      "and end with an alphanumeric character",
      "[a-z]([-a-z0-9]*[a-z0-9])?", {"my-name", "abc-123"});
}

std::string CheckQualifiedName(std::string_view value) {
  std::string_view name = value;
  if (const size_t slash = value.find('/'); slash != std::string_view::npos) {
    const std::string_view prefix = value.substr(0, slash);
    name = value.substr(slash + 1);
    if (name.find('/') != std::string_view::npos) {
      return "a qualified name " +
             WithRegex(std::string(kNamePartText), kNamePartRegex, {"MyName", "my.name", "123-abc"}) +
             " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
    }
    if (prefix.empty()) return "prefix part must be non-empty";
    if (std::string why = CheckDns1123Subdomain(prefix); !why.empty()) return "prefix part " + why;
  }
  if (name.empty()) return "name part must be non-empty";
  if (name.size() > 63) return "name part " + MaxLength(63);
  if (IsNamePart(name)) return {};
  return "name part " + WithRegex(std::string(kNamePartText), kNamePartRegex, {"MyName", "my.name", "123-abc"});
}

std::string CheckLabelValue(std::string_view value) {
  if (value.size() > 63) return MaxLength(63);
  if (value.empty() || IsNamePart(value)) return {};
  return WithRegex(
      "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
      "and "
      "end with an alphanumeric character",
      "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", {"MyValue", "my_value", "12345"});
}

std::string CheckEnvName(std::string_view value) {
  bool ok = !value.empty();
  for (const char c : value) ok = ok && c >= ' ' && c <= '~' && c != '=';
  if (ok) return {};
  return "a valid environment variable name must consist only of printable ASCII characters other than '='";
}

std::string CheckConfigKey(std::string_view value) {
  if (value.size() > 253) return MaxLength(253);
  bool ok = !value.empty();
  for (const char c : value) ok = ok && (IsAlnum(c) || c == '-' || c == '_' || c == '.');
  if (!ok) {
    return WithRegex("a valid config key must consist of alphanumeric characters, '-', '_' or '.'", "[-._a-zA-Z0-9]+",
                     {"key.name", "KEY_NAME", "key-name"});
  }
  if (value == ".") return "must not be '.'";
  if (value == "..") return "must not be '..'";
  if (value.starts_with("..")) return "must not start with '..'";
  return {};
}

std::string CheckPortName(std::string_view value) {
  if (value.size() > 15) return MaxLength(15);
  bool letter = false;
  for (const char c : value) {
    if (!IsLowerAlnum(c) && c != '-') return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)";
    letter |= IsLower(c);
  }
  if (!letter) return "must contain at least one letter (a-z)";
  if (value.find("--") != std::string_view::npos) return "must not contain consecutive hyphens";
  if (value.front() == '-' || value.back() == '-') return "must not begin or end with a hyphen";
  return {};
}

std::string CheckPathSegment(std::string_view value) {
  if (value == ".") return "may not be '.'";
  if (value == "..") return "may not be '..'";
  if (value.find('/') != std::string_view::npos) return "may not contain '/'";
  if (value.find('%') != std::string_view::npos) return "may not contain '%'";
  return {};
}

std::string CheckIp(std::string_view value) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  const std::string text(value);
  if (text.size() == value.size() && (inet_pton(AF_INET, text.c_str(), address.data()) == 1 ||
                                      inet_pton(AF_INET6, text.c_str(), address.data()) == 1)) {
    return {};
  }
  return "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
}

std::string CheckPort(int64_t value) {
  return value >= 1 && value <= 65535 ? std::string() : "must be between 1 and 65535, inclusive";
}

NameCheck FindNameCheck(std::string_view format) {
  static constexpr std::array<std::pair<std::string_view, NameCheck>, 11> kChecks = {{
      {"dns1123label", CheckDns1123Label},
      {"dns1123subdomain", CheckDns1123Subdomain},
      {"dns1035label", CheckDns1035Label},
      {"labelkey", CheckQualifiedName},
      {"qualifiedname", CheckQualifiedName},
      {"labelvalue", CheckLabelValue},
      {"envname", CheckEnvName},
      {"configkey", CheckConfigKey},
      {"portname", CheckPortName},
      {"path", CheckPathSegment},
      {"ip", CheckIp},
  }};
  for (const auto& [name, check] : kChecks) {
    if (name == format) return check;
  }
  return nullptr;
}

}  // namespace wherry
