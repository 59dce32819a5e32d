#pragma once

namespace wherry::bench {

// Seconds of one /bin/true in a sandbox without anything of ours around it: a plain clone(2) with the namespaces and
// the mounts of a container's sandbox, exec, wait. Negative where the kernel grants this user none.
double BareSandbox();

}  // namespace wherry::bench
