// BOLT12: offers, requests for an invoice, and invoices, read from their text and verified. What is
// negotiated with them goes by onion messages, which is a node's affair.
//
// The text has no checksum, so all that protects it is what it says: TLV records in ascending order
// and minimal form, known even types only, points on the curve, and, but for an offer, a signature
// over the root of a Merkle tree of the records.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/amount.h"
#include "nutgate/base/bytes.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/id.h"
#include "nutgate/base/result.h"
#include "nutgate/crypto/hash.h"
#include "nutgate/lightning/invoice.h"

namespace nutgate {

using ChainHash = ByteArray<32>;  // Of a chain's genesis block, as BOLT12 names chains.
ChainHash bitcoin_chain();
ChainHash chain_of(Network network);

struct BlindedPath {
    Bytes first_node;  // A node's key (33 bytes), or a channel and a direction (9).
    ByteArray<33> path_key{};
    struct Hop {
        ByteArray<33> node;
        Bytes data;
    };
    std::vector<Hop> hops;  // At least one.
};

struct Offer {
    std::vector<ChainHash> chains;  // Empty: Bitcoin alone.
    std::optional<Bytes> metadata;
    std::optional<std::string> currency;  // Then `amount` is in its smallest unit, not in msat.
    std::optional<std::uint64_t> amount;
    std::optional<std::string> description;
    std::optional<Time> expires_at;
    std::vector<BlindedPath> paths;
    std::optional<std::string> issuer;
    std::optional<std::uint64_t> quantity_max;  // 0: any number.
    std::optional<ByteArray<33>> issuer_id;
    crypto::Hash256 id{};  // SHA-256 of its records, as Core Lightning names it.

    bool is_for(const ChainHash& chain) const;
};

struct Bolt12InvoiceRequest {
    Offer offer;  // What it repeats of the offer; without paths and issuer it answers to none.
    Bytes metadata;
    ChainHash chain = bitcoin_chain();
    std::optional<Msat> amount;
    std::uint64_t quantity = 1;
    ByteArray<33> payer{};
    std::optional<std::string> payer_note;
};

struct Bolt12Invoice {
    Bolt12InvoiceRequest request;
    std::vector<BlindedPath> paths;
    Time created_at;
    Seconds expiry{7200};
    PaymentHash payment_hash;
    Msat amount;
    ByteArray<33> node{};

    Time expires_at() const { return created_at + expiry; }
};

enum class Bolt12Error {
    NotBolt12,  // Another prefix, or no bech32 text.
    Malformed,  // No stream of TLV records: order, length, form.
    FieldMalformed,
    FieldMissing,  // Or two that belong together and are not.
    FieldUnknown,  // Of an even type, or of one that does not belong here.
    FeatureUnknown,
    Signature,
};

struct Bolt12OfferOrder {
    Network network = Network::Regtest;
    Bytes metadata{};              // The issuer's own; keeps offers apart that are alike otherwise.
    std::optional<Msat> amount{};  // Of each payment, not zero. Empty: the payer says.
    std::string description{};     // '?' stands for what is no UTF-8.
    ByteArray<33> issuer_id{};     // A point: the node that answers whoever wants to pay.
};
std::string write_offer(const Bolt12OfferOrder& order);

// "lno1…", "lnr1…", "lni1…", of either case, perhaps in pieces joined by '+'.
Result<Offer, Bolt12Error> parse_offer(std::string_view text);
Result<Bolt12InvoiceRequest, Bolt12Error> parse_invoice_request(std::string_view text);
// Signed by the offer's issuer, or by the end of one of its paths. That its request is ours its
// caller has to see.
Result<Bolt12Invoice, Bolt12Error> parse_bolt12_invoice(std::string_view text);

}  // namespace nutgate
