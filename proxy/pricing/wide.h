// Whole numbers in which a price times a count still fits.
#pragma once

namespace nutgate::proxy {

__extension__ using Wide = unsigned __int128;

inline Wide greatest_common_divisor(Wide a, Wide b) {
    while (b != 0) {
        const Wide rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

}  // namespace nutgate::proxy
