#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tests/api/rest/api_fixture.h"

namespace wherry {

// One line of a test: a request and the answer it must have.
struct Line {
  const char* method;
  std::string target;
  http::HeaderList headers;
  std::string body;
  int code;
  std::string reason;                                // "" = not looked at
  std::string message;                               // likewise
  std::vector<std::pair<std::string, Json>> checks;  // JSON pointer → value; null = absent
};

// Sends the lines in order to one cluster.
inline void CheckLines(ApiCluster& api, const std::vector<Line>& lines) {
  for (const Line& line : lines) {
    const Answer answer = api.Send(line.method, line.target, line.body, line.headers);
    INFO(line.method << " " << line.target << " " << line.body << "\n=> " << answer.code << " " << answer.body);
    CHECK(answer.code == line.code);
    if (!line.reason.empty()) CHECK(answer.reason() == line.reason);
    if (!line.message.empty()) CHECK(answer.message() == line.message);
    for (const auto& [pointer, value] : line.checks) {
      INFO(pointer);
      CHECK(answer.at(pointer) == value);
    }
  }
}

}  // namespace wherry
