#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace wherry {

// Validators of names. Each returns "" when `value` is valid, else the text that users know from upstream. Linear time.
std::string CheckDns1123Label(std::string_view value);      // ≤ 63: container, volume and namespace names
std::string CheckDns1123Subdomain(std::string_view value);  // ≤ 253: most object names
std::string CheckDns1035Label(std::string_view value);      // ≤ 63, starts with a letter: Services
std::string CheckQualifiedName(std::string_view value);     // `[prefix/]name`: label keys, finalizers, resource names
std::string CheckLabelValue(std::string_view value);
std::string CheckEnvName(std::string_view value);
std::string CheckConfigKey(std::string_view value);    // keys of ConfigMaps and Secrets
std::string CheckPortName(std::string_view value);     // RFC 6335 service names, ≤ 15
std::string CheckPathSegment(std::string_view value);  // names of kinds that take anything a URL segment may be
std::string CheckIp(std::string_view value);           // IPv4 or IPv6
std::string CheckPort(int64_t value);

// The validator of strings that a schema's `format` names: dns1123label, dns1123subdomain, dns1035label, labelkey (or
// qualifiedname), labelvalue, envname, configkey, portname, path, ip; null when unknown. ("port" is of integers:
// CheckPort.)
using NameCheck = std::string (*)(std::string_view);
NameCheck FindNameCheck(std::string_view format);

}  // namespace wherry
