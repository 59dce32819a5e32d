#include "store/object.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace wherry {
namespace {

TEST_CASE("a draft holds the document compactly with the revision put in") {
  struct Row {
    const char* document;
    const char* finished;
  };
  const Row rows[] = {
      {R"({"metadata":{}})", R"({"metadata":{"resourceVersion":"42"}})"},
      {R"({"metadata":{"resourceVersion":"7"}})", R"({"metadata":{"resourceVersion":"42"}})"},
      {R"({"metadata":{"resourceVersion":7,"name":"a"}})", R"({"metadata":{"name":"a","resourceVersion":"42"}})"},
      {R"({"kind":"X","metadata":{"name":"a","uid":"u"},"spec":{"n":1.5,"l":[1,null,true]}})",
       R"({"kind":"X","metadata":{"name":"a","uid":"u","resourceVersion":"42"},"spec":{"l":[1,null,true],"n":1.5}})"},
      // The member of that name elsewhere is not ours to touch.
      {R"({"involvedObject":{"resourceVersion":"1"},"metadata":{"annotations":{"resourceVersion":""}},"z":"\"resourceVersion\":\"\""})",
       R"({"involvedObject":{"resourceVersion":"1"},"metadata":{"annotations":{"resourceVersion":""},"resourceVersion":"42"},"z":"\"resourceVersion\":\"\""})"},
      {R"({"a{":{},"metadata":{"labels":{"k{":"v{"}}})",
       R"({"a{":{},"metadata":{"labels":{"k{":"v{"},"resourceVersion":"42"}})"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.document);
    const Draft draft(Json::parse(row.document));
    CHECK(draft.Finish(42) == row.finished);
    CHECK(draft.size() == std::string(row.finished).size() - 2);
  }
}

TEST_CASE("a draft finishes as often as asked, also with the largest revision") {
  const Draft draft(Json{{"metadata", {{"name", "a"}}}});
  CHECK(draft.Finish(1) == R"({"metadata":{"name":"a","resourceVersion":"1"}})");
  CHECK(draft.Finish(UINT64_MAX) == R"({"metadata":{"name":"a","resourceVersion":"18446744073709551615"}})");
}

TEST_CASE("invalid UTF-8 in keys and values is replaced, so that it can be served") {
  Json document{{"metadata", Json::object()}};
  document["k\xff"] = "v\xff";
  document["metadata"]["m\xfe"] = 1;
  CHECK(Draft(document).Finish(1) ==
        "{\"k\xEF\xBF\xBD\":\"v\xEF\xBF\xBD\",\"metadata\":{\"m\xEF\xBF\xBD\":1,\"resourceVersion\":\"1\"}}");
}

ObjectPtr MakeObject(const std::string& name) {
  return std::make_shared<const Object>(ObjectKey{"pods", "default", name}, "u", 5,
                                        R"({"metadata":{"name":")" + name + "\"}}");
}

// As large as a fair-sized pod, so that a thousand push everything else out.
constexpr size_t kPadding = 2000;

ObjectPtr MakeWritten(const std::string& name, uint64_t revision, size_t padding = kPadding) {
  auto document =
      std::make_shared<Json>(Json{{"metadata", {{"name", name}}}, {"n", revision}, {"pad", std::string(padding, 'x')}});
  return std::make_shared<const Object>(ObjectKey{"pods", "default", name}, "u", revision,
                                        Draft(*document).Finish(revision), document);
}

TEST_CASE("the document is parsed once, until many others were") {
  const ObjectPtr object = MakeObject("a");
  const JsonPtr first = object->json();
  CHECK(first->at("metadata").at("name") == "a");
  std::vector<ObjectPtr> others;
  auto look_at_others = [&others](int count) {
    for (int i = 0; i < count; ++i) {
      others.push_back(MakeWritten("other", 1));
      CHECK_FALSE(others.back()->json()->empty());
    }
  };
  look_at_others(400);
  CHECK(object->json() == first);
  look_at_others(400);
  CHECK(object->json() != first);
  CHECK(*object->json() == *first);
}

TEST_CASE("few large documents stay parsed, and always the last") {
  std::vector<ObjectPtr> large;
  for (uint64_t i = 0; i < 8; ++i) {
    large.push_back(MakeWritten("large", i + 1, 300'000));
    large.back()->AdoptDocument(nullptr);
  }
  std::vector<JsonPtr> documents;
  for (size_t i = large.size() - 3; i < large.size(); ++i) documents.push_back(large[i]->json());
  for (size_t i = 0; i < documents.size(); ++i) CHECK(large[large.size() - 3 + i]->json() == documents[i]);
  const JsonPtr again = large[0]->json();  // pushes the oldest of them out
  CHECK(large[large.size() - 3]->json() != documents[0]);

  const ObjectPtr huge = MakeWritten("huge", 1, 3'000'000);
  huge->AdoptDocument(nullptr);
  CHECK(huge->json() == huge->json());
  CHECK(large[0]->json() != again);
}

TEST_CASE("an object that is written again and again pushes no other document out") {
  const ObjectPtr object = MakeObject("a");
  const JsonPtr parsed = object->json();
  ObjectPtr state = MakeWritten("busy", 1);
  state->AdoptDocument(nullptr);
  const ObjectPtr first = state;
  const JsonPtr first_document = first->json();
  for (uint64_t revision = 2; revision < 2000; ++revision) {
    const ObjectPtr next = MakeWritten("busy", revision, kPadding + revision % 7);
    next->AdoptDocument(state.get());
    const JsonPtr of_next = next->json();
    CHECK(of_next->at("metadata").at("resourceVersion") == std::to_string(revision));
    CHECK(next->json() == of_next);
    if (revision == 3) CHECK(first->json() == first_document);  // superseded, and still asked about
    state = next;
  }
  CHECK(object->json() == parsed);
  CHECK(first->json() != first_document);
  CHECK(*first->json() == *first_document);
}

TEST_CASE("a document that was pushed out is no place for the state after it") {
  const ObjectPtr object = MakeWritten("a", 1);
  object->AdoptDocument(nullptr);
  std::vector<ObjectPtr> others;
  for (uint64_t i = 0; i < 1000; ++i) {
    others.push_back(MakeWritten("other", 10 + i));
    others.back()->AdoptDocument(nullptr);
  }
  std::vector<JsonPtr> documents;
  for (size_t i = 600; i < others.size(); ++i) documents.push_back(others[i]->json());
  const JsonPtr parsed_again = object->json();
  const ObjectPtr next = MakeWritten("a", 1000);
  next->AdoptDocument(object.get());
  for (size_t i = 0; i < documents.size(); ++i) CHECK(others[600 + i]->json() == documents[i]);
  CHECK(object->json() == parsed_again);
}

TEST_CASE("parsed documents of objects that died are no trouble") {
  for (int i = 0; i < 2000; ++i) CHECK(MakeObject("short-lived")->json()->is_object());
  const Object on_the_stack({"pods", "", "x"}, "u", 1, "{}");
  CHECK(on_the_stack.json()->empty());
}

struct NameView {
  explicit NameView(const Json& document) : name(document.at("metadata").at("name")) { ++made; }
  std::string name;
  static inline int made = 0;
};
struct SizeView {
  explicit SizeView(const Json& document) : size(document.size()) {}
  size_t size;
};

TEST_CASE("a view is made once and stays where it is") {
  const ObjectPtr object = MakeObject("a");
  const NameView& view = object->view<NameView>();
  CHECK(view.name == "a");
  CHECK(object->view<SizeView>().size == 1);
  CHECK(&object->view<NameView>() == &view);
  CHECK(NameView::made == 1);
}

TEST_CASE("keys sort by resource, namespace and name") {
  const ObjectKey a{"pods", "a", "z"};
  const ObjectKey b{"pods", "b", "a"};
  CHECK(a < b);
  CHECK(ObjectKey{"nodes", "", "n"} < a);
  CHECK(a.ToString() == "pods a/z");
  CHECK(ObjectKey{"nodes", "", "n"}.ToString() == "nodes n");
}

}  // namespace
}  // namespace wherry
