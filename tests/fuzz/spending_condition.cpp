#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "nutgate/base/verify.h"
#include "nutgate/cashu/unlock.h"

namespace {

using namespace nutgate;
using namespace nutgate::cashu;

constexpr std::int64_t kNow = 1'700'000'000;

// The same in every run, so that a finding is one again.
class Zeros final : public crypto::Random {
public:
    void fill(std::span<std::byte> bytes) override {
        for (std::byte& byte : bytes) byte = std::byte{0};
    }
};

crypto::Scalar key(unsigned char number) {
    ByteArray<32> bytes{};
    bytes[31] = std::byte{number};
    return crypto::Scalar::from_bytes(bytes).value();
}

// What can be spent is what is unlocked, and what is unlocked is what a mint takes.
void check_spending(const Proof& proof, std::span<const crypto::Scalar> keys) {
    Zeros random;
    const auto spendable = can_spend({proof}, keys, kNow);
    wire::MeltRequest request;
    request.quote = "quote";
    request.inputs = {proof};
    request.outputs = {{1, proof.id, proof.C}};
    const auto unlocked = unlock(request, keys, kNow, random);
    if (spendable) {
        VERIFY(unlocked.has_value());
        VERIFY(check_locks(*unlocked, kNow).has_value());
    } else if (!unlocked) {
        VERIFY(unlocked.error().code == spendable.error().code);
        VERIFY(!describe(unlocked.error()).empty());
    }
}

}  // namespace

// A secret, and behind a zero byte its witness: any text is an ordinary secret, or a condition that
// was read whole, or good for nothing.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const std::array keys{key(2), key(3)};
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    const auto zero = text.find('\0');
    const std::string_view secret = text.substr(0, zero);
    Proof proof{1,
                KeysetId::parse("009a1f293253e41e").value(),
                std::string{secret},
                crypto::generator_times(key(5)),
                std::nullopt,
                std::nullopt,
                std::nullopt};
    if (zero != std::string_view::npos) proof.witness = std::string{text.substr(zero + 1)};

    const auto parsed = parse_condition(secret);
    if (parsed && *parsed) {
        const SpendingCondition& condition = **parsed;
        VERIFY(condition.main.signatures_needed <= condition.main.keys.size());
        VERIFY(!condition.refund || condition.refund->signatures_needed >= 1);
        VERIFY(is_locked_as(secret, condition.terms));
        VERIFY(parse_condition(write_condition(condition.terms, "")).has_value());
    }
    check_spending(proof, keys);
    check_spending(proof, {});
    proof.p2pk_e = crypto::generator_times(key(11));
    check_spending(proof, keys);
    return 0;
}
