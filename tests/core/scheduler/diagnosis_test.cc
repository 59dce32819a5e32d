#include <catch2/catch.hpp>

#include "core/scheduler/diagnosis.h"

namespace wherry::testing {
namespace {

Refusal Because(std::initializer_list<std::string_view> reasons) {
  Refusal refusal;
  for (const std::string_view reason : reasons) refusal.Add(reason);
  return refusal;
}

}  // namespace

TEST_CASE("Scheduler: the message that says how many nodes are available") {
  SECTION("counts each reason of each node, sorted as text") {
    Diagnosis diagnosis(3);
    diagnosis.Add(Because({"Insufficient cpu"}), 2);
    diagnosis.Add(Because({"Insufficient cpu", "Insufficient memory"}), 2);
    diagnosis.Add(Because({"node(s) had untolerated taint {k: v}"}), 1);
    CHECK(
        diagnosis.Message() ==
        "0/3 nodes are available: 1 Insufficient memory, 1 node(s) had untolerated taint {k: v}, 2 Insufficient cpu.");
    CHECK(diagnosis.refused_by() == 3);
  }
  SECTION("ten sorts before two") {
    Diagnosis diagnosis(12);
    for (int i = 0; i < 10; ++i) diagnosis.Add(Because({"Insufficient cpu"}), 1);
    for (int i = 0; i < 2; ++i) diagnosis.Add(Because({"Too many pods"}), 1);
    CHECK(diagnosis.Message() == "0/12 nodes are available: 10 Insufficient cpu, 2 Too many pods.");
  }
  SECTION("nodes that were ruled out unseen") {
    Diagnosis diagnosis(3);
    diagnosis.Add(Because({"Insufficient cpu"}), 4);
    diagnosis.AddUnseen(2, "NodeAffinity", 8);
    CHECK(diagnosis.Message() ==
          "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity].");
    CHECK(diagnosis.refused_by() == 12);
  }
  SECTION("one reason for all") {
    Diagnosis diagnosis(3);
    diagnosis.SetWhole("pod affinity terms conflict", 8);
    CHECK(diagnosis.Message() == "0/3 nodes are available: pod affinity terms conflict.");
  }
  SECTION("no nodes") { CHECK(Diagnosis(0).Message() == "no nodes available to schedule pods"); }
}

}  // namespace wherry::testing
