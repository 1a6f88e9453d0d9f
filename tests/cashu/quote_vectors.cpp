// Signatures that unlock mint quotes (NUT-20), and batches of quotes (NUT-29).
#include "cashu/vector_cases.h"
#include "nutgate/cashu/quote_signature.h"
#include "nutgate/cashu/wire_batch.h"
#include "nutgate/crypto/hash.h"

namespace nutgate::test {
namespace {

using namespace cashu;

bool verifies(QuoteMessage form, const Json& request, const crypto::Point& key) {
    return verify_quote_signature(form, request["quote"].get<std::string>(),
                                  outputs(request["outputs"]), key,
                                  request["signature"].get<std::string>());
}

Bytes message_of(QuoteMessage form, const Json& request) {
    return quote_message(form, request["quote"].get<std::string>(), outputs(request["outputs"]));
}

void legacy_verifies(const Json& file, const Json& vector) {
    const Json& request = vector["request"];
    CHECK(to_hex(message_of(QuoteMessage::Legacy, request)) == text(vector["msg_to_sign_hex"]));
    CHECK(verifies(QuoteMessage::Legacy, request, point(file["pubkey"])) ==
          vector["valid"].get<bool>());
    CHECK_FALSE(verifies(QuoteMessage::V1, request, point(file["pubkey"])));
}

void v1_verifies(const Json& file, const Json& vector) {
    const Json& request = vector["request"];
    CHECK(verifies(QuoteMessage::V1, request, point(file["pubkey"])) ==
          vector["valid"].get<bool>());
    if (!vector.contains("msg_to_sign_hex")) return;
    const Bytes message = message_of(QuoteMessage::V1, request);
    CHECK(to_hex(message) == text(vector["msg_to_sign_hex"]));
    CHECK(to_hex(crypto::sha256(message)) == text(vector["msg_hash"]));
}

void amount_is_written(const Json& file, const Json& vector) {
    const auto b = crypto::generator_times(scalar(file["secret_key"]));
    const std::vector<BlindedMessage> one{
        {vector["amount"], KeysetId::parse("009a1f293253e41e").value(), b}};
    CHECK(to_hex(quote_message(QuoteMessage::V1, "", one)) ==
          to_hex(as_bytes(file["domain_tag"].get<std::string>())) + "00000000" +
              text(vector["len32_hex"]) + text(vector["amount_bytes_hex"]) + "00000021" + b.hex());
}

// A batch of one locked quote, as the wire has it: its signature covers the quote's own id and all
// outputs.
bool batch_verifies(QuoteMessage form, const Json& vector) {
    const auto request = wire::parse_batch_mint_request(vector["request"].dump());
    REQUIRE(request);
    REQUIRE(request->quotes.size() == 1);
    REQUIRE(request->signatures.size() == 1);
    CHECK(request->quotes[0] == text(vector["quote"]));
    CHECK(request->signatures[0] == text(vector["signature"]));
    return verify_quote_signature(form, request->quotes[0], request->outputs,
                                  point(vector["pubkey"]), request->signatures[0].value());
}

void batch_signature_legacy(const Json&, const Json& vector) {
    // The first of them is printed as valid and is not: see its reason.
    CHECK(batch_verifies(QuoteMessage::Legacy, vector) == vector["valid"].get<bool>());
    CHECK_FALSE(batch_verifies(QuoteMessage::V1, vector));
    const auto message = quote_message(QuoteMessage::Legacy, vector["quote"].get<std::string>(),
                                       outputs(vector["request"]["outputs"]));
    if (vector["valid"].get<bool>()) {
        CHECK(as_text(message) == text(vector["msg_to_sign_utf8"]));
    }
    CHECK((to_hex(crypto::sha256(message)) == text(vector["msg_hash"])) ==
          vector["valid"].get<bool>());
}

void batch_signature_v1(const Json&, const Json& vector) {
    CHECK(batch_verifies(QuoteMessage::V1, vector) == vector["valid"].get<bool>());
    CHECK_FALSE(batch_verifies(QuoteMessage::Legacy, vector));
    const auto message = quote_message(QuoteMessage::V1, vector["quote"].get<std::string>(),
                                       outputs(vector["request"]["outputs"]));
    CHECK(to_hex(message) == text(vector["msg_to_sign_hex"]));
    CHECK(to_hex(crypto::sha256(message)) == text(vector["msg_hash"]));
}

// These vectors have words where points and keysets go.
Json with_values(Json json) {
    for (const char* list : {"outputs", "signatures"}) {
        if (!json.contains(list)) continue;
        for (Json& item : json[list]) {
            if (!item.is_object()) continue;
            item["id"] = "009a1f293253e41e";
            const char* const key = item.contains("C_") ? "C_" : "B_";
            item[key] = "02a9acc1e48c25eeeb9289b5031cc57da9fe72f3fe2861d264bdc074209b107ba2";
        }
    }
    return json;
}

void batch_has_shape(const Json&, const Json& vector) {
    const Json request = with_values(vector["request"]);
    const auto parsed = wire::parse_batch_mint_request(request.dump());
    // What a request alone can't show, a mint that knows the quotes must: here it has the right
    // shape.
    const bool needs_the_quotes = vector["name"] == "mixed payment methods";
    REQUIRE(parsed.has_value() == (vector["valid"].get<bool>() || needs_the_quotes));
    if (!parsed) {
        if (vector["error_code"] == 11016) {
            CHECK(parsed.error().code == wire::WireError::Code::Duplicate);
        }
        return;
    }
    CHECK(Json::parse(wire::write_batch_mint_request(*parsed)) == request);
    if (!vector.contains("response")) return;
    const auto signatures = wire::parse_signatures(with_values(vector["response"]).dump());
    REQUIRE(signatures);
    CHECK(sum(parsed->outputs) == signatures->front().amount);
}

void check_has_shape(const Json&, const Json& vector) {
    const auto parsed = wire::parse_batch_check_request(vector["request"].dump());
    REQUIRE(parsed);
    CHECK(Json::parse(wire::write_batch_check_request(*parsed)) == vector["request"]);
    // The error printed with it is of another shape than NUT-00's; it is survived.
    CHECK_FALSE(wire::parse_error(vector["spec_error_body"].dump()).code);
}

}  // namespace

std::vector<VectorSection> quote_vectors() {
    return {
        {"nut20", "/vectors", legacy_verifies},
        {"nut20_amended", "/vectors", v1_verifies},
        {"nut20_amended", "/amount_encoding_computed", amount_is_written},
        {"nut29", "/batch_mint", batch_has_shape},
        {"nut29", "/check", check_has_shape},
        {"nut29", "/nut20_signature", batch_signature_legacy},
        {"nut29_amended", "/vectors", batch_signature_v1},
        {"interop_cashu_ts", "/mint_quote_signatures",
         [](const Json&, const Json& vector) {
             CHECK(verifies(QuoteMessage::Legacy, vector, point(vector["pubkey"])));
         }},
    };
}

}  // namespace nutgate::test
