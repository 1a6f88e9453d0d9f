// Our reader and writer of BOLT11 as a program: does what lines of stdin say, and answers each with
// a line of JSON.
//
//     write {"network", "amount_msat"?, "created_at", "expiry", "payment_hash", "payment_secret",
//            "description", "min_final_cltv", "key"}       read TEXT
#include <nlohmann/json.hpp>

#include <array>
#include <cstdio>
#include <iostream>
#include <string>
#include <utility>

#include "nutgate/lightning/invoice.h"

namespace {

using namespace nutgate;
using Json = nlohmann::json;

constexpr std::array<std::pair<const char*, Network>, 5> kNetworks{{{"bc", Network::Bitcoin},
                                                                    {"tb", Network::Testnet},
                                                                    {"tbs", Network::Signet},
                                                                    {"bcrt", Network::Regtest},
                                                                    {"sb", Network::Simnet}}};

const char* name_of(Bolt11Error error) {
    switch (error) {
        case Bolt11Error::NotAnInvoice:
            return "no invoice";
        case Bolt11Error::Checksum:
            return "checksum";
        case Bolt11Error::Prefix:
            return "prefix";
        case Bolt11Error::Truncated:
            return "truncated";
        case Bolt11Error::FieldMalformed:
            return "field malformed";
        case Bolt11Error::FieldMissing:
            return "field missing";
        case Bolt11Error::FeatureUnknown:
            return "feature unknown";
        case Bolt11Error::Signature:
            return "signature";
    }
    return "";
}

const char* name_of(Network network) {
    for (const auto& [name, known] : kNetworks) {
        if (known == network) return name;
    }
    return "";
}

template <class Bytes>
Json hex_or_null(const std::optional<Bytes>& bytes) {
    return bytes ? Json(to_hex(*bytes)) : Json();
}

Json route_of(const std::vector<Bolt11::Hop>& hops) {
    Json route = Json::array();
    for (const auto& hop : hops) {
        route.push_back({to_hex(hop.node), std::to_string(hop.short_channel_id), hop.fee_base_msat,
                         hop.fee_per_millionth, hop.cltv_delta});
    }
    return route;
}

Json read(const std::string& text) {
    const auto invoice = parse_bolt11(text);
    if (!invoice) return {{"error", name_of(invoice.error())}};
    Json routes = Json::array();
    for (const auto& route : invoice->routes) routes.push_back(route_of(route));
    return {
        {"network", name_of(invoice->network)},
        {"amount_msat", invoice->amount ? Json(std::to_string(invoice->amount->raw())) : Json()},
        {"created_at", to_unix_seconds(invoice->created_at)},
        {"expiry", invoice->expiry.count()},
        {"payment_hash", invoice->payment_hash.hex()},
        {"payment_secret", to_hex(invoice->payment_secret)},
        {"description", invoice->description ? Json(*invoice->description) : Json()},
        {"description_hash", hex_or_null(invoice->description_hash)},
        {"min_final_cltv", invoice->min_final_cltv},
        {"metadata", hex_or_null(invoice->metadata)},
        {"features", to_hex(invoice->features)},
        {"routes", routes},
        {"payee", to_hex(invoice->payee)}};
}

std::optional<std::string> write(const Json& order) {
    const auto text = [&](const char* name) { return order.at(name).get<std::string>(); };
    const auto hash = PaymentHash::parse(text("payment_hash"));
    const auto secret = array_from_hex<32>(text("payment_secret"));
    const auto key_bytes = array_from_hex<32>(text("key"));
    const auto key = key_bytes ? crypto::Scalar::from_bytes(*key_bytes) : std::nullopt;
    if (!hash || !secret || !key) return std::nullopt;
    Bolt11Order made{.amount = {},
                     .created_at = from_unix_seconds(order.at("created_at").get<std::int64_t>()),
                     .expiry = Seconds{order.at("expiry").get<std::int64_t>()},
                     .payment_hash = *hash,
                     .payment_secret = *secret,
                     .description = text("description"),
                     .min_final_cltv = order.at("min_final_cltv").get<std::uint32_t>()};
    for (const auto& [name, network] : kNetworks) {
        if (text("network") == name) made.network = network;
    }
    if (order.contains("amount_msat")) {
        made.amount = Msat::from_raw(std::stoll(text("amount_msat")));
        if (!made.amount) return std::nullopt;
    }
    return write_bolt11(made, *key);
}

Json obey(const std::string& line) {
    const auto rest = line.find(' ') + 1;
    if (line.starts_with("read ")) return read(line.substr(rest));
    if (!line.starts_with("write ")) return {{"error", "no such command"}};
    const auto written = write(Json::parse(line.substr(rest)));
    return written ? Json{{"bolt11", *written}} : Json{{"error", "no order"}};
}

}  // namespace

int main() {
    for (std::string line; std::getline(std::cin, line);) {
        std::puts(obey(line).dump().c_str());
        std::fflush(stdout);
    }
    return 0;
}
