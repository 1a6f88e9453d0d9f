#include "nutgate/cashu/quote_signature.h"

#include <doctest/doctest.h>

#include "support/seeded_random.h"

namespace nutgate::cashu {
namespace {

TEST_CASE("quote signatures: what we sign verifies, for these outputs in this order only") {
    test::SeededRandom random;
    const auto key = crypto::Scalar::random(random);
    const auto public_key = crypto::generator_times(key);
    const auto id = KeysetId::parse("009a1f293253e41e").value();
    std::vector<BlindedMessage> outputs{
        {1, id, crypto::generator_times(crypto::Scalar::random(random))},
        {2, id, crypto::generator_times(crypto::Scalar::random(random))}};
    for (const QuoteMessage form : {QuoteMessage::V1, QuoteMessage::Legacy}) {
        const std::string signature = sign_quote(form, "quote-1", outputs, key, random);
        CHECK(verify_quote_signature(form, "quote-1", outputs, public_key, signature));
        CHECK_FALSE(verify_quote_signature(form, "quote-2", outputs, public_key, signature));
        CHECK_FALSE(verify_quote_signature(form, "quote-1", outputs, public_key, "00"));
        CHECK_FALSE(verify_quote_signature(form, "quote-1", outputs, public_key, ""));
        std::swap(outputs[0], outputs[1]);
        CHECK_FALSE(verify_quote_signature(form, "quote-1", outputs, public_key, signature));
        std::swap(outputs[0], outputs[1]);
    }
    const std::string v1 = sign_quote(QuoteMessage::V1, "q", outputs, key, random);
    outputs[0].amount = 4;
    CHECK_FALSE(verify_quote_signature(QuoteMessage::V1, "q", outputs, public_key, v1));
}

}  // namespace
}  // namespace nutgate::cashu
