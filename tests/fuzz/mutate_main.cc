// Runs a libFuzzer entry point without libFuzzer: the seeds as they are, then mutations drawn from a fixed generator.

#include <cstdint>
#include <cstdio>
#include <random>

#include "tests/fuzz/seeds.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr int kMutations = 20'000;

size_t Below(std::mt19937_64& random, size_t end) { return end == 0 ? 0 : random() % end; }

void MutateOnce(std::string& text, const std::vector<std::string>& seeds, std::mt19937_64& random) {
  const size_t at = Below(random, text.size());
  switch (random() % 7) {
    case 0:
      if (!text.empty()) text[at] = static_cast<char>(random());
      break;
    case 1:
      if (!text.empty()) text[at] = static_cast<char>(text[at] ^ (1 << random() % 8));
      break;
    case 2:
      text.insert(at, 1, static_cast<char>(random()));
      break;
    case 3:
      text.erase(at, 1 + Below(random, 8));
      break;
    case 4:
      text.resize(at);
      break;
    case 5:
      text.insert(at, text.substr(Below(random, text.size()), 1 + Below(random, 32)));
      break;
    default: {
      const std::string& other = seeds[Below(random, seeds.size())];
      text.insert(at, other.substr(Below(random, other.size()), 1 + Below(random, 64)));
    }
  }
}

void Run(const std::string& text) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(text.data()), text.size());
}

}  // namespace

int main() {
  const std::vector<std::string> seeds = FuzzSeeds();
  for (const std::string& seed : seeds) Run(seed);
  std::mt19937_64 random(20260102);
  for (int i = 0; i < kMutations; ++i) {
    std::string text = seeds[Below(random, seeds.size())];
    for (size_t n = 1 + Below(random, 6); n > 0; --n) MutateOnce(text, seeds, random);
    Run(text);
  }
  std::printf("%zu seeds, %d mutations\n", seeds.size(), kMutations);
}
