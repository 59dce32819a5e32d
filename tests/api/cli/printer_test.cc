#include "api/cli/printer.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include "core/kinds/codec.h"

namespace wherry::cli {
namespace {

TEST_CASE("columns are aligned by their widest cell") {
  CHECK(AlignColumns({{"NAME", "READY", "AGE"}, {"web-node-1", "1/1", "5s"}, {"a", "0/1", "12m"}}) ==
        "NAME         READY   AGE\n"
        "web-node-1   1/1     5s\n"
        "a            0/1     12m\n");
  CHECK(AlignColumns({}) == "");
  // Characters, not bytes.
  CHECK(AlignColumns({{"é", "x"}, {"ab", "y"}}) == "é    x\nab   y\n");
}

TEST_CASE("rows that come later keep the columns") {
  std::vector<size_t> widths;
  CHECK(AlignColumns({{"NAME", "AGE"}, {"long-name", "1s"}}, &widths) == "NAME        AGE\nlong-name   1s\n");
  CHECK(AlignColumns({{"x", "2s"}}, &widths) == "x           2s\n");
}

const char* const kPods = R"({"columnDefinitions":[
    {"name":"Name","type":"string","format":"name","priority":0},
    {"name":"Restarts","type":"integer","priority":0},
    {"name":"Node","type":"string","priority":1}],
  "rows":[{"cells":["a",3,"node-1"],"object":{"metadata":{"namespace":"one"}}},
          {"cells":["b",0,null],"object":{"metadata":{"namespace":"two"}}}]})";

TEST_CASE("a Table becomes cells") {
  using Cells = std::vector<std::vector<std::string>>;
  const Json table = Json::parse(kPods);
  const Json& columns = table["columnDefinitions"];
  TableStyle style;
  CHECK(TableCells(table, columns, style) == Cells{{"NAME", "RESTARTS"}, {"a", "3"}, {"b", "0"}});
  CHECK(TableCells(table, columns, style, false) == Cells{{"a", "3"}, {"b", "0"}});
  style.wide = true;
  CHECK(TableCells(table, columns, style) ==
        Cells{{"NAME", "RESTARTS", "NODE"}, {"a", "3", "node-1"}, {"b", "0", "<none>"}});
  style.wide = false;
  style.with_namespace = true;
  style.prefix = "pod/";
  CHECK(TableCells(table, columns, style) ==
        Cells{{"NAMESPACE", "NAME", "RESTARTS"}, {"one", "pod/a", "3"}, {"two", "pod/b", "0"}});
}

TEST_CASE("a cell stays on its line and away from the terminal's controls") {
  const Json table = {{"rows", {{{"cells", {"first\nsecond"}}}, {{"cells", {"red\x1b[31m"}}}}}};
  const Json columns = Json::parse(R"([{"name":"Name"}])");
  CHECK(TableCells(table, columns, {}, false) == std::vector<std::vector<std::string>>{{"first..."}, {"red[31m"}});
}

TEST_CASE("YAML is quoted where a reader would see something else") {
  struct Row {
    const char* json;
    const char* yaml;
  };
  const Row row = GENERATE(values<Row>({
      {R"("web")", "web\n"},
      {R"("")", "\"\"\n"},
      {R"("true")", "\"true\"\n"},
      {R"("No")", "\"No\"\n"},
      {R"("y")", "\"y\"\n"},
      {R"("null")", "\"null\"\n"},
      {R"("~")", "\"~\"\n"},
      {R"("123")", "\"123\"\n"},
      {R"("0x1F")", "\"0x1F\"\n"},
      {R"("1e3")", "\"1e3\"\n"},
      {R"("1.32")", "\"1.32\"\n"},
      {R"("1.32.0")", "\"1.32.0\"\n"},
      {R"("12:30:45")", "\"12:30:45\"\n"},
      {R"("2026-01-02T03:04:05Z")", "\"2026-01-02T03:04:05Z\"\n"},
      {R"("100m")", "100m\n"},
      {R"("node-1")", "node-1\n"},
      {R"("a: b")", "\"a: b\"\n"},
      {R"("# no comment")", "\"# no comment\"\n"},
      {R"("- item")", "\"- item\"\n"},
      {R"("*")", "\"*\"\n"},
      {R"("@x")", "\"@x\"\n"},
      {R"("<<")", "\"<<\"\n"},
      {R"(" lead")", "\" lead\"\n"},
      {R"("a\tb")", "\"a\\tb\"\n"},
      {R"("one\ntwo\n")", "|\n  one\n  two\n"},
      {R"("one\ntwo")", "\"one\\ntwo\"\n"},
      {"true", "true\n"},
      {"null", "null\n"},
      {"-5", "-5\n"},
      {"1.5", "1.5\n"},
      {"{}", "{}\n"},
      {"[]", "[]\n"},
      {R"({"true":"yes","8080":{}})", "\"8080\": {}\n\"true\": \"yes\"\n"},
  }));
  CAPTURE(row.json);
  CHECK(YamlText(Json::parse(row.json)) == row.yaml);
}

TEST_CASE("YAML reads back as the same document") {
  const char* const text = GENERATE(
      R"({"apiVersion":"v1","data":{"on":"off","script":"#!/bin/sh\nset -e\n  echo \"hi\"\n","empty":"","nl":"\n","nls":"a\n\n","sp":"a \nb\n","tab":"\tx\ny\n","crlf":"a\r\nb\r\n","uni":"zażółć ☃\n","esc":"\u0001\u001b","colon":"a:","q":"'\"\\"},"metadata":{"labels":{"n":"1","v":"1.0","t":"true"}}})",
      R"({"items":[{"a":[[],[1,[2,{"b":null}]],{}],"c":{"d":{"e":[{"f":"g"}]}}},"x",1,true,null,1.25,-7,18446744073709551615]})",
      R"([["a","b"],["? x","! y","& z","% p","| q","> r","[ s","{ t",", u","` v","---","...","=","+","-",".","0","00","0o7","1_000","+1",".5","1.","inf",".inf",".NaN","NaN","0b1","1:2"]])");
  const Json document = Json::parse(text);
  const std::string yaml = YamlText(document);
  CAPTURE(yaml);
  const Result<Json> again = ParseYaml(yaml, nullptr);
  REQUIRE(again.ok());
  CHECK(*again == document);
}

}  // namespace
}  // namespace wherry::cli
