#include "core/agent/probes/probe.h"

#include <catch2/catch.hpp>
#include <csignal>
#include <nlohmann/json.hpp>

#include "core/agent/images.h"
#include "core/agent/probes/hooks.h"

namespace wherry {
namespace {

using std::chrono::seconds;

const Time kStart = Time(seconds(1'700'000'000));

ProbeSpec Spec(ProbeKind kind, int period, int success, int failure, int delay = 0) {
  ProbeSpec spec;
  spec.kind = kind;
  spec.period = seconds(period);
  spec.success_threshold = success;
  spec.failure_threshold = failure;
  spec.initial_delay = seconds(delay);
  return spec;
}

// Plays checks whose outcomes are given as text, one character each: '+' good, '-' bad. Answers what is seen after
// each: 'R' ready, 'S' started only, 'x' condemned, '.' none of it, '!' nothing is asked any more; and the seconds
// since the start at which each check began.
struct Play {
  std::string seen;
  std::vector<int64_t> at;
};

Play PlayOut(std::vector<ProbeSpec> specs, const std::string& outcomes) {
  ContainerProbes probes(std::move(specs), kStart);
  Play play;
  for (const char outcome : outcomes) {
    const Time now = probes.NextAt();
    if (now == Time::max()) {
      play.seen += '!';
      break;
    }
    play.at.push_back(std::chrono::duration_cast<seconds>(now - kStart).count());
    const std::vector<size_t> due = probes.Begin(now);
    REQUIRE(!due.empty());
    CHECK(probes.Begin(now).empty());  // never twice at once
    CheckResult result;
    if (outcome == '-') result = CheckFailed("no");
    for (const size_t probe : due) probes.Finish(probe, result, now);
    play.seen += probes.condemned() ? 'x' : !probes.started() ? '.' : probes.ready() ? 'R' : 'S';
  }
  return play;
}

}  // namespace

TEST_CASE("verdicts follow thresholds") {
  struct Row {
    const char* what;
    std::vector<ProbeSpec> specs;
    const char* outcomes;
    const char* seen;
  };
  const Row rows[] = {
      {"readiness begins not ready", {Spec(ProbeKind::kReadiness, 10, 1, 3)}, "--+", "SSR"},
      {"readiness is lost after failureThreshold in a row",
       {Spec(ProbeKind::kReadiness, 10, 1, 3)},
       "+--+---+",
       "RRRRRRSR"},
      {"readiness comes after successThreshold in a row",
       {Spec(ProbeKind::kReadiness, 10, 3, 1)},
       "++-+++-",
       "SSSSSRS"},
      {"liveness begins good, and condemns once", {Spec(ProbeKind::kLiveness, 10, 1, 2)}, "+-+--+", "RRRRx!"},
      {"startup holds everything back", {Spec(ProbeKind::kStartup, 5, 1, 4)}, "---+", "...R"},
      {"startup condemns", {Spec(ProbeKind::kStartup, 5, 1, 2)}, "--+", ".x!"},
      {"startup is asked no more once it was good", {Spec(ProbeKind::kStartup, 5, 1, 2)}, "++", "R!"},
      {"a threshold of one", {Spec(ProbeKind::kLiveness, 1, 1, 1)}, "-", "x"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    CHECK(PlayOut(row.specs, row.outcomes).seen == row.seen);
  }
}

TEST_CASE("checks keep their rhythm") {
  CHECK(PlayOut({Spec(ProbeKind::kReadiness, 10, 1, 3, 7)}, "+++").at == std::vector<int64_t>{7, 17, 27});
  // Liveness and readiness begin with the moment that startup is good.
  const Play play = PlayOut(
      {Spec(ProbeKind::kStartup, 3, 1, 9), Spec(ProbeKind::kLiveness, 10, 1, 3), Spec(ProbeKind::kReadiness, 4, 1, 3)},
      "--++++");
  CHECK(play.at == std::vector<int64_t>{0, 3, 6, 6, 10, 14});
  CHECK(play.seen == "..SRRR");
  // Their own delay counts from the start of the container.
  CHECK(PlayOut({Spec(ProbeKind::kStartup, 3, 1, 9), Spec(ProbeKind::kReadiness, 4, 1, 3, 20)}, "+++").at ==
        std::vector<int64_t>{0, 20, 24});
}

TEST_CASE("a check that takes longer than its period is followed at once") {
  ContainerProbes probes({Spec(ProbeKind::kReadiness, 2, 1, 1)}, kStart);
  REQUIRE(probes.Begin(kStart).size() == 1);
  CHECK(probes.NextAt() == Time::max());
  CHECK(probes.Finish(0, CheckResult(), kStart + seconds(5)));
  CHECK(probes.NextAt() == kStart + seconds(5));
}

TEST_CASE("only readiness goes on while a pod ends") {
  ContainerProbes probes({Spec(ProbeKind::kLiveness, 1, 1, 1), Spec(ProbeKind::kReadiness, 1, 1, 1)}, kStart);
  REQUIRE(probes.Begin(kStart).size() == 2);
  probes.OnlyReadiness();
  CHECK(!probes.Finish(0, CheckFailed("no"), kStart));  // it was under way
  CHECK(probes.condemned() == nullptr);
  CHECK(probes.Finish(1, CheckResult(), kStart));
  CHECK(probes.ready());
  CHECK(probes.Begin(kStart + seconds(1)) == std::vector<size_t>{1});
}

TEST_CASE("a run that was probed before keeps its verdicts") {
  const std::vector<ProbeSpec> specs = {Spec(ProbeKind::kStartup, 10, 1, 3), Spec(ProbeKind::kReadiness, 10, 1, 1)};
  ContainerProbes known(specs, kStart);
  known.Resume(true, true, kStart + seconds(60));
  CHECK(known.started());
  CHECK(known.ready());
  CHECK(known.NextAt() == kStart + seconds(60));
  CHECK(known.Begin(kStart + seconds(60)) == std::vector<size_t>{1});
  CHECK(known.Finish(1, CheckFailed("no"), kStart + seconds(60)));
  CHECK(!known.ready());
  ContainerProbes unknown(specs, kStart);
  unknown.Resume(false, false, kStart + seconds(60));
  CHECK(!unknown.started());
  CHECK(unknown.Begin(kStart + seconds(60)) == std::vector<size_t>{0});
}

TEST_CASE("steady checks wait for a kick") {
  ContainerProbes probes({Spec(ProbeKind::kReadiness, 10, 1, 1)}, kStart);
  CheckResult steady;
  steady.steady = true;
  probes.Begin(kStart);
  CHECK(probes.Finish(0, steady, kStart));
  CHECK(probes.NextAt() == Time::max());
  probes.Kick(kStart + seconds(3));
  CHECK(probes.NextAt() == kStart + seconds(3));
}

TEST_CASE("probes are read with the API's defaults") {
  const Json container = Json::parse(R"({"name":"c","ports":[{"name":"web","containerPort":8080}],
    "livenessProbe":{"httpGet":{"port":"web","path":"up","scheme":"HTTPS","httpHeaders":[{"name":"A","value":"b"}]},
                     "terminationGracePeriodSeconds":3,"periodSeconds":0},
    "readinessProbe":{"tcpSocket":{"port":"nobody"},"initialDelaySeconds":4,"successThreshold":2},
    "startupProbe":{"grpc":{"port":9000,"service":"s"},"timeoutSeconds":7,"failureThreshold":30}})");
  const std::vector<ProbeSpec> specs = ProbesOf(container);
  REQUIRE(specs.size() == 3);
  CHECK(specs[0].kind == ProbeKind::kStartup);
  CHECK(specs[0].action.service == "s");
  CHECK(specs[0].timeout == seconds(7));
  CHECK(specs[0].failure_threshold == 30);
  CHECK(specs[1].action.port == 8080);
  CHECK(specs[1].action.https);
  CHECK(specs[1].action.path == "/up");
  CHECK(specs[1].period == seconds(10));
  CHECK((specs[1].grace && *specs[1].grace == seconds(3)));
  CHECK(specs[2].bad == "couldn't find port: port nobody not found");
  CHECK(specs[2].initial_delay == seconds(4));
  CHECK(specs[2].success_threshold == 2);
  CHECK(!specs[2].grace);
}

TEST_CASE("hooks are read") {
  const Json container = Json::parse(
      R"({"lifecycle":{"postStart":{"exec":{"command":["sh","-c","x"]}},"preStop":{"sleep":{"seconds":5}}}})");
  const auto post = HookOf(container, "postStart");
  REQUIRE((post && post->ok()));
  CHECK((*post)->command.size() == 3);
  CHECK((*HookOf(container, "preStop"))->sleep == seconds(5));
  CHECK(!HookOf(Json::object(), "preStop"));
}

TEST_CASE("names of signals") {
  CHECK(SignalNumber("SIGTERM") == 15);
  CHECK(SignalNumber("SIGUSR1") == 10);
  CHECK(SignalNumber("SIGRTMIN+3") == SIGRTMIN + 3);
  CHECK(SignalNumber("SIGRTMAX-1") == SIGRTMAX - 1);
  CHECK(SignalNumber("SIGRTMIN-1") == 0);
  CHECK(SignalNumber("TERM") == 0);
  CHECK(SignalNumber("") == 0);
}

}  // namespace wherry
