#include "nutgate/lightning/bolt12.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <fstream>

#include "nutgate/base/bech32.h"
#include "nutgate/crypto/curve.h"
#include "nutgate/crypto/signature.h"
#include "support/seeded_random.h"
#include "tlv.h"

using namespace nutgate;
using Json = nlohmann::json;

namespace {

Json vectors(const std::string& name) {
    std::ifstream file{NUTGATE_VECTORS "/" + name};
    REQUIRE(file.good());
    return Json::parse(file);
}

Bytes big_size(std::uint64_t value) {
    Bytes bytes;
    const auto put = [&](std::size_t size) {
        for (std::size_t i = size; i-- > 0;) {
            bytes.push_back(static_cast<std::byte>(value >> (8 * i) & 0xff));
        }
    };
    if (value < 0xfd) {
        put(1);
    } else {
        bytes.push_back(std::byte{0xfd});
        put(2);
    }
    return bytes;
}

// A text of one's own, record by record.
class Writer {
public:
    Writer& add(std::uint64_t type, BytesView value) {
        for (const auto& part :
             {big_size(type), big_size(value.size()), Bytes{value.begin(), value.end()}}) {
            bytes_.insert(bytes_.end(), part.begin(), part.end());
        }
        return *this;
    }
    Writer& hex(std::uint64_t type, std::string_view value) { return add(type, *from_hex(value)); }
    Writer& text(std::uint64_t type, std::string_view value) { return add(type, as_bytes(value)); }

    // Over what is there already.
    Writer& sign(std::string_view message, const crypto::Scalar& key) {
        const auto records = lightning::read_tlv_stream(bytes_);
        REQUIRE(records.has_value());
        const auto digest = crypto::tagged_hash("lightning" + std::string{message} + "signature",
                                                {lightning::merkle_root(*records)});
        test::SeededRandom random;
        return add(240, crypto::schnorr_sign(key, digest, random));
    }
    std::string write(std::string_view prefix) const {
        constexpr std::string_view kAlphabet = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
        std::string text{prefix};
        for (const auto group : to_groups(bytes_)) text += kAlphabet[group];
        return text;
    }

private:
    Bytes bytes_;
};

const crypto::Scalar& alice() {
    static const auto kKey = *crypto::Scalar::from_hex(std::string(64, '4'));
    return kKey;
}
const crypto::Scalar& bob() {
    static const auto kKey = *crypto::Scalar::from_hex(std::string(64, '5'));
    return kKey;
}
ByteArray<33> node(const crypto::Scalar& key) { return crypto::generator_times(key).compressed(); }

// One hop, to Alice.
Bytes path() {
    Bytes bytes;
    for (const auto& key : {node(bob()), node(bob())}) {
        bytes.insert(bytes.end(), key.begin(), key.end());
    }
    bytes.push_back(std::byte{1});
    const auto last = node(alice());
    bytes.insert(bytes.end(), last.begin(), last.end());
    for (const auto byte : {0, 1, 7}) bytes.push_back(static_cast<std::byte>(byte));
    return bytes;
}

// Alice offers, Bob asks, Alice writes the invoice.
Writer asked() {
    Writer writer;
    writer.hex(0, "0102").text(10, "coffee").add(22, node(alice())).hex(82, "5208");
    return writer.add(88, node(bob()));
}
Writer invoiced() {
    Writer writer = asked();
    writer.add(160, path());
    writer.add(162, Bytes(28));
    writer.hex(164, "6ab13b80").add(168, Bytes(32, std::byte{9})).hex(170, "5208");
    return writer.add(176, node(alice()));
}

}  // namespace

TEST_CASE("bolt12: the specification's offers are read or refused as it says") {
    int valid = 0;
    for (const auto& vector : vectors("bolt12_offers.json")) {
        CAPTURE(vector.at("description").get<std::string>());
        const auto offer = parse_offer(vector.at("bolt12").get<std::string>());
        CHECK_EQ(offer.has_value(), vector.at("valid").get<bool>());
        valid += offer.has_value() ? 1 : 0;
    }
    CHECK_EQ(valid, 20);
}

TEST_CASE("bolt12: pieces are joined as the specification says, and only so") {
    for (const auto& vector : vectors("bolt12_format.json")) {
        CAPTURE(vector.at("comment").get<std::string>());
        CHECK_EQ(parse_offer(vector.at("string").get<std::string>()).has_value(),
                 vector.at("valid").get<bool>());
    }
    const std::string whole = "lno1zcss9mk8y3wkklfvevcrszlmu23kfrxh49px20665dqwmn4p72pksese";
    CHECK(parse_offer(whole).has_value());
    CHECK_FALSE(parse_offer("Lno1" + whole.substr(4)).has_value());
    CHECK_FALSE(parse_offer(whole + "\n").has_value());
}

TEST_CASE("bolt12: the Merkle root is the specification's") {
    for (const auto& vector : vectors("bolt12_signature.json")) {
        CAPTURE(vector.at("comment").get<std::string>());
        Bytes stream;
        for (const auto& tlv : vector.at("tlvs")) {
            const auto bytes = from_hex(tlv.get<std::string>());
            stream.insert(stream.end(), bytes->begin(), bytes->end());
        }
        const auto records = lightning::read_tlv_stream(stream);
        REQUIRE(records.has_value());
        CHECK_EQ(to_hex(lightning::merkle_root(*records)), vector.at("merkle").get<std::string>());
        if (!vector.contains("bolt12")) continue;
        const auto request = parse_invoice_request(vector.at("bolt12").get<std::string>());
        REQUIRE(request.has_value());
        CHECK_EQ(request->offer.description, "A Mathematical Treatise");
        CHECK_EQ(request->offer.currency, "USD");
        CHECK_EQ(request->offer.amount, 100);
        CHECK_EQ(to_hex(request->metadata), "0000000000000000");
    }
}

TEST_CASE("bolt12: an offer says what it says") {
    const auto offers = vectors("bolt12_offers.json");
    const auto read = [&](std::string_view description) {
        for (const auto& vector : offers) {
            if (vector.at("description") != description) continue;
            const auto offer = parse_offer(vector.at("bolt12").get<std::string>());
            REQUIRE(offer.has_value());
            return *offer;
        }
        REQUIRE(false);
        return Offer{};
    };
    CHECK_EQ(read("with amount").amount, 10'000);
    CHECK_EQ(read("with amount").description, "Test vectors");
    CHECK_EQ(read("with expiry").expires_at, from_unix_seconds(2'051'184'600));
    CHECK_EQ(read("with issuer").issuer, "https://bolt12.org BOLT12 industries");
    CHECK_EQ(read("with unlimited (or unknown) quantity").quantity_max, 0);
    CHECK(read("Minimal bolt12 offer").is_for(bitcoin_chain()));
    CHECK_FALSE(read("for testnet").is_for(bitcoin_chain()));
    CHECK(read("for bitcoin or liquidv1").is_for(bitcoin_chain()));
    const auto by_channel = read("... and with sciddir introduction node");
    REQUIRE_EQ(by_channel.paths.size(), 1);
    CHECK_EQ(to_hex(by_channel.paths.at(0).first_node), "00000000000000002a");
    CHECK_EQ(by_channel.paths.at(0).hops.size(), 2);
    CHECK_NE(read("with amount").id, read("with currency").id);
}

TEST_CASE("bolt12: a request is its payer's, to the last bit") {
    auto good = asked();
    const auto request = parse_invoice_request(good.sign("invoice_request", bob()).write("lnr1"));
    REQUIRE(request.has_value());
    CHECK_EQ(request->amount, 21'000_msat);
    CHECK_EQ(request->payer, node(bob()));
    auto by_another = asked();
    CHECK_EQ(
        parse_invoice_request(by_another.sign("invoice_request", alice()).write("lnr1")).error(),
        Bolt12Error::Signature);
    auto as_an_invoice = asked();
    CHECK_EQ(parse_invoice_request(as_an_invoice.sign("invoice", bob()).write("lnr1")).error(),
             Bolt12Error::Signature);
    CHECK_EQ(parse_invoice_request(asked().write("lnr1")).error(), Bolt12Error::FieldMissing);
}

TEST_CASE("bolt12: a request that does not fit its offer is refused") {
    const auto fault = [](Writer writer) {
        const auto request =
            parse_invoice_request(writer.sign("invoice_request", bob()).write("lnr1"));
        REQUIRE_FALSE(request.has_value());
        return request.error();
    };
    Writer no_amount;
    no_amount.hex(0, "01").text(10, "coffee").add(22, node(alice())).add(88, node(bob()));
    CHECK_EQ(fault(no_amount), Bolt12Error::FieldMissing);
    Writer no_payer;
    no_payer.hex(0, "01").add(22, node(alice())).hex(82, "05");
    CHECK_EQ(fault(no_payer), Bolt12Error::FieldMissing);
    Writer too_many;
    too_many.hex(0, "01").hex(20, "02").add(22, node(alice())).hex(82, "05").hex(86, "03");
    CHECK_EQ(fault(too_many.add(88, node(bob()))), Bolt12Error::FieldMalformed);
    Writer other_chain;
    other_chain.hex(0, "01").add(22, node(alice())).add(80, Bytes(32)).hex(82, "05");
    CHECK_EQ(fault(other_chain.add(88, node(bob()))), Bolt12Error::FieldMalformed);
    Writer unknown_feature;
    unknown_feature.hex(0, "01").add(22, node(alice())).hex(82, "05").hex(84, "01");
    CHECK_EQ(fault(unknown_feature.add(88, node(bob()))), Bolt12Error::FeatureUnknown);
}

TEST_CASE("bolt12: an invoice is the issuer's, over what was asked for") {
    auto good = invoiced();
    const auto invoice = parse_bolt12_invoice(good.sign("invoice", alice()).write("lni1"));
    REQUIRE(invoice.has_value());
    CHECK_EQ(invoice->amount, 21'000_msat);
    CHECK_EQ(invoice->payment_hash.hex(), to_hex(Bytes(32, std::byte{9})));
    CHECK_EQ(invoice->expires_at(), invoice->created_at + Seconds{7200});
    CHECK_EQ(invoice->paths.size(), 1);
    auto forged = invoiced();
    CHECK_EQ(parse_bolt12_invoice(forged.sign("invoice", bob()).write("lni1")).error(),
             Bolt12Error::Signature);

    // Signed well, but by a node that the offer does not know.
    Writer usurped = asked();
    usurped.add(160, path()).add(162, Bytes(28)).hex(164, "6ab13b80");
    usurped.add(168, Bytes(32, std::byte{9})).hex(170, "5208").add(176, node(bob()));
    CHECK_EQ(parse_bolt12_invoice(usurped.sign("invoice", bob()).write("lni1")).error(),
             Bolt12Error::Signature);

    Writer dearer = asked();
    dearer.add(160, path()).add(162, Bytes(28)).hex(164, "6ab13b80");
    dearer.add(168, Bytes(32, std::byte{9})).hex(170, "5209").add(176, node(alice()));
    CHECK_EQ(parse_bolt12_invoice(dearer.sign("invoice", alice()).write("lni1")).error(),
             Bolt12Error::FieldMalformed);

    Writer pathless = asked();
    pathless.hex(164, "6ab13b80").add(168, Bytes(32, std::byte{9})).hex(170, "5208");
    pathless.add(176, node(alice()));
    CHECK_EQ(parse_bolt12_invoice(pathless.sign("invoice", alice()).write("lni1")).error(),
             Bolt12Error::FieldMissing);
}

TEST_CASE("bolt12: what is no stream of records in the shortest form is refused") {
    for (const std::string_view hex : {"0a01610a0161",  // Twice the same.
                                       "0a0161020161",  // Descending.
                                       "fd000a0161",    // A type in three bytes that needs one.
                                       "0afd000161",    // So too its length.
                                       "0a0261"}) {     // Cut.
        CAPTURE(hex);
        CHECK_FALSE(lightning::read_tlv_stream(*from_hex(hex)).has_value());
    }
    CHECK_FALSE(lightning::read_truncated(*from_hex("0001")).has_value());
    CHECK_EQ(lightning::read_truncated(*from_hex("0100")), 256);
    CHECK_EQ(lightning::read_truncated({}), 0);
}

TEST_CASE("bolt12: an offer that we write is the one that Core Lightning writes of the same") {
    // An example of its documentation.
    const std::string theirs =
        "lno1qgsqvgnwgcg35z6ee2h3yczraddm72xrfua9uve2rlrm9deu7xyfzrcgqgn3qzs2ge5hx6pqwdskcefpzcss"
        "xwz9sqkjtd8qwnx06lxckvu6g8w8t0ue0zsrfqqygj636s4sw7v6";
    const auto parsed = parse_offer(theirs);
    REQUIRE(parsed.has_value());
    CHECK(to_hex(parsed->id) == "c5cde0292d56941940f8b10a4c9bdd1f8846d6041a61b3f7e0f87e105aa88121");
    CHECK(write_offer({.network = Network::Regtest,
                       .amount = 10'000_msat,
                       .description = "Fish sale!",
                       .issuer_id = *parsed->issuer_id}) == theirs);
}

TEST_CASE("bolt12: an offer that we write is read as it was meant, on each network") {
    const auto issuer =
        crypto::generator_times(*crypto::Scalar::from_hex(std::string(64, '7'))).compressed();
    for (const Network network :
         {Network::Bitcoin, Network::Testnet, Network::Signet, Network::Regtest, Network::Simnet}) {
        for (const std::size_t size : std::initializer_list<std::size_t>{0, 1, 252, 253, 700}) {
            const Bolt12OfferOrder order{
                .network = network,
                .metadata = Bytes(size, std::byte{5}),
                .amount = size == 0 ? std::nullopt : std::optional{*Msat::from_raw(1LL << 40)},
                .description = std::string(size, 'a') + "\xff",
                .issuer_id = issuer};
            const auto offer = parse_offer(write_offer(order));
            REQUIRE(offer.has_value());
            CHECK(offer->is_for(chain_of(network)));
            CHECK(offer->chains.empty() == (network == Network::Bitcoin));
            CHECK(offer->metadata.value_or(Bytes{}) == order.metadata);
            CHECK(offer->amount.has_value() == order.amount.has_value());
            if (order.amount) CHECK(*offer->amount == 1ULL << 40);
            CHECK(offer->description->size() == std::min<std::size_t>(size + 1, 639));
            CHECK(offer->issuer_id == issuer);
        }
    }
}
