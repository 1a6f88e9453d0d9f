// What the two kinds of melts have in common with those who finish them.
#pragma once

#include <cstddef>

#include "nutgate/cashu/proof.h"

namespace nutgate::cashu::wallet {

// NUT-08: blanks that can carry any change up to `most`. None for nothing.
std::size_t blanks_for(Amount most);

}  // namespace nutgate::cashu::wallet
