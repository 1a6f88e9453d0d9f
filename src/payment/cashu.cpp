// Ecash: the text is the money. Nothing is opened and nothing polled; the cashier deposits it, and
// the wallet tells the Settler.
#include "nutgate/cashu/token.h"
#include "nutgate/payment/method.h"
#include "text.h"

namespace nutgate::payment {
namespace {

class Cashu final : public PaymentMethod {
public:
    std::string_view id() const override { return "cashu"; }
    std::string_view title() const override { return "Cashu ecash"; }
    std::string description() const override {
        return "A Cashu token of a mint that this node takes, given in the place of a key or to "
               "top one up.";
    }

    Capabilities capabilities() const override {
        return {
            .takes_text = true,
            .opens = false,
            .refunds = true,
            .reversible = false,
            .amount_min = *Msat::from_raw(1),
            .amount_max = *Msat::from_raw(Msat::kMax),
            .funds = Funds::InWallet,
            .holder = {},
        };
    }

    std::optional<TextKind> detect(std::string_view text) const override {
        if (text.size() > kTextBytesMax) return std::nullopt;
        if (cashu::looks_like_token(text)) return TextKind::Token;
        // NUT-18 requests: "creqA" is CBOR; NUT-26 writes them in bech32m, "creqb1".
        const std::string_view bare = trimmed(text);
        if (bare.starts_with("creqA") || begins_with(bare, "creqb1")) {
            return TextKind::TokenRequest;
        }
        return std::nullopt;
    }

    Result<Presentation, PaymentError> open(const Plan&) override {
        return fail(PaymentError::Unsupported);
    }
    Result<Observation, PaymentError> poll(std::string_view) override {
        return fail(PaymentError::Unsupported);
    }
};

}  // namespace

std::unique_ptr<PaymentMethod> make_cashu_method() { return std::make_unique<Cashu>(); }

}  // namespace nutgate::payment
