#include "nutgate/base/clock.h"

namespace nutgate {

Time SystemClock::now() const {
    return std::chrono::time_point_cast<Milliseconds>(std::chrono::system_clock::now());
}

}  // namespace nutgate
