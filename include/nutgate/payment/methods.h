// The payment methods that this node has, and which of them a text belongs to.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "nutgate/payment/method.h"

namespace nutgate::payment {

struct Detected {
    PaymentMethod* method;  // Never null.
    TextKind kind;
};

// Filled at start; constant and thread-safe from then on.
class PaymentMethods {
public:
    // Two methods of one id are a bug in the wiring: VERIFYed.
    void add(std::unique_ptr<PaymentMethod> method);

    PaymentMethod* find(std::string_view id) const;  // Null if there is none.
    std::optional<Detected> detect(std::string_view text) const;
    const std::vector<std::unique_ptr<PaymentMethod>>& all() const { return methods_; }

private:
    std::vector<std::unique_ptr<PaymentMethod>> methods_;
};

}  // namespace nutgate::payment
