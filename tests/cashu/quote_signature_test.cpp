#include "nutgate/cashu/quote_signature.h"

#include "cashu/vectors.h"
#include "nutgate/crypto/hash.h"
#include "support/seeded_random.h"

namespace nutgate::cashu {
namespace {

using test::Json;
using test::vectors;

bool verifies(QuoteMessage form, const Json& request, const crypto::Point& key) {
    return verify_quote_signature(form, request["quote"].get<std::string>(),
                                  test::outputs(request["outputs"]), key,
                                  request["signature"].get<std::string>());
}

TEST_CASE("quote signatures: the legacy vectors of NUT-20") {
    const Json file = vectors("nut20");
    for (const Json& vector : file["vectors"]) {
        CAPTURE(vector["reason"].get<std::string>());
        const Json& request = vector["request"];
        CHECK(to_hex(quote_message(QuoteMessage::Legacy, request["quote"].get<std::string>(),
                                   test::outputs(request["outputs"]))) ==
              test::text(vector["msg_to_sign_hex"]));
        CHECK(verifies(QuoteMessage::Legacy, request, test::point(file["pubkey"])) ==
              vector["valid"].get<bool>());
        CHECK_FALSE(verifies(QuoteMessage::V1, request, test::point(file["pubkey"])));
    }
}

TEST_CASE("quote signatures: the v1 vectors of the amended NUT-20") {
    const Json file = vectors("nut20_amended");
    for (const Json& vector : file["vectors"]) {
        CAPTURE(vector["name"].get<std::string>());
        const Json& request = vector["request"];
        CHECK(verifies(QuoteMessage::V1, request, test::point(file["pubkey"])) ==
              vector["valid"].get<bool>());
        if (!vector.contains("msg_to_sign_hex")) continue;
        const Bytes message = quote_message(QuoteMessage::V1, request["quote"].get<std::string>(),
                                            test::outputs(request["outputs"]));
        CHECK(to_hex(message) == test::text(vector["msg_to_sign_hex"]));
        CHECK(to_hex(crypto::sha256(message)) == test::text(vector["msg_hash"]));
    }
    for (const Json& vector : file["amount_encoding_computed"]) {
        CAPTURE(vector.dump());
        const auto b = crypto::generator_times(test::scalar(file["secret_key"]));
        const std::vector<BlindedMessage> outputs{
            {vector["amount"], KeysetId::parse("009a1f293253e41e").value(), b}};
        const std::string message = to_hex(quote_message(QuoteMessage::V1, "", outputs));
        CHECK(message == to_hex(as_bytes(file["domain_tag"].get<std::string>())) + "00000000" +
                             vector["len32_hex"].get<std::string>() +
                             vector["amount_bytes_hex"].get<std::string>() + "00000021" + b.hex());
    }
}

TEST_CASE("quote signatures: the corrected single-quote forms of NUT-29, and its broken one") {
    for (const char* name : {"nut29", "nut29_amended"}) {
        const bool amended = std::string{name} == "nut29_amended";
        const Json file = vectors(name)[amended ? "vectors" : "nut20_signature"];
        for (const Json& vector : file) {
            if (!vector.contains("signature") || !vector.contains("pubkey")) continue;
            CAPTURE(vector.dump());
            const Json& outputs =
                vector.contains("request") ? vector["request"]["outputs"] : vector["outputs"];
            CHECK(verify_quote_signature(amended ? QuoteMessage::V1 : QuoteMessage::Legacy,
                                         vector["quote"].get<std::string>(), test::outputs(outputs),
                                         test::point(vector["pubkey"]),
                                         vector["signature"].get<std::string>()) ==
                  vector.value("valid", true));
        }
    }
}

TEST_CASE("interop: the quote signatures of cashu-ts verify") {
    for (const Json all = vectors("interop_cashu_ts");
         const Json& vector : all["mint_quote_signatures"]) {
        CAPTURE(vector.dump());
        CHECK(verifies(QuoteMessage::Legacy, vector, test::point(vector["pubkey"])));
    }
}

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
