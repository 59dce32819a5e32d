#include "core/kinds/names.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/kinds/field_error.h"

namespace wherry {
namespace {

const std::string k63(63, 'a'), k64(64, 'a');

TEST_CASE("names are valid by their format") {
  const struct {
    std::string_view format;
    std::vector<std::string> valid, invalid;
  } cases[] = {
      {"dns1123label", {"a", "0", "web-0", k63}, {"", "-a", "a-", "A", "a.b", "a_b", k64}},
      {"dns1123subdomain", {"a", "a.b-c.0", k64}, {"", ".a", "a.", "a..b", "a.-b", "A.b", std::string(254, 'a')}},
      {"dns1035label", {"a", "a-0", k63}, {"", "0a", "a-", "a.b", k64}},
      {"labelkey", {"a", "A_b.c-d", "example.com/Name", k63}, {"", "/a", "a/", "a/b/c", "-a", "A.com/x", k64, "é"}},
      {"labelvalue", {"", "a", "A_b.c-d", k63}, {"-a", "a-", "a/b", k64}},
      {"envname", {"PATH", "my.env-name", "1A", "with space"}, {"", "A=B", "a\n", "\x7f"}},
      {"configkey", {"a", "key.name", "_x", "x.."}, {"", ".", "..", "..a", "a/b", "a b"}},
      {"portname", {"http", "a", "web-80"}, {"", "80", "Web", "a--b", "-a", "a-", "sixteen-letters-x"}},
      {"path", {"", "a:b", "UP"}, {".", "..", "a/b", "a%b"}},
      {"ip", {"10.0.0.1", "::1", "2001:db8::ffff"}, {"", "10.0.0", "256.0.0.1", "x"}},
  };
  for (const auto& c : cases) {
    INFO(c.format);
    const NameCheck check = FindNameCheck(c.format);
    REQUIRE(check != nullptr);
    for (const std::string& value : c.valid) {
      INFO(value);
      CHECK(check(value).empty());
    }
    for (const std::string& value : c.invalid) {
      INFO(value);
      CHECK_FALSE(check(value).empty());
    }
  }
  CHECK(FindNameCheck("nonsense") == nullptr);
  CHECK(CheckPort(1).empty());
  CHECK(CheckPort(65535).empty());
  CHECK(CheckPort(0) == "must be between 1 and 65535, inclusive");
  CHECK_FALSE(CheckPort(65536).empty());
}

TEST_CASE("refusals speak upstream's words") {
  CHECK(CheckDns1123Label("A") ==
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
        "with "
        "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
        "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')");
  CHECK(CheckDns1123Label(k64) == "must be no more than 63 bytes");
  CHECK(CheckQualifiedName("A.com/x").starts_with("prefix part a lowercase RFC 1123 subdomain must consist of"));
  CHECK(CheckConfigKey("..a") == "must not start with '..'");
}

TEST_CASE("field errors print their values as JSON") {
  const auto check = [](const FieldError& e, std::string_view field, std::string_view reason,
                        std::string_view message) {
    CHECK(e.field == field);
    CHECK(e.reason == reason);
    CHECK(e.message == message);
  };
  check(Required("spec.a"), "spec.a", "FieldValueRequired", "Required value");
  check(Required("spec.a", "why"), "spec.a", "FieldValueRequired", "Required value: why");
  check(Invalid("a", "x", "bad"), "a", "FieldValueInvalid", "Invalid value: \"x\": bad");
  check(Invalid("a", Json{{"k", 1}}, "bad"), "a", "FieldValueInvalid", "Invalid value: {\"k\":1}: bad");
  check(NotSupported("a", "x", {"A", "B"}), "a", "FieldValueNotSupported",
        "Unsupported value: \"x\": supported values: \"A\", \"B\"");
  check(Forbidden("a", "no"), "a", "FieldValueForbidden", "Forbidden: no");
  check(Duplicate("a", "x"), "a", "FieldValueDuplicate", "Duplicate value: \"x\"");
  check(NotFoundValue("a", "x"), "a", "FieldValueNotFound", "Not found: \"x\"");
  check(TooLong("a", 63), "a", "FieldValueTooLong", "Too long: may not be more than 63 bytes");
  CHECK(Child("spec", "a") == "spec.a");
  CHECK(Child("", "a") == "a");
  CHECK(Item("spec.a", 2) == "spec.a[2]");
  CHECK(Key("metadata.labels", "a/b") == "metadata.labels[a/b]");
}

}  // namespace
}  // namespace wherry
