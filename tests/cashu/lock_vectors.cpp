// NUT-11's spending conditions, NUT-28's locked proof, and the locked tokens of cashu-ts.
#include "cashu/vector_cases.h"
#include "nutgate/cashu/dhke.h"
#include "nutgate/cashu/unlock.h"
#include "nutgate/crypto/hash.h"
#include "support/seeded_random.h"

namespace nutgate::test {
namespace {

using namespace cashu;

constexpr std::int64_t kNow = 1'700'000'000;

// As a mint gets it: by way of the codec.
wire::SwapRequest swap_request(const Json& inputs, const Json& outputs = Json::array()) {
    const Json request{{"inputs", inputs}, {"outputs", outputs}};
    return wire::parse_swap_request(request.dump()).value();
}

void proof_is_unlocked(const Json&, const Json& vector) {
    const auto request = swap_request(Json::array({vector["proof"]}));
    CHECK(check_locks(request, kNow).has_value() == vector["valid"].get<bool>());
}

void message_is(const Json&, const Json& vector) {
    const Json& request = vector["request"];
    const auto swap = swap_request(request["inputs"], request["outputs"]);
    const std::string quote = request.value("quote", "");
    CHECK(quote.empty() == (vector["kind"] == "swap"));
    const std::string message = sig_all_message(swap.inputs, swap.outputs, quote);
    CHECK(message == text(vector["msg_to_sign"]));
    CHECK(to_hex(crypto::sha256(as_bytes(message))) == text(vector["sha256"]));
}

void swap_is_unlocked(const Json&, const Json& vector) {
    const auto request = wire::parse_swap_request(vector["request"].dump());
    REQUIRE(request);
    CHECK(check_locks(*request, kNow).has_value() == vector["valid"].get<bool>());
}

void melt_is_unlocked(const Json&, const Json& vector) {
    const auto request = wire::parse_melt_request(vector["request"].dump());
    REQUIRE(request);
    CHECK(check_locks(*request, kNow).has_value() == vector["valid"].get<bool>());
}

void blinded_proof_is_ours(const Json& file, const Json& json) {
    const Proof locked = proof(json, keyset_id(json["id"]));
    const std::vector keys{scalar(file["receiver"]["p"])};
    const auto lock = can_spend({locked}, keys, kNow);
    REQUIRE(lock);
    CHECK(lock->is_locked);
    CHECK_FALSE(lock->shared_from);
    CHECK_FALSE(can_spend({locked}, std::vector{scalar(file["sender_ephemeral"]["e"])}, kNow));
    SeededRandom random;
    const auto request = unlock(wire::SwapRequest{{locked}, {}}, keys, kNow, random);
    REQUIRE(request);
    CHECK(check_locks(*request, kNow));
}

}  // namespace

std::vector<VectorSection> lock_vectors() {
    return {
        {"nut11", "/proofs_sig_inputs", proof_is_unlocked},
        {"nut11", "/sig_all_message", message_is},
        {"nut11", "/swap_requests_sig_all", swap_is_unlocked},
        {"nut11", "/melt_requests_sig_all", melt_is_unlocked},
        {"nut28", "/example_proof", blinded_proof_is_ours},
    };
}

}  // namespace nutgate::test
