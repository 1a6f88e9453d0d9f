#include "nutgate/lightning/bolt12.h"

#include <algorithm>
#include <map>
#include <utility>

#include "bolt12_format.h"
#include "nutgate/base/bech32.h"
#include "nutgate/crypto/curve.h"
#include "nutgate/crypto/signature.h"
#include "tlv.h"
#include "utf8.h"

namespace nutgate {
namespace {

using lightning::ByteReader;
using lightning::read_truncated;
using lightning::TlvRecord;
using Error = Bolt12Error;

constexpr std::size_t kTextBytesMax = 64 * 1024;

// Which records may stand in a text, beside those of experiments from 1,000,000,000 on.
enum class Kind { Offer, Request, Invoice };
constexpr std::uint64_t kSignature = 240;
constexpr std::uint64_t kSignaturesEnd = 1'000;
constexpr std::uint64_t kExperiments = 1'000'000'000;

bool belongs(Kind kind, std::uint64_t type) {
    switch (kind) {
        case Kind::Offer:
            return (type >= 1 && type <= 79) ||
                   (type >= kExperiments && type <= kExperiments + 999'999'999);
        case Kind::Request:
            return type <= 159 || (type >= kSignature && type <= kSignaturesEnd) ||
                   (type >= kExperiments && type <= kExperiments + 1'999'999'999);
        case Kind::Invoice:
            return true;
    }
    return false;
}

// With a reason for its end: the first fault is remembered, and what is read after it is empty.
class Records {
public:
    Records(Kind kind, std::vector<TlvRecord> records) : records_{std::move(records)} {
        for (const TlvRecord& record : records_) {
            if (!belongs(kind, record.type)) fault(Error::FieldUnknown);
            unread_even_ += record.type % 2 == 0 ? 1 : 0;
        }
    }

    const std::vector<TlvRecord>& all() const { return records_; }
    const std::optional<Error>& fault() const { return fault_; }
    void fault(Error error) {
        if (!fault_) fault_ = error;
    }
    // Once all that is known was asked for.
    void finish() {
        if (unread_even_ != 0) fault(Error::FieldUnknown);
    }

    const Bytes* find(std::uint64_t type) {
        const auto found = std::ranges::find(records_, type, &TlvRecord::type);
        if (found == records_.end()) return nullptr;
        unread_even_ -= type % 2 == 0 ? 1 : 0;
        return &found->value;
    }
    std::optional<std::string> text(std::uint64_t type) {
        const Bytes* const value = find(type);
        if (value == nullptr) return std::nullopt;
        if (!is_utf8(as_text(*value))) fault(Error::FieldMalformed);
        return std::string{as_text(*value)};
    }
    std::optional<std::uint64_t> number(std::uint64_t type, std::size_t size_max = 8) {
        const Bytes* const value = find(type);
        if (value == nullptr) return std::nullopt;
        const auto number = read_truncated(*value, size_max);
        if (!number) fault(Error::FieldMalformed);
        return number;
    }
    std::optional<Msat> msat(std::uint64_t type) {
        const auto value = number(type);
        if (!value) return std::nullopt;
        const auto amount = *value > static_cast<std::uint64_t>(Msat::kMax)
                                ? std::nullopt
                                : Msat::from_raw(static_cast<std::int64_t>(*value));
        if (!amount) fault(Error::FieldMalformed);
        return amount;
    }
    std::optional<Time> time(std::uint64_t type) {
        const auto seconds = number(type);
        if (!seconds) return std::nullopt;
        // Of the year 9999 at most: what comes after it never comes.
        constexpr std::uint64_t kLast = 253'402'300'799;
        return from_unix_seconds(static_cast<std::int64_t>(std::min(*seconds, kLast)));
    }
    template <std::size_t N>
    std::optional<ByteArray<N>> array(std::uint64_t type) {
        const Bytes* const value = find(type);
        if (value == nullptr) return std::nullopt;
        ByteArray<N> bytes{};
        if (value->size() != N) {
            fault(Error::FieldMalformed);
        } else {
            std::ranges::copy(*value, bytes.begin());
        }
        return bytes;
    }
    std::optional<ByteArray<33>> point(std::uint64_t type) {
        auto bytes = array<33>(type);
        if (bytes && !crypto::Point::from_bytes(*bytes)) fault(Error::FieldMalformed);
        return bytes;
    }
    // `known`: the even bits that we know.
    void features(std::uint64_t type, std::initializer_list<std::size_t> known) {
        const Bytes* const bits = find(type);
        if (bits == nullptr) return;
        for (std::size_t bit = 0; bit < bits->size() * 8; bit += 2) {
            const auto byte = std::to_integer<unsigned>((*bits)[bits->size() - 1 - bit / 8]);
            if ((byte >> (bit % 8) & 1U) == 0) continue;
            if (std::ranges::find(known, bit) == known.end()) fault(Error::FeatureUnknown);
        }
    }

private:
    std::vector<TlvRecord> records_;
    std::optional<Error> fault_;
    int unread_even_ = 0;
};

ByteArray<33> read_point(ByteReader& reader, bool& valid) {
    ByteArray<33> point{};
    const auto bytes = reader.take(point.size());
    if (reader.failed() || !crypto::Point::from_bytes(bytes)) {
        valid = false;
    } else {
        std::ranges::copy(bytes, point.begin());
    }
    return point;
}

std::vector<BlindedPath> read_paths(Records& records, std::uint64_t type) {
    std::vector<BlindedPath> paths;
    const Bytes* const value = records.find(type);
    if (value == nullptr) return paths;
    ByteReader reader{*value};
    bool valid = !value->empty();
    while (valid && !reader.is_at_end()) {
        BlindedPath path;
        if (reader.peek() <= 1) {
            const auto channel = reader.take(9);
            path.first_node.assign(channel.begin(), channel.end());
        } else {
            const auto node = read_point(reader, valid);
            path.first_node.assign(node.begin(), node.end());
        }
        path.path_key = read_point(reader, valid);
        const auto hops = reader.number(1);
        valid = valid && !reader.failed() && hops > 0;
        for (std::uint64_t i = 0; valid && i < hops; ++i) {
            const auto node = read_point(reader, valid);
            const auto data = reader.take(reader.number(2));
            valid = valid && !reader.failed();
            path.hops.push_back({.node = node, .data = Bytes{data.begin(), data.end()}});
        }
        paths.push_back(std::move(path));
    }
    if (!valid) records.fault(Error::FieldMalformed);
    return paths;
}

std::vector<ChainHash> read_chains(Records& records) {
    std::vector<ChainHash> chains;
    const Bytes* const value = records.find(2);
    if (value == nullptr) return chains;
    ByteReader reader{*value};
    while (!reader.failed() && !reader.is_at_end()) {
        ChainHash chain{};
        const auto bytes = reader.take(chain.size());
        if (!reader.failed()) std::ranges::copy(bytes, chain.begin());
        chains.push_back(chain);
    }
    if (reader.failed() || chains.empty()) records.fault(Error::FieldMalformed);
    return chains;
}

std::optional<Bytes> copy_of(const Bytes* value) {
    return value == nullptr ? std::nullopt : std::optional{*value};
}

Offer read_offer(Records& records) {
    Offer offer;
    offer.chains = read_chains(records);
    offer.metadata = copy_of(records.find(4));
    offer.currency = records.text(6);
    offer.amount = records.number(8);
    offer.description = records.text(10);
    records.features(12, {});
    offer.expires_at = records.time(14);
    offer.paths = read_paths(records, 16);
    offer.issuer = records.text(18);
    offer.quantity_max = records.number(20);
    offer.issuer_id = records.point(22);
    const auto is_letter = [](char c) { return c >= 'A' && c <= 'Z'; };
    if (offer.currency &&
        (offer.currency->size() != 3 || !std::ranges::all_of(*offer.currency, is_letter))) {
        records.fault(Error::FieldMalformed);
    }
    if (offer.amount && *offer.amount == 0) records.fault(Error::FieldMalformed);
    if ((offer.amount && !offer.description) || (offer.currency && !offer.amount)) {
        records.fault(Error::FieldMissing);
    }
    return offer;
}

bool answers_an_offer(const Offer& offer) { return offer.issuer_id || !offer.paths.empty(); }

void check_request(Records& records, const Bolt12InvoiceRequest& request, bool has_quantity) {
    const Offer& offer = request.offer;
    if (!answers_an_offer(offer)) {
        if (!request.amount || !offer.description) records.fault(Error::FieldMissing);
        if (!offer.chains.empty() || offer.quantity_max) records.fault(Error::FieldUnknown);
        return;
    }
    if (!offer.is_for(request.chain)) records.fault(Error::FieldMalformed);
    if (!offer.amount && !request.amount) records.fault(Error::FieldMissing);
    if (offer.quantity_max.has_value() != has_quantity) records.fault(Error::FieldMissing);
    const auto most = offer.quantity_max.value_or(1);
    if (request.quantity == 0 || (most != 0 && request.quantity > most)) {
        records.fault(Error::FieldMalformed);
    }
}

Bolt12InvoiceRequest read_request(Records& records) {
    Bolt12InvoiceRequest request;
    request.offer = read_offer(records);
    const Bytes* const metadata = records.find(0);
    if (metadata == nullptr) {
        records.fault(Error::FieldMissing);
    } else {
        request.metadata = *metadata;
    }
    request.chain = records.array<32>(80).value_or(bitcoin_chain());
    request.amount = records.msat(82);
    records.features(84, {});
    const auto quantity = records.number(86);
    request.quantity = quantity.value_or(1);
    const auto payer = records.point(88);
    if (!payer) records.fault(Error::FieldMissing);
    request.payer = payer.value_or(ByteArray<33>{});
    request.payer_note = records.text(89);
    (void)read_paths(records, 90);
    check_request(records, request, quantity.has_value());
    return request;
}

// One for each path: what its hops take, in 24 bytes and features.
std::size_t count_payinfos(Records& records) {
    const Bytes* const value = records.find(162);
    if (value == nullptr) return 0;
    ByteReader reader{*value};
    std::size_t count = 0;
    for (; !reader.failed() && !reader.is_at_end(); ++count) {
        (void)reader.take(4 + 4 + 2 + 8 + 8);
        (void)reader.take(reader.number(2));
    }
    if (reader.failed()) records.fault(Error::FieldMalformed);
    return count;
}

bool may_sign(const Offer& offer, const ByteArray<33>& node) {
    if (offer.issuer_id) return *offer.issuer_id == node;
    return std::ranges::any_of(offer.paths,
                               [&](const auto& path) { return path.hops.back().node == node; });
}

Bolt12Invoice read_invoice(Records& records, Bolt12InvoiceRequest request) {
    constexpr std::size_t kExpiryBytesMax = 4;
    const auto paths = read_paths(records, 160);
    if (paths.empty() || count_payinfos(records) != paths.size()) {
        records.fault(Error::FieldMissing);
    }
    const auto created_at = records.time(164);
    const auto expiry = records.number(166, kExpiryBytesMax);
    const auto hash = records.array<32>(168);
    const auto amount = records.msat(170);
    (void)records.find(172);
    constexpr std::size_t kMultiPart = 16;
    records.features(174, {kMultiPart});
    const auto node = records.point(176);
    if (!created_at || !hash || !amount || !node) records.fault(Error::FieldMissing);
    if (amount && request.amount && *amount != *request.amount) {
        records.fault(Error::FieldMalformed);
    }
    if (node && answers_an_offer(request.offer) && !may_sign(request.offer, *node)) {
        records.fault(Error::Signature);
    }
    return {.request = std::move(request),
            .paths = paths,
            .created_at = created_at.value_or(Time{}),
            .expiry = Seconds{static_cast<std::int64_t>(expiry.value_or(7200))},
            .payment_hash = PaymentHash{hash.value_or(ByteArray<32>{})},
            .amount = amount.value_or(Msat{}),
            .node = node.value_or(ByteArray<33>{})};
}

// Over all records but the signatures themselves.
void check_signature(Records& records, std::string_view message, const ByteArray<33>& key) {
    const auto signature = records.array<64>(kSignature);
    if (!signature) return records.fault(Error::FieldMissing);
    std::vector<TlvRecord> covered;
    for (const TlvRecord& record : records.all()) {
        const bool is_signature = record.type >= kSignature && record.type <= kSignaturesEnd;
        if (!is_signature) covered.push_back(record);
    }
    if (covered.empty()) return records.fault(Error::FieldMissing);
    const auto root = lightning::merkle_root(covered);
    const auto digest =
        crypto::tagged_hash("lightning" + std::string{message} + "signature", {root});
    if (!crypto::schnorr_verify(BytesView{key}.subspan(1), digest, *signature)) {
        records.fault(Error::Signature);
    }
}

bool is_bech32_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// Without the '+'s that join its pieces, and the blanks after them.
std::optional<std::string> joined(std::string_view text) {
    std::string whole;
    bool after_plus = true;  // At the beginning, too, a piece has to begin.
    for (const char c : text) {
        const bool is_blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';
        if (is_bech32_character(c)) {
            whole += c;
            after_plus = false;
        } else if (c == '+' && !after_plus) {
            after_plus = true;
        } else if (!is_blank || !after_plus || whole.empty()) {
            return std::nullopt;
        }
    }
    if (after_plus) return std::nullopt;
    return whole;
}

// Like bech32, but of a text that has no checksum.
std::optional<Groups> groups_of(std::string_view text, std::string_view prefix) {
    const bool has_upper = std::ranges::any_of(text, [](char c) { return c >= 'A' && c <= 'Z'; });
    const bool has_lower = std::ranges::any_of(text, [](char c) { return c >= 'a' && c <= 'z'; });
    if (has_upper && has_lower) return std::nullopt;
    std::string lower{text};
    for (char& c : lower) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    if (!lower.starts_with(prefix)) return std::nullopt;
    Groups groups;
    for (const char c : std::string_view{lower}.substr(prefix.size())) {
        const auto value = bolt12::kLetters.find(c);
        if (value == std::string_view::npos) return std::nullopt;
        groups.push_back(static_cast<std::uint8_t>(value));
    }
    return groups;
}

Result<Records, Error> read_records(Kind kind, std::string_view text, std::string_view prefix) {
    if (text.size() > kTextBytesMax) return fail(Error::NotBolt12);
    const auto whole = joined(text);
    const auto groups = whole ? groups_of(*whole, prefix) : std::nullopt;
    if (!groups) return fail(Error::NotBolt12);
    const auto bytes = to_bytes(*groups);
    auto records = bytes ? lightning::read_tlv_stream(*bytes) : std::nullopt;
    if (!records || records->empty()) return fail(Error::Malformed);
    return Records{kind, *std::move(records)};
}

}  // namespace

bool Offer::is_for(const ChainHash& chain) const {
    if (chains.empty()) return chain == bitcoin_chain();
    return std::ranges::find(chains, chain) != chains.end();
}

Result<Offer, Error> parse_offer(std::string_view text) {
    TRY(auto records, read_records(Kind::Offer, text, bolt12::kOfferPrefix));
    auto offer = read_offer(records);
    if (!answers_an_offer(offer)) records.fault(Error::FieldMissing);
    records.finish();
    if (records.fault()) return fail(*records.fault());
    Bytes whole;
    for (const TlvRecord& record : records.all()) {
        whole.insert(whole.end(), record.whole.begin(), record.whole.end());
    }
    offer.id = crypto::sha256(whole);
    return offer;
}

Result<Bolt12InvoiceRequest, Error> parse_invoice_request(std::string_view text) {
    TRY(auto records, read_records(Kind::Request, text, "lnr1"));
    auto request = read_request(records);
    if (!records.fault()) check_signature(records, "invoice_request", request.payer);
    records.finish();
    if (records.fault()) return fail(*records.fault());
    return request;
}

Result<Bolt12Invoice, Error> parse_bolt12_invoice(std::string_view text) {
    TRY(auto records, read_records(Kind::Invoice, text, "lni1"));
    auto request = read_request(records);
    auto invoice = read_invoice(records, std::move(request));
    if (!records.fault()) check_signature(records, "invoice", invoice.node);
    records.finish();
    if (records.fault()) return fail(*records.fault());
    return invoice;
}

}  // namespace nutgate
