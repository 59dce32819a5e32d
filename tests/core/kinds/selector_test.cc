#include "core/kinds/selector.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace wherry {
namespace {

TEST_CASE("label selectors of the query grammar select") {
  const Json labels = {{"app", "web"}, {"tier", "front"}, {"n", "7"}, {"empty", ""}};
  const Labels sorted = {{"app", "web"}, {"empty", ""}, {"n", "7"}, {"tier", "front"}};
  const struct {
    std::string_view text, canonical;
    bool matches;
  } cases[] = {
      {"", "", true},
      {"app=web", "app=web", true},
      {"app==db", "app=db", false},
      {"app!=db", "app!=db", true},
      {"gone!=db", "gone!=db", true},
      {" app in ( web , db ) ", "app in (db,web)", true},
      {"app in (db,db)", "app=db", false},
      {"app notin (web)", "app!=web", false},
      {"gone notin (web,db)", "gone notin (db,web)", true},
      {"app", "app", true},
      {"!app", "!app", false},
      {"!gone", "!gone", true},
      {"n>5", "n>5", true},
      {"n<7", "n<7", false},
      {"app>5", "app>5", false},
      {"empty=", "empty=", true},
      {"app=,tier=front", "app=,tier=front", false},
      {"empty in (,x)", "empty in (,x)", true},
      {"tier=front,app=web", "app=web,tier=front", true},
      {"in=web", "in=web", false},
      {"app=in", "app=in", false},
      {"example.com/x notin (a)", "example.com/x!=a", true},
  };
  for (const auto& c : cases) {
    INFO(c.text);
    const Result<LabelSelector> selector = LabelSelector::Parse(c.text);
    REQUIRE(selector.ok());
    CHECK(selector->ToString() == c.canonical);
    CHECK(selector->Matches(labels) == c.matches);
    CHECK(selector->Matches(sorted) == c.matches);
  }
  CHECK(LabelSelector::Parse("!a").value().Matches(Json()));
  CHECK(LabelSelector::Parse("").value().empty());
}

TEST_CASE("malformed label selectors are bad requests") {
  const struct {
    std::string_view text, message;
  } cases[] = {
      {"app=web,", "found '', expected: identifier after ','"},
      {",app", "found ',', expected: !, identifier, or 'end of string'"},
      {"app web", "unable to parse requirement: found 'web', expected: in, notin, =, ==, !=, gt, lt"},
      {"app=web db", "found 'db', expected: ',' or 'end of string'"},
      {"app in web", "unable to parse requirement: found 'web', expected: '('"},
      {"app in (web", "unable to parse requirement: found '', expected: ',' or ')'"},
      {"!=x", "found '!=', expected: !, identifier, or 'end of string'"},
      {"!", "unable to parse requirement: found '', expected: identifier"},
      {"app=(", "unable to parse requirement: found '(', expected: identifier"},
      {"app in ()",
       "unable to parse requirement: values: Invalid value: []: for 'in', 'notin' operators, values set can't be "
       "empty"},
      {"n>x",
       "unable to parse requirement: values[0][n]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be "
       "an "
       "integer"},
      {"/x=y", "unable to parse requirement: key: Invalid value: \"/x\": prefix part must be non-empty"},
  };
  for (const auto& c : cases) {
    INFO(c.text);
    const Result<LabelSelector> selector = LabelSelector::Parse(c.text);
    REQUIRE_FALSE(selector.ok());
    CHECK(selector.status().reason() == Reason::kBadRequest);
    CHECK(selector.status().message() == c.message);
  }
}

TEST_CASE("a LabelSelector object selects by all its terms") {
  const Json labels = {{"app", "web"}, {"tier", "front"}};
  const struct {
    const char* text;
    bool matches;
    std::string canonical;
  } cases[] = {
      {"null", false, ""},
      {"{}", true, ""},
      {R"({"matchLabels":{"app":"web"}})", true, "app=web"},
      {R"({"matchLabels":{"app":"web"},"matchExpressions":[{"key":"tier","operator":"NotIn","values":["front"]}]})",
       false, "app=web,tier!=front"},
      {R"({"matchExpressions":[{"key":"tier","operator":"Exists"},{"key":"gone","operator":"DoesNotExist"}]})", true,
       "!gone,tier"},
  };
  for (const auto& c : cases) {
    INFO(c.text);
    const Result<LabelSelector> selector = LabelSelector::FromJson(Json::parse(c.text));
    REQUIRE(selector.ok());
    CHECK(selector->Matches(labels) == c.matches);
    CHECK(selector->ToString() == c.canonical);
  }
  const auto bad = LabelSelector::FromJson(Json::parse(R"({"matchExpressions":[{"key":"a","operator":"Gt"}]})"));
  REQUIRE_FALSE(bad.ok());
  CHECK(bad.status().message() == "\"Gt\" is not a valid label selector operator");
  CHECK_FALSE(LabelSelector::FromJson(Json::parse(R"({"matchExpressions":[{"key":"a","operator":"In"}]})")).ok());
  CHECK_FALSE(LabelSelector::FromJson(Json()).value().empty());
}

TEST_CASE("field selectors compare fields") {
  const auto value_of = [](const std::string& field) -> std::string {
    if (field == "metadata.name") return "a,b=c\\";
    if (field == "status.phase") return "Running";
    return "";
  };
  const struct {
    std::string_view text;
    bool matches;
  } cases[] = {
      {"", true},
      {"status.phase=Running", true},
      {"status.phase==Running", true},
      {"status.phase!=Running", false},
      {"status.phase!=Failed,status.phase!=Succeeded", true},
      {R"(metadata.name=a\,b\=c\\)", true},
      {"spec.nodeName=", true},
      {"spec.nodeName!=", false},
  };
  for (const auto& c : cases) {
    INFO(c.text);
    const Result<FieldSelector> selector = FieldSelector::Parse(c.text);
    REQUIRE(selector.ok());
    CHECK(selector->Matches(value_of) == c.matches);
  }
  CHECK(FieldSelector::Parse("metadata.name=x,a=b").value().ExactValue("metadata.name") == "x");
  CHECK(FieldSelector::Parse("metadata.name!=x").value().ExactValue("metadata.name").empty());
  CHECK(FieldSelector::Parse("bogus").status().message() == "invalid selector: 'bogus'; can't understand 'bogus'");
  CHECK(FieldSelector::Parse("a=b=c").status().message() == "invalid field selector: unescaped character in value: =");
  CHECK(FieldSelector::Parse("a=\\x").status().message() == "invalid field selector: invalid escape sequence: \\x");
}

}  // namespace
}  // namespace wherry
