#include "core/runtime/object_view.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>

namespace wherry {
namespace {

ObjectPtr Stored(const std::string& bytes) {
  return std::make_shared<const Object>(ObjectKey{"pods", "default", "a"}, "u", 5, bytes);
}

TEST_CASE("an object's type is read wherever it stands") {
  struct Row {
    const char* bytes;
    const char* api_version;
    const char* kind;
  };
  const Row rows[] = {
      {R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{}})", "apps/v1", "Deployment"},
      {R"({"apiVersion":"v1","kind":"Pod"})", "v1", "Pod"},
      // A ConfigMap has members that sort before its kind.
      {R"({"apiVersion":"v1","binaryData":{"a":"kind"},"data":{"kind":"x"},"kind":"ConfigMap"})", "v1", "ConfigMap"},
      {R"({"aardvark":1,"apiVersion":"v1","kind":"Pod"})", "v1", "Pod"},
      {R"({"apiVersion":"a\"b","kind":"c\\d"})", "a\"b", "c\\d"},
      {R"({"apiVersion":"","kind":""})", "", ""},
      {R"({"apiVersion":"v1"})", "v1", ""},
      {R"({"apiVersion":1,"kind":"Pod"})", "", "Pod"},
      {R"({})", "", ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.bytes);
    const TypeOfObject type = TypeOf(*Stored(row.bytes));
    CHECK(type.api_version == row.api_version);
    CHECK(type.kind == row.kind);
  }
}

}  // namespace
}  // namespace wherry
