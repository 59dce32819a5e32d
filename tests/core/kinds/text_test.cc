#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/kinds/codec.h"

namespace wherry {
namespace {

TEST_CASE("plain YAML scalars mean what kubectl makes of them") {
  const struct {
    const char* text;
    const char* json;
  } cases[] = {
      {"yes", "true"},
      {"Off", "false"},
      {"y", "true"},
      {"NO", "false"},
      {"nO", R"("nO")"},
      {"tRue", R"("tRue")"},
      {"\"yes\"", R"("yes")"},
      {"'1'", R"("1")"},
      {"010", "8"},
      {"0o17", "15"},
      {"0x1F", "31"},
      {"0b11", "3"},
      {"1_000", "1000"},
      {"+5", "5"},
      {"-0", "0"},
      {"1.0", "1"},
      {"1e3", "1000"},
      {".5", "0.5"},
      {"1.5", "1.5"},
      {"08", "8"},
      {"~", "null"},
      {"null", "null"},
      {"NULL", "null"},
      {"", "null"},
      {"2001-01-01", R"("2001-01-01")"},
      {"1.2.3", R"("1.2.3")"},
      {"12e03", "12000"},
      {"0777", "511"},
      {"-9223372036854775808", "-9223372036854775808"},
      {"!!str 5", R"("5")"},
      {"!!int \"7\"", "7"},
      {"1:30", R"("1:30")"},
      {"0_7", "7"},
      {"_1", R"("_1")"},
      {"1_", "1"},
      {"\"null\"", R"("null")"},
      {"|\n  yes\n", R"("yes\n")"},
      {".", R"(".")"},
      {"\"-\"", R"("-")"},
      {"1e400", R"("1e400")"},
      {"!!binary YWI=", R"("ab")"},
      {"18446744073709551615", "18446744073709551615"},
      {"127.0.0.1", R"("127.0.0.1")"},
      {"25%", R"("25%")"},
      {"nginx:latest", R"("nginx:latest")"},
  };
  for (const auto& c : cases) {
    INFO(c.text);
    const auto got = ParseYaml(std::string("a: ") + c.text, nullptr);
    REQUIRE(got.ok());
    CHECK((*got)["a"].dump() == c.json);
  }
}

TEST_CASE("YAML documents") {
  const struct {
    const char* what;
    const char* text;
    const char* json;
  } cases[] = {
      {"first of several", "---\na: 1\n---\nb: 2\n", R"({"a":1})"},
      {"keys become strings", "1: a\n1.5: b\nyes: c\n010: d\n", R"({"1":"a","1.5":"b","8":"d","true":"c"})"},
      {"aliases", "a: &x {p: [1]}\nb: *x\n", R"({"a":{"p":[1]},"b":{"p":[1]}})"},
      {"merge keys give way to own keys", "a: &x {p: 1, q: 2}\nb: {<<: *x, q: 3}\n",
       R"({"a":{"p":1,"q":2},"b":{"p":1,"q":3}})"},
      {"earlier merged maps win", "b: {<<: [{q: 2}, {q: 9, r: 8}]}\n", R"({"b":{"q":2,"r":8}})"},
      {"JSON is YAML", R"({"a": ["b", 1, null]})", R"({"a":["b",1,null]})"},
      {"nothing", "", "null"},
      {"comments", "# x\na: b # y\n", R"({"a":"b"})"},
  };
  for (const auto& c : cases) {
    INFO(c.what);
    const auto got = ParseYaml(c.text, nullptr);
    REQUIRE(got.ok());
    CHECK(got->dump() == c.json);
  }
  for (const char* bad :
       {"a: [", "a: b: c", "? [x]\n: y", "~: x", "a: .inf", "a: {<<: 3}", "a: &x [*x]", "\t- a", "a: !!binary ?"}) {
    INFO(bad);
    const auto got = ParseYaml(bad, nullptr);
    REQUIRE_FALSE(got.ok());
    CHECK(got.status().reason() == Reason::kBadRequest);
  }
}

TEST_CASE("repeated keys are reported by path and the last one wins") {
  std::vector<std::string> duplicates;
  const auto json = ParseJson(R"({"spec":{"a":1,"list":[{"x":1},{"x":1,"x":2}],"a":2},"spec":{"a":3}})", &duplicates);
  REQUIRE(json.ok());
  CHECK(json->dump() == R"({"spec":{"a":3}})");
  CHECK(duplicates == std::vector<std::string>{"spec.list[1].x", "spec.a", "spec"});
  duplicates.clear();
  const auto yaml = ParseYaml("spec:\n  a: 1\n  list:\n  - x: 1\n  - x: 1\n    x: 2\n  a: 2\n", &duplicates);
  REQUIRE(yaml.ok());
  CHECK(yaml->dump() == R"({"spec":{"a":2,"list":[{"x":1},{"x":2}]}})");
  CHECK(duplicates == std::vector<std::string>{"spec.list[1].x", "spec.a"});
}

TEST_CASE("malformed JSON is a bad request") {
  for (const char* bad : {"", "{", "[1,]", "{\"a\":1}x", "{'a':1}", "\"\xff\"", "nul", "01"}) {
    INFO(bad);
    const auto got = ParseJson(bad, nullptr);
    REQUIRE_FALSE(got.ok());
    CHECK(got.status().reason() == Reason::kBadRequest);
  }
}

TEST_CASE("depth and size are bounded") {
  const auto nested = [](int depth) {
    return std::string(static_cast<size_t>(depth), '[') + std::string(static_cast<size_t>(depth), ']');
  };
  CHECK(ParseJson(nested(kMaxDepth), nullptr).ok());
  CHECK_FALSE(ParseJson(nested(kMaxDepth + 1), nullptr).ok());
  CHECK_FALSE(ParseJson(nested(1'000'000), nullptr).ok());
  CHECK(ParseYaml(nested(kMaxDepth), nullptr).ok());
  CHECK_FALSE(ParseYaml(nested(kMaxDepth + 1), nullptr).ok());
  CHECK_FALSE(ParseYaml(nested(10'000), nullptr).ok());
  std::string wide = "[0";
  for (size_t i = 0; i < kMaxNodes; ++i) wide += ",0";
  CHECK_FALSE(ParseJson(wide + "]", nullptr).ok());
}

TEST_CASE("a billion laughs") {
  std::string text = "a0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol,lol]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last;
    for (int j = 0; j < 9; ++j) text += "," + last;
    text += "]\n";
  }
  const auto got = ParseYaml(text, nullptr);
  REQUIRE_FALSE(got.ok());
  CHECK(got.status().message() == "error parsing YAML: too many values");
}

}  // namespace
}  // namespace wherry
