// What this thread is in the middle of, so that a wait which could never end is caught at once.
#pragma once

#include "nutgate/store/store.h"

namespace nutgate::store {

// VERIFYs that this thread may wait for the database: it is no data-plane thread, and inside of no
// transaction or read.
void verify_may_wait();

// Lives as long as a body runs on this thread.
class OpenMark {
public:
    OpenMark();
    ~OpenMark();
    OpenMark(const OpenMark&) = delete;
    OpenMark& operator=(const OpenMark&) = delete;
};

}  // namespace nutgate::store
