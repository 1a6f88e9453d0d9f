#include "nutgate/cashu/unlock.h"

#include <array>
#include <limits>

#include "cashu/vectors.h"
#include "nutgate/cashu/blinded_key.h"
#include "nutgate/cashu/dhke.h"
#include "nutgate/crypto/hash.h"
#include "nutgate/crypto/signature.h"
#include "protocol/witness.h"
#include "support/seeded_random.h"

namespace nutgate::cashu {
namespace {

using test::Json;
using Code = LockFault::Code;

constexpr std::int64_t kNow = 1'700'000'000;

crypto::Scalar key_of(const char* last_digit) {
    return crypto::Scalar::from_hex(std::string(63, '0') + last_digit).value();
}
const crypto::Scalar kAlice = key_of("2");
const crypto::Scalar kBob = key_of("3");
const crypto::Scalar kCarol = key_of("5");
const std::string kPreimage = std::string(63, '0') + "1";

std::string hex(const crypto::Scalar& key) { return crypto::generator_times(key).hex(); }
std::string hash_of_preimage() {
    return to_hex(crypto::sha256(array_from_hex<32>(kPreimage).value()));
}

using Tags = std::vector<std::vector<std::string>>;
std::string p2pk(const crypto::Scalar& key, const Tags& tags = {}, const char* nonce = "n") {
    return write_condition({"P2PK", hex(key), tags}, nonce);
}
std::string htlc(const Tags& tags = {}) {
    return write_condition({"HTLC", hash_of_preimage(), tags}, "n");
}

Proof proof_of(std::string secret, std::optional<std::string> witness = std::nullopt) {
    return {1,
            KeysetId::parse("009a1f293253e41e").value(),
            std::move(secret),
            crypto::generator_times(kCarol),
            std::move(witness),
            std::nullopt,
            std::nullopt};
}

wire::SwapRequest swap_of(std::vector<Proof> inputs) {
    const auto id = inputs.front().id;
    return {std::move(inputs),
            {{1, id, crypto::generator_times(kAlice)}, {2, id, crypto::generator_times(kBob)}}};
}

std::string signature_of(const crypto::Scalar& key, std::string_view message) {
    test::SeededRandom random;
    return to_hex(crypto::schnorr_sign(key, crypto::sha256(as_bytes(message)), random));
}

std::string signatures(const std::vector<std::string>& all) {
    return write_witness({std::nullopt, all});
}

struct Keys {
    std::vector<crypto::Scalar> held;
    std::int64_t now = kNow;

    Result<Spendable, LockFault> can(const std::vector<Proof>& proofs) const {
        return can_spend(proofs, held, now);
    }
    Result<wire::SwapRequest, LockFault> swap(const std::vector<Proof>& proofs) const {
        test::SeededRandom random;
        return unlock(swap_of(proofs), held, now, random);
    }
    // What both steps say of one proof: they must agree.
    std::optional<LockFault> fault(const Proof& proof) const {
        const auto can_it = can({proof});
        const auto unlocked = swap({proof});
        REQUIRE(can_it.has_value() == unlocked.has_value());
        if (unlocked) {
            CHECK(check_locks(*unlocked, now));
            return std::nullopt;
        }
        CHECK(can_it.error().code == unlocked.error().code);
        CHECK_FALSE(describe(unlocked.error()).empty());
        return unlocked.error();
    }
    Code code(const Proof& proof) const {
        const auto found = fault(proof);
        REQUIRE(found);
        return found->code;
    }
};

std::size_t signatures_in(const wire::SwapRequest& request, std::size_t input = 0) {
    return parse_witness(request.inputs[input].witness.value_or("")).signatures.size();
}

TEST_CASE("unlock: an ordinary secret passes through, and belongs to whoever knows it") {
    const Proof plain = proof_of("c0ffee", "{\"x\":1}");
    const auto lock = Keys{}.can({plain});
    REQUIRE(lock);
    CHECK_FALSE(lock->is_locked);
    CHECK(lock->shared_from == 0);
    const auto request = Keys{}.swap({plain});
    REQUIRE(request);
    CHECK(request->inputs[0].witness == plain.witness);
    CHECK(check_locks(*request, kNow));
}

TEST_CASE("unlock: what is locked to our key is ours alone, and nobody else's") {
    const Proof locked = proof_of(p2pk(kAlice));
    const auto lock = Keys{{kBob, kAlice}}.can({locked});
    REQUIRE(lock);
    CHECK(lock->is_locked);
    CHECK_FALSE(lock->covers_outputs);
    CHECK_FALSE(lock->shared_from);
    CHECK_FALSE(Keys{{kAlice}}.fault(locked));
    CHECK(Keys{{kBob}}.code(locked) == Code::LockedToOther);
    CHECK(Keys{}.code(locked) == Code::LockedToOther);
    CHECK_FALSE(check_locks(swap_of({locked}), kNow));
}

TEST_CASE("unlock: a key is known by its x-coordinate, whichever parity the sender had") {
    const std::string other_parity = hex(crypto::negate(kAlice));
    REQUIRE(other_parity != hex(kAlice));
    const Proof locked = proof_of(write_condition({"P2PK", other_parity, {}}, "n"));
    CHECK_FALSE(Keys{{kAlice}}.fault(locked));
}

TEST_CASE("unlock: a witness is of its own secret") {
    auto request = Keys{{kAlice}}.swap({proof_of(p2pk(kAlice))}).value();
    request.inputs[0].secret = p2pk(kAlice, {}, "another");
    CHECK(check_locks(request, kNow).error().code == Code::LockedToOther);
}

TEST_CASE("unlock: several inputs, each with the witness that it needs") {
    const auto request = Keys{{kAlice, kBob}}.swap(
        {proof_of("plain"), proof_of(p2pk(kAlice)), proof_of(p2pk(kBob))});
    REQUIRE(request);
    CHECK_FALSE(request->inputs[0].witness);
    CHECK(signatures_in(*request, 1) == 1);
    CHECK(signatures_in(*request, 2) == 1);
    CHECK(check_locks(*request, kNow));
    const auto refused = Keys{{kAlice}}.swap({proof_of(p2pk(kAlice)), proof_of(p2pk(kBob))});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().input == 1);
}

TEST_CASE("unlock: of several inputs the first to be shared counts") {
    const Keys alice{{kAlice}};
    const auto until = [](std::int64_t time) {
        return proof_of(p2pk(kAlice, {{"locktime", std::to_string(time)}, {"refund", hex(kBob)}}));
    };
    CHECK(alice.can({until(kNow + 50), until(kNow + 9)})->shared_from == kNow + 10);
    CHECK(alice.can({until(kNow + 9), proof_of(p2pk(kAlice))})->shared_from == kNow + 10);
    CHECK(alice.can({proof_of(p2pk(kAlice)), until(kNow + 9)})->shared_from == kNow + 10);
    CHECK(alice.can({until(kNow + 9), proof_of("plain")})->shared_from == 0);
}

TEST_CASE("unlock: a lock is over strictly after its locktime, and the main pathway stays open") {
    const Proof locked =
        proof_of(p2pk(kAlice, {{"locktime", std::to_string(kNow)}, {"refund", hex(kBob)}}));
    CHECK(Keys{{kAlice}, kNow}.can({locked})->shared_from == kNow + 1);
    const auto early = Keys{{kBob}, kNow}.fault(locked);
    REQUIRE(early);
    CHECK(early->code == Code::NotYetOpen);
    CHECK(early->opens_at == kNow + 1);
    CHECK_FALSE(Keys{{kBob}, kNow + 1}.fault(locked));
    CHECK(Keys{{kBob}, kNow + 1}.can({locked})->shared_from == 0);
    CHECK_FALSE(Keys{{kAlice}, kNow + 1}.fault(locked));
    CHECK(Keys{{kCarol}, kNow + 1}.code(locked) == Code::LockedToOther);
    // A refund that was signed in time for us is too early for a mint whose clock is behind.
    const auto refund = Keys{{kBob}, kNow + 1}.swap({locked});
    REQUIRE(refund);
    CHECK_FALSE(check_locks(*refund, kNow));
}

TEST_CASE("unlock: without a refund key a lock that is over binds nobody") {
    const Proof locked = proof_of(p2pk(kAlice, {{"locktime", std::to_string(kNow)}}), "junk");
    CHECK(Keys{{kBob}, kNow}.code(locked) == Code::LockedToOther);
    const auto request = Keys{{kBob}, kNow + 1}.swap({locked});
    REQUIRE(request);
    CHECK_FALSE(request->inputs[0].witness);
    CHECK(check_locks(*request, kNow + 1));
    CHECK_FALSE(check_locks(*request, kNow));
    CHECK(Keys{{kBob}, kNow + 1}.can({locked})->shared_from == 0);
    // Who holds the key signs all the same: that needs no clocks that agree.
    CHECK(signatures_in(Keys{{kAlice}, kNow + 1}.swap({locked}).value()) == 1);
}

TEST_CASE("unlock: a refund key without a locktime never counts") {
    const Proof locked = proof_of(p2pk(kAlice, {{"refund", hex(kBob)}}));
    CHECK(Keys{{kBob}, std::numeric_limits<std::int64_t>::max()}.code(locked) ==
          Code::LockedToOther);
    CHECK_FALSE(Keys{{kAlice}}.can({locked})->shared_from);
}

TEST_CASE("unlock: a locktime that is no number never ends for us, and is not relied on") {
    for (const char* locktime : {"soon", "-5", "-0", "1.5", " 21", "99999999999999999999"}) {
        CAPTURE(locktime);
        const Proof locked =
            proof_of(p2pk(kAlice, {{"locktime", locktime}, {"refund", hex(kBob)}}));
        CHECK(Keys{{kBob}, std::numeric_limits<std::int64_t>::max()}.code(locked) ==
              Code::LockedToOther);
        CHECK(Keys{{kAlice}}.can({locked})->shared_from == 0);
    }
    const std::string last = std::to_string(std::numeric_limits<std::int64_t>::max());
    CHECK(Keys{{kAlice}}.can({proof_of(p2pk(kAlice, {{"locktime", last}}))})->shared_from ==
          std::numeric_limits<std::int64_t>::max());
}

TEST_CASE("unlock: a key in both pathways, or one of several that suffice alone") {
    const std::string locktime = std::to_string(kNow + 100);
    const Proof only_ours =
        proof_of(p2pk(kAlice, {{"locktime", locktime}, {"refund", hex(kAlice)}}));
    CHECK_FALSE(Keys{{kAlice}}.can({only_ours})->shared_from);
    const Proof either = proof_of(p2pk(kAlice, {{"pubkeys", hex(kBob)}}));
    CHECK(Keys{{kAlice}}.can({either})->shared_from == 0);
    CHECK(signatures_in(Keys{{kAlice, kBob}}.swap({either}).value()) == 1);
}

TEST_CASE("unlock: signatures of others are used, extended, and counted by their keys") {
    const std::string secret = p2pk(kAlice, {{"pubkeys", hex(kBob), hex(kCarol)}, {"n_sigs", "2"}});
    const auto alone = Keys{{kAlice}}.fault(proof_of(secret));
    REQUIRE(alone);
    CHECK(alone->code == Code::SignaturesMissing);
    CHECK(alone->signatures_missing == 1);
    CHECK(describe(*alone) == "proof 0: it needs 1 more signature(s) of others");

    const std::string bobs = signature_of(kBob, secret);
    const std::string carols = signature_of(kCarol, secret);
    const Proof half = proof_of(secret, signatures({bobs}));
    const auto request = Keys{{kAlice}}.swap({half});
    REQUIRE(request);
    const auto witness = parse_witness(*request->inputs[0].witness);
    REQUIRE(witness.signatures.size() == 2);
    CHECK(witness.signatures[0] == bobs);
    CHECK(check_locks(*request, kNow));
    // Two of three: the other two could do without us. Two of two could not.
    CHECK(Keys{{kAlice}}.can({half})->shared_from == 0);
    const std::string both = p2pk(kAlice, {{"pubkeys", hex(kBob)}, {"n_sigs", "2"}});
    CHECK_FALSE(
        Keys{{kAlice}}.can({proof_of(both, signatures({signature_of(kBob, both)}))})->shared_from);

    // Enough of others': we need no key at all. More than enough: no more than needed go along.
    CHECK_FALSE(Keys{}.fault(proof_of(secret, signatures({bobs, carols}))));
    const auto full = Keys{{kAlice}}.swap({proof_of(secret, signatures({bobs, carols}))});
    CHECK(signatures_in(full.value()) == 2);

    for (const auto& worthless :
         {signatures({signature_of(kBob, "another secret")}), signatures({"00", ""}),
          signatures({signature_of(key_of("7"), secret)}),
          signatures({signature_of(kAlice, secret)}), std::string{"[]"},
          std::string{"{\"signatures\":7}"}, std::string{"\xff"},
          signatures(std::vector<std::string>(kWitnessSignaturesMax + 1, bobs))}) {
        CAPTURE(worthless);
        CHECK(Keys{{kAlice}}.code(proof_of(secret, worthless)) == Code::SignaturesMissing);
    }
}

TEST_CASE("unlock: a mint counts keys and not signatures, and mixes no pathways") {
    const Tags tags{{"pubkeys", hex(kBob)},
                    {"n_sigs", "2"},
                    {"locktime", "1"},
                    {"refund", hex(kBob), hex(kCarol)},
                    {"n_sigs_refund", "2"}};
    const std::string secret = p2pk(kAlice, tags);
    const auto checked = [&](const std::vector<std::string>& given) {
        return check_locks(swap_of({proof_of(secret, signatures(given))}), kNow).has_value();
    };
    const std::string a = signature_of(kAlice, secret);
    const std::string b = signature_of(kBob, secret);
    const std::string c = signature_of(kCarol, secret);
    test::SeededRandom other{9};
    const std::string a2 =
        to_hex(crypto::schnorr_sign(kAlice, crypto::sha256(as_bytes(secret)), other));
    REQUIRE(a2 != a);
    CHECK(checked({a, b}));
    CHECK(checked({b, c}));
    CHECK(checked({b, b, a}));
    CHECK_FALSE(checked({a, a}));
    CHECK_FALSE(checked({a, a2}));
    CHECK_FALSE(checked({a, c}));
    CHECK_FALSE(checked({b}));
    CHECK_FALSE(checked({}));
}

TEST_CASE("unlock: an HTLC takes its preimage, and the signatures that its keys ask for") {
    const auto with = [](const Tags& tags, const std::string& preimage) {
        return proof_of(htlc(tags), write_witness({preimage, {}}));
    };
    CHECK_FALSE(Keys{}.fault(with({}, kPreimage)));
    CHECK(Keys{}.can({with({}, kPreimage)})->shared_from == 0);
    CHECK(Keys{{kAlice}}.code(proof_of(htlc())) == Code::PreimageMissing);
    const std::array<std::string, 5> wrong{std::string(64, '0'), "", kPreimage + "00",
                                           std::string(63, '0') + "x", "1"};
    for (const std::string& preimage : wrong) {
        CAPTURE(preimage);
        CHECK(Keys{}.code(with({}, preimage)) == Code::PreimageWrong);
    }

    const Tags to_alice{{"pubkeys", hex(kAlice)}};
    CHECK_FALSE(Keys{{kAlice}}.fault(with(to_alice, kPreimage)));
    CHECK_FALSE(Keys{{kAlice}}.can({with(to_alice, kPreimage)})->shared_from);
    CHECK(Keys{{kAlice}}.code(proof_of(htlc(to_alice))) == Code::PreimageMissing);
    CHECK(Keys{{kBob}}.code(with(to_alice, kPreimage)) == Code::LockedToOther);
    const auto request = Keys{{kAlice}}.swap({with(to_alice, kPreimage)});
    const auto witness = parse_witness(request.value().inputs[0].witness.value());
    CHECK(witness.preimage == kPreimage);
    CHECK(witness.signatures.size() == 1);
}

TEST_CASE("unlock: an HTLC's sender takes it back after the locktime without the preimage") {
    const Tags tags{{"pubkeys", hex(kAlice)}, {"locktime", "21"}, {"refund", hex(kBob)}};
    const Proof locked = proof_of(htlc(tags));
    CHECK(Keys{{kBob}, 21}.code(locked) == Code::NotYetOpen);
    const auto request = Keys{{kBob}, 22}.swap({locked});
    REQUIRE(request);
    CHECK(check_locks(*request, 22));
    CHECK_FALSE(check_locks(*request, 21));
    // A witness without a preimage would be read as P2PK's by one known mint.
    CHECK(parse_witness(*request->inputs[0].witness).preimage == std::string(64, '0'));
}

TEST_CASE("unlock: a witness may be encoded twice") {
    const std::string once = write_witness({kPreimage, {}});
    const Proof locked = proof_of(htlc({{"pubkeys", hex(kAlice)}}), Json(once).dump());
    CHECK_FALSE(Keys{{kAlice}}.fault(locked));
}

TEST_CASE("unlock: SIG_ALL's one witness is over all inputs and outputs, in their order") {
    const Tags all{{"sigflag", "SIG_ALL"}};
    const std::vector<Proof> inputs{proof_of(p2pk(kAlice, all, "1")),
                                    proof_of(p2pk(kAlice, all, "2"), signatures({"00"}))};
    CHECK(Keys{{kAlice}}.can(inputs)->covers_outputs);
    const auto signed_request = Keys{{kAlice}}.swap(inputs);
    REQUIRE(signed_request);
    CHECK(signatures_in(*signed_request) == 1);
    CHECK_FALSE(signed_request->inputs[1].witness);
    CHECK(check_locks(*signed_request, kNow));
    const auto changed = [&](auto change) {
        auto request = *signed_request;
        change(request);
        return check_locks(request, kNow).has_value();
    };
    CHECK_FALSE(changed([](auto& request) { ++request.outputs[0].amount; }));
    CHECK_FALSE(changed([](auto& request) { request.outputs.pop_back(); }));
    CHECK_FALSE(changed([](auto& r) { std::swap(r.outputs[0], r.outputs[1]); }));
    CHECK_FALSE(changed([](auto& request) { request.inputs.pop_back(); }));
    CHECK_FALSE(changed([](auto& r) { r.inputs[1].C = crypto::generator_times(kAlice); }));
    CHECK_FALSE(changed([](auto& r) { std::swap(r.inputs[0].witness, r.inputs[1].witness); }));
}

TEST_CASE("unlock: SIG_ALL of a melt covers the quote") {
    test::SeededRandom random;
    wire::MeltRequest request;
    request.quote = "quote";
    request.inputs = {proof_of(p2pk(kAlice, {{"sigflag", "SIG_ALL"}}))};
    request.outputs = swap_of(request.inputs).outputs;
    auto unlocked = unlock(request, std::vector{kAlice}, kNow, random);
    REQUIRE(unlocked);
    CHECK(check_locks(*unlocked, kNow));
    unlocked->quote = "other";
    CHECK_FALSE(check_locks(*unlocked, kNow));
    unlocked->quote = "";
    CHECK_FALSE(check_locks(*unlocked, kNow));
}

TEST_CASE("unlock: with SIG_ALL all inputs are locked alike or none is spent") {
    const Tags all{{"sigflag", "SIG_ALL"}};
    const Proof first = proof_of(p2pk(kAlice, all));
    for (const std::string& other :
         {std::string{"plain"}, p2pk(kAlice), p2pk(kBob, all), htlc(all),
          p2pk(kAlice, {{"sigflag", "SIG_ALL"}, {"locktime", "99999999999"}})}) {
        CAPTURE(other);
        const auto refused = Keys{{kAlice, kBob}}.can({first, proof_of(other)});
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == Code::InputsDiffer);
        CHECK(refused.error().input == 1);
        CHECK_FALSE(Keys{{kAlice, kBob}}.swap({proof_of(other), first}));
        CHECK_FALSE(check_locks(swap_of({first, proof_of(other)}), kNow));
    }
}

TEST_CASE("unlock: SIG_ALL's signatures of others count where they are over the same outputs") {
    const std::string secret =
        p2pk(kAlice, {{"sigflag", "SIG_ALL"}, {"pubkeys", hex(kBob)}, {"n_sigs", "2"}});
    auto request = swap_of({proof_of(secret)});
    CHECK(Keys{{kAlice}}.can(request.inputs).error().code == Code::SignaturesMissing);
    request.inputs[0].witness =
        signatures({signature_of(kBob, sig_all_message(request.inputs, request.outputs, ""))});
    test::SeededRandom random;
    const auto unlocked = unlock(request, std::vector{kAlice}, kNow, random);
    REQUIRE(unlocked);
    CHECK(signatures_in(*unlocked) == 2);
    CHECK(check_locks(*unlocked, kNow));
}

TEST_CASE("unlock: a blinded key is found in every slot, and signed for with its own key") {
    const crypto::Scalar ephemeral = key_of("b");
    const auto blinded = [&](const crypto::Scalar& key, std::size_t slot) {
        return blind_key(crypto::generator_times(key), ephemeral, slot).value().hex();
    };
    for (const crypto::Scalar& known : {kAlice, crypto::negate(kAlice)}) {
        const Tags others{{"pubkeys", hex(kBob), blinded(known, 2)}, {"n_sigs", "1"}};
        const Tags refund{{"pubkeys", hex(kBob)}, {"locktime", "1"}, {"refund", blinded(known, 2)}};
        const Tags in_htlc{{"pubkeys", blinded(known, 1)}};
        std::vector<Proof> proofs{proof_of(write_condition({"P2PK", blinded(known, 0), {}}, "n")),
                                  proof_of(p2pk(kCarol, others)), proof_of(p2pk(kCarol, refund)),
                                  proof_of(htlc(in_htlc), write_witness({kPreimage, {}}))};
        for (Proof& proof : proofs) {
            CAPTURE(proof.secret);
            CHECK(Keys{{kAlice}}.code(proof) == Code::LockedToOther);
            proof.p2pk_e = crypto::generator_times(ephemeral);
            CHECK_FALSE(Keys{{kAlice}}.fault(proof));
            proof.p2pk_e = crypto::generator_times(kBob);
            CHECK(Keys{{kAlice}}.code(proof) == Code::LockedToOther);
        }
        proofs[0].p2pk_e = crypto::generator_times(ephemeral);
        const auto request = Keys{{kAlice}}.swap({proofs[0]});
        // What would tell the mint whose it is stays here.
        CHECK(wire::write_swap_request(request.value()).find("p2pk_e") == std::string::npos);
    }
    CHECK_FALSE(blind_key(crypto::generator_times(kAlice), ephemeral, kBlindedSlotsMax));
}

TEST_CASE("unlock: a secret that mints would disagree about can't be spent with any key") {
    for (const std::string& secret : {std::string{"[\"P2PK\""}, p2pk(kAlice, {{"n_sigs", "0"}}),
                                      write_condition({"P2XX", hex(kAlice), {}}, "n")}) {
        const auto fault = Keys{{kAlice}}.fault(proof_of(secret));
        REQUIRE(fault);
        CHECK(fault->code == Code::Unspendable);
        CHECK(fault->condition);
        CHECK(check_locks(swap_of({proof_of("plain"), proof_of(secret)}), kNow).error().input == 1);
    }
}

// Any mixture of keys, counts and times: what we unlock a mint takes, and can_spend() knew.
TEST_CASE("unlock: what can be spent is what is unlocked, and what is unlocked passes a mint") {
    test::SeededRandom random{7};
    const std::array keys{kAlice, kBob, kCarol};
    const auto below = [&](unsigned most) {
        return std::to_integer<unsigned>(random.bytes<1>()[0]) % most;
    };
    int spent = 0;
    for (int round = 0; round < 400; ++round) {
        Tags tags;
        for (const char* name : {"pubkeys", "refund"}) {
            std::vector<std::string> tag{name};
            for (std::size_t i = name[0] == 'p' ? 1 : 0; i < keys.size(); ++i) {
                if (below(2) == 0) tag.push_back(hex(keys[i]));
            }
            if (tag.size() > 1) tags.push_back(tag);
        }
        if (below(2) == 0) tags.push_back({"n_sigs", std::to_string(1 + below(2))});
        if (below(2) == 0) tags.push_back({"locktime", std::to_string(kNow - 1 + below(3))});
        if (below(2) == 0) tags.push_back({"sigflag", below(2) == 0 ? "SIG_ALL" : "SIG_INPUTS"});
        const bool is_htlc = below(3) == 0;
        Keys holder;
        for (const crypto::Scalar& key : keys) {
            if (below(2) == 0) holder.held.push_back(key);
        }
        std::optional<std::string> witness;
        if (is_htlc && below(2) == 0) witness = write_witness({kPreimage, {}});
        const Proof proof = proof_of(is_htlc ? htlc(tags) : p2pk(kAlice, tags), witness);
        CAPTURE(proof.secret);
        if (!holder.fault(proof)) ++spent;
    }
    CHECK(spent > 50);
    CHECK(spent < 350);
}

}  // namespace
}  // namespace nutgate::cashu
