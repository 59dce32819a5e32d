#pragma once

namespace wherry {

// Gives back to the host what only starting needed: free pages of the allocator, and the program text mapped so far
// (some 13 MiB, of which an idle server uses a third; what is needed again comes from the page cache). Milliseconds of
// page faults follow; call it once, when it has become quiet. Loses the breakpoints of a debugger that is attached.
// Any thread.
void ReturnStartupMemory();

}  // namespace wherry
