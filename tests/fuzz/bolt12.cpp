#include "nutgate/lightning/bolt12.h"

#include <cstdint>
#include <string>

#include "nutgate/base/bech32.h"
#include "nutgate/base/verify.h"

namespace {

using namespace nutgate;

std::string upper(std::string text) {
    for (char& c : text) {
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    }
    return text;
}

void read(const std::string& text) {
    const auto offer = parse_offer(text);
    const auto shouted = parse_offer(upper(text));
    const bool mixed = upper(text) != text && offer.has_value() != shouted.has_value();
    VERIFY(!mixed || !offer.has_value());
    if (offer) {
        VERIFY(offer->issuer_id || !offer->paths.empty());
        VERIFY(shouted && shouted->id == offer->id);
        for (const auto& path : offer->paths) VERIFY(!path.hops.empty());
    }
    if (const auto request = parse_invoice_request(text)) VERIFY(request->quantity > 0);
    if (const auto invoice = parse_bolt12_invoice(text)) VERIFY(!invoice->paths.empty());
}

}  // namespace

// Any text is an offer, a request, an invoice or none. Its bytes are read as a text, and as the
// records of one: a mutation of a text seldom hits the alphabet.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text{reinterpret_cast<const char*>(data), size};
    read(text);
    constexpr std::string_view kAlphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    std::string written;
    for (const auto group : to_groups(as_bytes(text))) written += kAlphabet[group];
    for (const char* prefix : {"lno1", "lnr1", "lni1"}) read(prefix + written);
    return 0;
}
