#pragma once

#include <string>
#include <vector>

// Well-formed inputs that mutations start from; each fuzz target defines its own.
std::vector<std::string> FuzzSeeds();
