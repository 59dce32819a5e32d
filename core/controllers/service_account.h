#pragma once

#include <string>

#include "core/runtime/controller.h"

namespace wherry {

// Keeps the `default` ServiceAccount and the `kube-root-ca.crt` ConfigMap (key ca.crt) in every active namespace, and
// brings them back when they are deleted or the certificate is changed. `ca_certificate` is PEM; "" = no ConfigMap.
ControllerSpec ServiceAccountController(RuntimeContext context, std::string ca_certificate);

}  // namespace wherry
