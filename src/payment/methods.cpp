#include "nutgate/payment/methods.h"

#include <utility>

namespace nutgate::payment {

std::string_view to_text(TextKind kind) {
    switch (kind) {
        case TextKind::Token:
            return "token";
        case TextKind::TokenRequest:
            return "token_request";
        case TextKind::Invoice:
            return "invoice";
        case TextKind::Offer:
            return "offer";
        case TextKind::LightningAddress:
            return "lightning_address";
        case TextKind::Lnurl:
            return "lnurl";
    }
    VERIFY(false);
    return "";
}

void PaymentMethods::add(std::unique_ptr<PaymentMethod> method) {
    VERIFY(method != nullptr);
    VERIFY(find(method->id()) == nullptr);
    methods_.push_back(std::move(method));
}

PaymentMethod* PaymentMethods::find(std::string_view id) const {
    for (const auto& method : methods_) {
        if (method->id() == id) return method.get();
    }
    return nullptr;
}

std::optional<Detected> PaymentMethods::detect(std::string_view text) const {
    for (const auto& method : methods_) {
        if (const auto kind = method->detect(text)) return Detected{method.get(), *kind};
    }
    return std::nullopt;
}

}  // namespace nutgate::payment
