#pragma once

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace wherry::bench {

// The number that is argument `index`, or `otherwise` when it is left out. Anything but a number of this range ends the
// program with status 2 and the usage.
inline int NumberArgument(int argc, char** argv, int index, int otherwise, int least, int most, const char* usage) {
  if (argc <= index) return otherwise;
  const std::string_view text = argv[index];
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && number >= least && number <= most) return number;
  std::fprintf(stderr, "%s: \"%s\" is no number from %d to %d\nusage: %s\n", argv[0], argv[index], least, most, usage);
  std::exit(2);
}

// Ends the program likewise when there are more than `most` arguments.
inline void CheckArgumentCount(int argc, char** argv, int most, const char* usage) {
  if (argc <= most + 1) return;
  std::fprintf(stderr, "%s: too many arguments\nusage: %s\n", argv[0], usage);
  std::exit(2);
}

}  // namespace wherry::bench
