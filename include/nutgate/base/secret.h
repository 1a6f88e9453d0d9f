// Bytes that nobody but their owner may see: wiped when they go, never copied by accident, and
// without any operator that would print them.
#pragma once

#include <utility>

#include "nutgate/base/bytes.h"

namespace nutgate {

class Secret {
public:
    Secret() = default;
    explicit Secret(Bytes bytes) : bytes_{std::move(bytes)} {}
    Secret(Secret&& other) noexcept : bytes_{std::exchange(other.bytes_, {})} {}
    Secret& operator=(Secret&& other) noexcept {
        wipe(bytes_);
        bytes_ = std::exchange(other.bytes_, {});
        return *this;
    }
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    ~Secret() { wipe(bytes_); }

    // A second owner, asked for by name.
    Secret copy() const { return Secret{bytes_}; }

    // The one door to the contents: look for it in a review.
    BytesView reveal() const { return bytes_; }
    bool empty() const { return bytes_.empty(); }

private:
    Bytes bytes_;
};

}  // namespace nutgate
