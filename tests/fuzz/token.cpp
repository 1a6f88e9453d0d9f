#include "nutgate/cashu/token.h"

#include <cstdint>
#include <string_view>

// What parses is money of a bounded size, and is the same token after it was written and read
// again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace nutgate::cashu;
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    // The raw form goes straight to the CBOR reader, past base64, which a fuzzer finds hard to
    // cross.
    for (auto token : {parse_token(text), parse_raw_token(nutgate::as_bytes(text))}) {
        if (!token) continue;
        VERIFY(!token->proofs.empty() && token->proofs.size() <= kTokenProofsMax);
        VERIFY(sum(token->proofs).value_or(0) > 0);
        for (Proof& proof : token->proofs) {
            VERIFY(!proof.secret.empty() && proof.secret.size() <= kSecretBytesMax);
            proof.id = proof.id.shortened();
            if (proof.dleq && !proof.dleq->r) proof.dleq.reset();
        }
        const std::string written = write_token(*token);
        // Base64 makes it longer than the raw bytes that were within the bound.
        if (written.size() > kTokenBytesMax) continue;
        const auto again = parse_token(written);
        VERIFY(again.has_value());
        VERIFY(again->proofs.size() == token->proofs.size());
        VERIFY(write_token(*again) == written);
    }
    return 0;
}
