#include "waiting.h"

#include "nutgate/base/verify.h"

namespace nutgate::store {
namespace {

struct ThreadState {
    bool waiting_forbidden = false;
    int open = 0;
};
// One per thread is the point of it.
thread_local ThreadState state;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

}  // namespace

void forbid_waiting_on_this_thread() { state.waiting_forbidden = true; }
int open_on_this_thread() { return state.open; }

void verify_may_wait() {
    VERIFY(!state.waiting_forbidden);
    VERIFY(state.open == 0);
}

OpenMark::OpenMark() { ++state.open; }
OpenMark::~OpenMark() { --state.open; }

}  // namespace nutgate::store
