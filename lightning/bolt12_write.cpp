#include "bolt12_format.h"
#include "nutgate/base/bech32.h"
#include "nutgate/base/verify.h"
#include "nutgate/lightning/bolt12.h"
#include "tlv.h"
#include "utf8.h"

namespace nutgate {
namespace {

constexpr std::size_t kOfferTextBytesMax = 639;  // As of an invoice's description.

std::string_view genesis_of(Network network) {
    switch (network) {
        case Network::Bitcoin:
            return "6fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000";
        case Network::Testnet:
            return "43497fd7f826957108f4a30fd9cec3aeba79972084e90ead01ea330900000000";
        case Network::Signet:
            return "f61eee3b63a380a477a063af32b2bbc97c9ff9f01f2c4225e973988108000000";
        case Network::Regtest:
            return "06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f";
        case Network::Simnet:
            return "f67ad7695d9b662a72ff3d8edbbb2de0bfa67b13974bb9910d116d5cbd863e68";
    }
    VERIFY(false);
    return "";
}

}  // namespace

ChainHash chain_of(Network network) { return *array_from_hex<32>(genesis_of(network)); }

ChainHash bitcoin_chain() { return chain_of(Network::Bitcoin); }

std::string write_offer(const Bolt12OfferOrder& order) {
    VERIFY(!order.amount || *order.amount > Msat{});
    Bytes records;
    // Bitcoin is what an offer is for that names no chain.
    if (order.network != Network::Bitcoin) {
        lightning::append_record(records, 2, chain_of(order.network));
    }
    if (!order.metadata.empty()) lightning::append_record(records, 4, order.metadata);
    if (order.amount) {
        const auto amount = static_cast<std::uint64_t>(order.amount->raw());
        lightning::append_record(records, 8, lightning::truncated(amount));
    }
    const std::string description = cut_utf8(order.description, kOfferTextBytesMax);
    lightning::append_record(records, 10, as_bytes(description));
    lightning::append_record(records, 22, order.issuer_id);

    std::string text{bolt12::kOfferPrefix};
    for (const auto group : to_groups(records)) text += bolt12::kLetters[group];
    return text;
}

}  // namespace nutgate
