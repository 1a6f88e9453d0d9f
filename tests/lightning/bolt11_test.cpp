#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <fstream>
#include <map>

#include "bolt11_format.h"
#include "nutgate/base/bech32.h"
#include "nutgate/crypto/signature.h"
#include "nutgate/lightning/invoice.h"
#include "support/seeded_random.h"

using namespace nutgate;

namespace {

const crypto::Scalar& node_key() {
    static const auto key = *crypto::Scalar::from_hex(
        "e126f68f7eafcc8b74f54d269fe206be715000f94dac067d1c04a8ca3b2db734");
    return key;
}

nlohmann::json vectors() {
    std::ifstream in{std::string{NUTGATE_VECTORS} + "/bolt11.json"};
    return nlohmann::json::parse(in);
}

const std::map<std::string, Network> kNetworkNames{{"bitcoin", Network::Bitcoin},
                                                   {"testnet", Network::Testnet}};

const std::map<std::string, Bolt11Error> kErrorNames{
    {"NotAnInvoice", Bolt11Error::NotAnInvoice},
    {"Checksum", Bolt11Error::Checksum},
    {"Prefix", Bolt11Error::Prefix},
    {"Truncated", Bolt11Error::Truncated},
    {"FieldMissing", Bolt11Error::FieldMissing},
    {"Signature", Bolt11Error::Signature},
    {"FeatureUnknown", Bolt11Error::FeatureUnknown},
};

std::optional<std::string> optional_text(const nlohmann::json& value) {
    if (value.is_null()) return std::nullopt;
    return value.get<std::string>();
}

template <class Container>
std::optional<std::string> optional_hex(const std::optional<Container>& bytes) {
    if (!bytes) return std::nullopt;
    return to_hex(*bytes);
}

std::vector<int> feature_bits(const Bytes& features) {
    std::vector<int> bits;
    for (std::size_t bit = 0; bit < features.size() * 8; ++bit) {
        const auto byte = features[features.size() - 1 - bit / 8];
        if (((byte >> (bit % 8)) & std::byte{1}) != std::byte{0})
            bits.push_back(static_cast<int>(bit));
    }
    return bits;
}

nlohmann::json routes_json(const Bolt11& invoice) {
    auto routes = nlohmann::json::array();
    for (const auto& route : invoice.routes) {
        auto hops = nlohmann::json::array();
        for (const auto& hop : route) {
            ByteArray<8> channel;
            for (std::size_t i = 0; i < 8; ++i) {
                channel[i] = static_cast<std::byte>((hop.short_channel_id >> (56 - 8 * i)) & 255);
            }
            hops.push_back({{"node", to_hex(hop.node)},
                            {"short_channel_id", to_hex(channel)},
                            {"fee_base_msat", hop.fee_base_msat},
                            {"fee_per_millionth", hop.fee_per_millionth},
                            {"cltv_delta", hop.cltv_delta}});
        }
        routes.push_back(hops);
    }
    return routes;
}

nlohmann::json fallbacks_json(const Bolt11& invoice) {
    auto fallbacks = nlohmann::json::array();
    for (const auto& fallback : invoice.fallbacks) {
        fallbacks.push_back({{"version", fallback.version}, {"program", to_hex(fallback.program)}});
    }
    return fallbacks;
}

Bolt11Order some_order(test::SeededRandom& random) {
    return {.network = Network::Regtest,
            .amount = 21'000_msat,
            .created_at = from_unix_seconds(1'790'000'000),
            .payment_hash = PaymentHash{random.bytes<32>()},
            .payment_secret = random.bytes<32>(),
            .description = "top up"};
}

// An invoice of hand-made fields, truly signed.
std::string forge(const std::string& prefix, const std::vector<std::pair<int, Groups>>& fields,
                  bool high_s = false) {
    Groups data(bolt11::kTimestampGroups, 1);
    for (const auto& [tag, field] : fields) {
        data.push_back(static_cast<std::uint8_t>(tag));
        data.push_back(static_cast<std::uint8_t>(field.size() / 32));
        data.push_back(static_cast<std::uint8_t>(field.size() % 32));
        data.insert(data.end(), field.begin(), field.end());
    }
    auto signature = crypto::ecdsa_sign(node_key(), bolt11::signing_digest(prefix, data));
    if (high_s) {
        const auto s = crypto::Scalar::from_bytes(BytesView{signature.compact}.last(32));
        std::ranges::copy(negate(*s).bytes(), signature.compact.begin() + 32);
        signature.recovery_id ^= 1;
    }
    Bytes bytes{signature.compact.begin(), signature.compact.end()};
    bytes.push_back(static_cast<std::byte>(signature.recovery_id));
    const auto groups = to_groups(bytes);
    data.insert(data.end(), groups.begin(), groups.end());
    return encode_bech32(prefix, data);
}

Groups hash_groups(int value) { return to_groups(Bytes(32, static_cast<std::byte>(value))); }
Groups text_groups(std::string_view text) { return to_groups(as_bytes(text)); }

std::vector<std::pair<int, Groups>> plain_fields() {
    return {{1, hash_groups(1)}, {16, hash_groups(2)}, {13, text_groups("x")}};
}

Bolt11Error error_of(const std::string& text) {
    const auto parsed = parse_bolt11(text);
    REQUIRE_FALSE(parsed.has_value());
    return parsed.error();
}

}  // namespace

TEST_CASE("bolt11: every valid example of the specification says what it says there") {
    const auto valid = vectors()["valid"];
    CHECK_EQ(valid.size(), 16);
    for (const auto& vector : valid) {
        CAPTURE(vector["name"].get<std::string>());
        const auto invoice = parse_bolt11(vector["invoice"].get<std::string>());
        REQUIRE(invoice.has_value());
        CHECK_EQ(invoice->network, kNetworkNames.at(vector["network"].get<std::string>()));
        CHECK_EQ(invoice->amount.has_value(), !vector["amount_msat"].is_null());
        if (invoice->amount) {
            CHECK_EQ(invoice->amount->raw(), vector["amount_msat"].get<std::int64_t>());
        }
        CHECK_EQ(to_unix_seconds(invoice->created_at), vector["created_at"].get<std::int64_t>());
        CHECK_EQ(invoice->expiry.count(), vector["expiry"].get<std::int64_t>());
        CHECK_EQ(invoice->payment_hash.hex(), vector["payment_hash"].get<std::string>());
        CHECK_EQ(to_hex(invoice->payment_secret), vector["payment_secret"].get<std::string>());
        CHECK_EQ(invoice->description, optional_text(vector["description"]));
        CHECK_EQ(optional_hex(invoice->description_hash),
                 optional_text(vector["description_hash"]));
        CHECK_EQ(invoice->min_final_cltv, vector["min_final_cltv"].get<std::uint32_t>());
        CHECK_EQ(optional_hex(invoice->metadata), optional_text(vector["metadata"]));
        CHECK_EQ(feature_bits(invoice->features), vector["feature_bits"].get<std::vector<int>>());
        CHECK_EQ(routes_json(*invoice), vector["routes"]);
        CHECK_EQ(fallbacks_json(*invoice), vector["fallbacks"]);
        if (!vector["payee"].is_null()) {
            CHECK_EQ(to_hex(invoice->payee), vector["payee"].get<std::string>());
        }
    }
}

TEST_CASE("bolt11: every invalid example of the specification is refused for its reason") {
    const auto invalid = vectors()["invalid"];
    CHECK_EQ(invalid.size(), 10);
    for (const auto& vector : invalid) {
        CAPTURE(vector["name"].get<std::string>());
        const auto invoice = parse_bolt11(vector["invoice"].get<std::string>());
        REQUIRE_FALSE(invoice.has_value());
        CHECK_EQ(invoice.error(), kErrorNames.at(vector["error"].get<std::string>()));
    }
}

TEST_CASE("bolt11: a URI scheme and upper case are taken, other things around it are not") {
    test::SeededRandom random;
    const auto text = write_bolt11(some_order(random), node_key());
    auto upper = text;
    std::ranges::transform(upper, upper.begin(),
                           [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    for (const auto& taken : {text, upper, "lightning:" + text, "LIGHTNING:" + upper}) {
        CHECK(parse_bolt11(taken).has_value());
    }
    CHECK_EQ(error_of("lightning://" + text), Bolt11Error::NotAnInvoice);
    CHECK_EQ(error_of(" " + text), Bolt11Error::NotAnInvoice);
    CHECK_EQ(error_of(text + "\n"), Bolt11Error::NotAnInvoice);
    CHECK_EQ(error_of(""), Bolt11Error::NotAnInvoice);
    CHECK_EQ(error_of(std::string(100'000, 'q')), Bolt11Error::NotAnInvoice);
}

TEST_CASE("bolt11: what is written is read back, whatever it is") {
    test::SeededRandom random{7};
    const auto below = [&](std::uint64_t limit) {
        const auto bytes = random.bytes<8>();
        std::uint64_t number = 0;
        for (const std::byte byte : bytes)
            number = number << 8 | std::to_integer<std::uint64_t>(byte);
        return number % limit;
    };
    const std::array networks{Network::Bitcoin, Network::Testnet, Network::Signet, Network::Regtest,
                              Network::Simnet};
    for (int round = 0; round < 300; ++round) {
        // Amounts of every length, and often round ones, since those choose the multiplier.
        std::uint64_t amount = 1 + below(1ULL << below(60));
        for (auto zeros = below(12); zeros > 0 && amount < 100'000'000'000'000; --zeros)
            amount *= 10;
        const auto key = crypto::Scalar::random(random);
        Bolt11Order order{
            .network = networks.at(below(networks.size())),
            .amount =
                below(8) == 0 ? std::nullopt : Msat::from_raw(static_cast<std::int64_t>(amount)),
            .created_at = from_unix_seconds(static_cast<std::int64_t>(below(1ULL << 35))),
            .expiry = Seconds{static_cast<std::int64_t>(below(1ULL << below(39)))},
            .payment_hash = PaymentHash{random.bytes<32>()},
            .payment_secret = random.bytes<32>(),
            .description = std::string(below(640), 'd'),
            .min_final_cltv = static_cast<std::uint32_t>(below(1ULL << 32)),
        };
        const auto text = write_bolt11(order, key);
        const auto read = parse_bolt11(text);
        REQUIRE(read.has_value());
        CHECK_EQ(read->network, order.network);
        CHECK_EQ(read->amount, order.amount);
        CHECK_EQ(read->created_at, order.created_at);
        CHECK_EQ(read->expiry, order.expiry);
        CHECK_EQ(read->payment_hash, order.payment_hash);
        CHECK_EQ(read->payment_secret, order.payment_secret);
        CHECK_EQ(read->description, order.description);
        CHECK_EQ(read->min_final_cltv, order.min_final_cltv);
        CHECK_EQ(read->payee, generator_times(key).compressed());
        CHECK_EQ(feature_bits(read->features), std::vector<int>{8, 14, 17});
    }
}

TEST_CASE("bolt11: the amount is written as shortly as it can be") {
    test::SeededRandom random;
    auto order = some_order(random);
    const std::map<std::int64_t, std::string> amounts{{1, "10p"},
                                                      {10, "100p"},
                                                      {100, "1n"},
                                                      {21'000, "210n"},
                                                      {2'500'000, "25u"},
                                                      {100'000'000, "1m"},
                                                      {100'000'001, "1000000010p"},
                                                      {100'000'000'000, "1"},
                                                      {Msat::kMax, "21000000"},
                                                      {Msat::kMax - 1, "20999999999999999990p"}};
    for (const auto& [amount, text] : amounts) {
        order.amount = Msat::from_raw(amount);
        const auto written = write_bolt11(order, node_key());
        CHECK(written.starts_with("lnbcrt" + text + "1"));
        CHECK_EQ(parse_bolt11(written)->amount, order.amount);
    }
}

TEST_CASE("bolt11: a description too long is cut between characters") {
    test::SeededRandom random;
    auto order = some_order(random);
    order.description = std::string(637, 'x') + "\xe6\x9d\xaf";
    CHECK_EQ(parse_bolt11(write_bolt11(order, node_key()))->description, std::string(637, 'x'));
    order.description = "caf\xe9";
    CHECK_EQ(parse_bolt11(write_bolt11(order, node_key()))->description, "caf?");
    order.description = "";
    CHECK_EQ(parse_bolt11(write_bolt11(order, node_key()))->description, "");
}

TEST_CASE("bolt11: amounts that are malformed, zero or beyond all bitcoin are refused") {
    for (const std::string amount :
         {"0", "01u", "0u", "u", "1x", "1uu", "1.5m", "1p", "15p", "p", "21000001",
          "99999999999999999999", "2100000000000000001n", "21000000000000000010p", "-1u", "1U"}) {
        CAPTURE(amount);
        CHECK_FALSE(parse_bolt11(forge("lnbcrt" + amount, plain_fields())).has_value());
    }
    CHECK_EQ(parse_bolt11(forge("lnbcrt21000000", plain_fields()))->amount,
             Msat::from_raw(Msat::kMax));
    // A multiplier that is not the shortest is valid.
    CHECK_EQ(parse_bolt11(forge("lnbcrt1000n", plain_fields()))->amount, 100'000_msat);
    CHECK_EQ(parse_bolt11(forge("lnbcrt1000000n", plain_fields()))->amount, 100'000'000_msat);
}

TEST_CASE("bolt11: a network is never taken for another that begins alike") {
    const std::map<std::string, Network> names{{"bc", Network::Bitcoin},
                                               {"tb", Network::Testnet},
                                               {"tbs", Network::Signet},
                                               {"bcrt", Network::Regtest},
                                               {"sb", Network::Simnet}};
    for (const auto& [name, network] : names) {
        CHECK_EQ(parse_bolt11(forge("ln" + name, plain_fields()))->network, network);
        CHECK_EQ(parse_bolt11(forge("ln" + name + "20m", plain_fields()))->network, network);
    }
    for (const std::string name : {"b", "bcr", "tbx", "ltc", "", "bcrts"}) {
        CHECK_EQ(error_of(forge("ln" + name, plain_fields())), Bolt11Error::Prefix);
    }
    CHECK_EQ(error_of(forge("xnbc", plain_fields())), Bolt11Error::NotAnInvoice);
    CHECK_EQ(error_of(forge("lnurl", plain_fields())), Bolt11Error::Prefix);
}

TEST_CASE("bolt11: each needed field is needed, and exactly one kind of description") {
    CHECK(parse_bolt11(forge("lnbc", plain_fields())).has_value());
    for (std::size_t i = 0; i < plain_fields().size(); ++i) {
        auto fields = plain_fields();
        fields.erase(fields.begin() + static_cast<std::ptrdiff_t>(i));
        CHECK_EQ(error_of(forge("lnbc", fields)), Bolt11Error::FieldMissing);
    }
    auto both = plain_fields();
    both.emplace_back(23, hash_groups(3));
    CHECK_EQ(error_of(forge("lnbc", both)), Bolt11Error::FieldMissing);
}

TEST_CASE("bolt11: of a field given twice the first counts, one of a strange size is skipped") {
    auto fields = plain_fields();
    fields.emplace_back(1, hash_groups(9));
    fields.emplace_back(16, hash_groups(9));
    fields.insert(fields.begin(), {1, Groups(51, 0)});
    const auto invoice = parse_bolt11(forge("lnbc", fields));
    REQUIRE(invoice.has_value());
    CHECK_EQ(invoice->payment_hash.hex(), to_hex(Bytes(32, std::byte{1})));
    CHECK_EQ(to_hex(invoice->payment_secret), to_hex(Bytes(32, std::byte{2})));
}

TEST_CASE("bolt11: a malformed field is refused") {
    const auto with = [](int tag, Groups field) {
        auto fields = plain_fields();
        fields.insert(fields.begin(), {tag, std::move(field)});
        return forge("lnbc", fields);
    };
    CHECK_EQ(error_of(with(13, text_groups("\xff\xfe"))), Bolt11Error::FieldMalformed);
    CHECK_EQ(error_of(with(13, Groups{1})), Bolt11Error::FieldMalformed);
    CHECK_EQ(error_of(with(6, Groups(20, 31))), Bolt11Error::FieldMalformed);
    CHECK_EQ(error_of(with(24, Groups{4, 0, 0, 0, 0, 0, 0})), Bolt11Error::FieldMalformed);
    CHECK_EQ(error_of(with(3, to_groups(Bytes(50)))), Bolt11Error::FieldMalformed);
    CHECK_EQ(error_of(with(3, Groups{})), Bolt11Error::FieldMalformed);
    CHECK_EQ(error_of(with(19, to_groups(Bytes(33)))), Bolt11Error::FieldMalformed);
    auto odd_hash = hash_groups(1);
    odd_hash.back() |= 1;
    CHECK_EQ(error_of(with(1, odd_hash)), Bolt11Error::FieldMalformed);
    // Leading zeros are allowed, and the largest numbers are.
    CHECK_EQ(parse_bolt11(with(6, Groups{0, 0, 0, 1, 28}))->expiry, Seconds{60});
    CHECK_EQ(parse_bolt11(with(24, Groups{3, 31, 31, 31, 31, 31, 31}))->min_final_cltv, UINT32_MAX);
}

TEST_CASE("bolt11: a field that runs into the signature is refused") {
    auto fields = plain_fields();
    const auto text = forge("lnbc", fields);
    auto decoded = *decode_bech32(text);
    // The description's size, told larger than what is there.
    const auto place = bolt11::kTimestampGroups + 2 * (3 + bolt11::kHashGroups) + 1;
    decoded.data[place] = 31;
    CHECK_EQ(error_of(encode_bech32(decoded.prefix, decoded.data)), Bolt11Error::Truncated);
    CHECK_EQ(error_of(encode_bech32("lnbc", Groups(110, 0))), Bolt11Error::Truncated);
    CHECK_EQ(error_of(encode_bech32("lnbc", Groups(113, 0))), Bolt11Error::Truncated);
}

TEST_CASE(
    "bolt11: features that a payer must know but we do not, and those that are taken for granted") {
    const auto with = [](std::initializer_list<int> bits) {
        Groups groups(60, 0);
        for (const int bit : bits) {
            groups[groups.size() - 1 - static_cast<std::size_t>(bit) / 5] |=
                static_cast<std::uint8_t>(1U << (static_cast<std::size_t>(bit) % 5));
        }
        auto fields = plain_fields();
        fields.emplace_back(5, groups);
        return forge("lnbc", fields);
    };
    for (const auto& good : {with({}), with({8, 14}), with({9, 15, 17}), with({8, 14, 16, 24, 48}),
                             with({8, 14, 99, 101, 263}),
                             // Without what they stand on: nutshell's are like the first.
                             with({15}), with({14}), with({17}), with({8, 16})}) {
        CHECK(parse_bolt11(good).has_value());
    }
    for (const auto& bad : {with({8, 14, 30}), with({8, 14, 100}), with({0}), with({8, 14, 262})}) {
        CHECK_EQ(error_of(bad), Bolt11Error::FeatureUnknown);
    }
}

TEST_CASE("bolt11: a named payee must have signed, with a low S; a recovered one may have either") {
    const auto recovered = parse_bolt11(forge("lnbc", plain_fields(), true));
    REQUIRE(recovered.has_value());
    CHECK_EQ(recovered->payee, generator_times(node_key()).compressed());

    auto named = plain_fields();
    named.emplace_back(19, to_groups(generator_times(node_key()).compressed()));
    CHECK_EQ(parse_bolt11(forge("lnbc", named))->payee, recovered->payee);
    CHECK_EQ(error_of(forge("lnbc", named, true)), Bolt11Error::Signature);

    test::SeededRandom random;
    named.back().second = to_groups(generator_times(crypto::Scalar::random(random)).compressed());
    CHECK_EQ(error_of(forge("lnbc", named)), Bolt11Error::Signature);
}

TEST_CASE("bolt11: a recovery id that is none is refused, where a payee is named, too") {
    auto fields = plain_fields();
    fields.emplace_back(19, to_groups(generator_times(node_key()).compressed()));
    const auto text = forge("lnbc", fields);
    REQUIRE(parse_bolt11(text).has_value());
    auto decoded = *decode_bech32(text);
    decoded.data[decoded.data.size() - 2] ^= 1;  // The id's bit of 32.
    CHECK_EQ(error_of(encode_bech32("lnbc", decoded.data)), Bolt11Error::Signature);
}

TEST_CASE("bolt11: another amount under the same signature is not the payee's invoice") {
    const auto text = forge("lnbc20m", plain_fields());
    const auto decoded = *decode_bech32(text);
    const auto changed = parse_bolt11(encode_bech32("lnbc200m", decoded.data));
    // Any signature recovers to some key; that it is not the payee's is all that can be seen.
    CHECK((!changed.has_value() || changed->payee != generator_times(node_key()).compressed()));
}
