#pragma once

#include <string>
#include <string_view>

#include "core/kinds/kind.h"

namespace wherry {

// Checks `value` at `path` against what a schema's `format` names: a name check (core/kinds/names.h) or one of
//   port          left to min and max, a hint for readers
//   portorname    an int-or-string that is a port number or a port name
//   intorpercent  an int-or-string that is a non-negative number or a percentage
//   labels        a map of label keys and values
//   configkeys    a map whose keys are file names of a ConfigMap or Secret
void CheckFormat(const std::string& format, const Json& value, const std::string& path, FieldErrors& errors);

// Whether `format` is one that CheckFormat knows: a typo in the data is found when the catalog is built.
bool IsKnownFormat(std::string_view format);

}  // namespace wherry
