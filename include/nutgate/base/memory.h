// What an allocator keeps of memory that is free.
#pragma once

namespace nutgate {

// Gives back to the system what this thread has freed and its allocator keeps, for it may be asked
// for again: for threads that have nothing to do. mimalloc keeps it for 25 ms, but looks whether
// they have passed only when the same thread frees more; so a thread that calls this has rested for
// longer. Some microseconds. Other allocators are left alone.
void give_back_free_memory();

}  // namespace nutgate
