#include "nutgate/base/memory.h"

// mimalloc's, in programs that are linked to it.
extern "C" [[gnu::weak]] void mi_collect(bool force);

namespace nutgate {

void give_back_free_memory() {
    if (mi_collect != nullptr) mi_collect(true);
}

}  // namespace nutgate
