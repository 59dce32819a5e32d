#include <arpa/inet.h>
#include <string.h>

#include <catch2/catch.hpp>
#include <string>

#include "core/agent/warden/bind_steering.h"

namespace wherry::warden {
namespace {

BindQuestion Ask(int family, const char* address, int port, int domain, bool v6_only = false) {
  BindQuestion question;
  question.domain = domain;
  question.v6_only = v6_only;
  question.address.ss_family = static_cast<sa_family_t>(family);
  if (family == AF_INET6) {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&question.address);
    v6->sin6_port = htons(static_cast<uint16_t>(port));
    inet_pton(AF_INET6, address, &v6->sin6_addr);
    question.length = sizeof(*v6);
  } else {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&question.address);
    v4->sin_port = htons(static_cast<uint16_t>(port));
    inet_pton(AF_INET, address, &v4->sin_addr);
    question.length = sizeof(*v4);
  }
  return question;
}

std::string Plan(const BindQuestion& question, bool own_privileged = false) {
  in_addr pod{};
  inet_pton(AF_INET, "127.9.8.7", &pod);
  const BindPlan plan = PlanBind(question, pod, own_privileged);
  if (!plan.steer) return "as asked";
  char text[64] = {};
  if (plan.address.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&plan.address);
    inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
    return "[" + std::string(text) + "]:" + std::to_string(ntohs(v6->sin6_port));
  }
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(&plan.address);
  inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
  return std::string(text) + ":" + std::to_string(ntohs(v4->sin_port));
}

}  // namespace

TEST_CASE("which binds are steered, and where to") {
  CHECK(Plan(Ask(AF_INET, "0.0.0.0", 80, AF_INET)) == "127.9.8.7:80");
  CHECK(Plan(Ask(AF_UNSPEC, "0.0.0.0", 80, AF_INET)) == "127.9.8.7:80");
  CHECK(Plan(Ask(AF_INET6, "::", 80, AF_INET6)) == "[::ffff:127.9.8.7]:80");
  CHECK(Plan(Ask(AF_INET6, "::ffff:0.0.0.0", 80, AF_INET6)) == "[::ffff:127.9.8.7]:80");
  CHECK(Plan(Ask(AF_INET6, "::", 80, AF_INET6, true)) == "[::1]:0");

  CHECK(Plan(Ask(AF_INET, "0.0.0.0", 0, AF_INET)) == "as asked");
  CHECK(Plan(Ask(AF_INET6, "::", 0, AF_INET6)) == "as asked");
  CHECK(Plan(Ask(AF_INET, "127.0.0.1", 80, AF_INET)) == "as asked");
  CHECK(Plan(Ask(AF_INET6, "::1", 80, AF_INET6)) == "as asked");
  CHECK(Plan(Ask(AF_INET6, "::ffff:127.0.0.1", 80, AF_INET6)) == "as asked");
  CHECK(Plan(Ask(AF_UNSPEC, "127.0.0.1", 80, AF_INET)) == "as asked");
  CHECK(Plan(Ask(AF_INET, "0.0.0.0", 80, AF_INET6)) == "as asked");  // the kernel refuses it
  CHECK(Plan(Ask(AF_INET6, "::", 80, AF_INET)) == "as asked");
  CHECK(Plan(Ask(AF_INET, "0.0.0.0", 80, AF_NETLINK)) == "as asked");

  BindQuestion shorter = Ask(AF_INET, "0.0.0.0", 80, AF_INET);
  shorter.length = 8;
  CHECK(Plan(shorter) == "as asked");
  BindQuestion old_v6 = Ask(AF_INET6, "::", 80, AF_INET6);
  old_v6.length = 24;
  CHECK(Plan(old_v6) == "[::ffff:127.9.8.7]:80");
}

TEST_CASE("privileged ports of explicit addresses are bound by us only when they may be moved") {
  CHECK(Plan(Ask(AF_INET, "127.0.0.1", 80, AF_INET), true) == "127.0.0.1:80");
  CHECK(Plan(Ask(AF_INET, "127.0.0.1", 1023, AF_INET), true) == "127.0.0.1:1023");
  CHECK(Plan(Ask(AF_INET, "127.0.0.1", 1024, AF_INET), true) == "as asked");
  CHECK(Plan(Ask(AF_INET, "127.0.0.1", 0, AF_INET), true) == "as asked");
  CHECK(Plan(Ask(AF_INET6, "::1", 443, AF_INET6), true) == "[::1]:443");
  CHECK(Plan(Ask(AF_INET, "0.0.0.0", 80, AF_INET), true) == "127.9.8.7:80");
}

}  // namespace wherry::warden
