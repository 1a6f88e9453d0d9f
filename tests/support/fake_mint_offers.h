// The offers of a FakeMint (NUT-25): quotes that are paid any number of times, and issued for what
// is left of that.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "nutgate/cashu/mint_client.h"
#include "nutgate/cashu/quote_signature.h"
#include "nutgate/cashu/wire_offers.h"
#include "nutgate/crypto/curve.h"
#include "nutgate/crypto/random.h"
#include "nutgate/lightning/bolt12.h"

namespace nutgate::test {

// Thread-safe.
class FakeMintOffers {
public:
    static constexpr const char* kInfo =
        R"({"name":"fake","version":"Fake/1.0.0","nuts":{"4":{"methods":[)"
        R"({"method":"bolt11","unit":"sat"},{"method":"bolt12","unit":"sat"}]}}})";

    // Empty if that is not about a quote of an offer.
    std::optional<cashu::MintAnswer> handle(std::string_view path, std::string_view body,
                                            const crypto::Scalar& node_key,
                                            crypto::Random& random) {
        const std::lock_guard lock{mutex_};
        constexpr std::string_view kQuotes = "/v1/mint/quote/bolt12";
        if (!path.starts_with(kQuotes)) return std::nullopt;
        std::string id{path.substr(kQuotes.size())};
        id = id.empty() ? create(body, node_key, random) : id.substr(1);
        const auto entry = quotes_.find(id);
        if (entry == quotes_.end()) {
            return cashu::MintAnswer{400, R"({"detail":"no such quote, or no key","code":20009})"};
        }
        return cashu::MintAnswer{200, cashu::wire::write_offer_quote(entry->second)};
    }
    // Somebody pays.
    void pay(const OfferId& offer, cashu::Amount amount) {
        const std::lock_guard lock{mutex_};
        for (auto& [id, quote] : quotes_) {
            if (OfferId{parse_offer(quote.request)->id} == offer) quote.amount_paid += amount;
        }
    }
    // Zero if so much may be issued for it.
    int fault_of(const cashu::wire::MintRequest& request, bool legacy_only) const {
        const std::lock_guard lock{mutex_};
        const auto entry = quotes_.find(request.quote);
        if (entry == quotes_.end()) return 50000;
        const auto& quote = entry->second;
        const auto holds = [&](cashu::QuoteMessage form) {
            return cashu::verify_quote_signature(form, quote.quote, request.outputs, *quote.pubkey,
                                                 request.signature.value_or(""));
        };
        const bool v1 = !legacy_only && holds(cashu::QuoteMessage::V1);
        if (!v1 && !holds(cashu::QuoteMessage::Legacy)) return 20008;
        if (quote.amount_paid == 0) return 20001;
        if (quote.amount_paid == quote.amount_issued) return 20002;
        const auto sum = cashu::sum(request.outputs);
        return sum && *sum <= quote.amount_paid - quote.amount_issued ? 0 : 11005;
    }
    void issue(const cashu::wire::MintRequest& request) {
        const std::lock_guard lock{mutex_};
        quotes_.at(request.quote).amount_issued += *cashu::sum(request.outputs);
    }

private:
    std::string create(std::string_view body, const crypto::Scalar& node_key,
                       crypto::Random& random) {
        const auto request = cashu::wire::parse_offer_quote_request(body);
        if (!request) return "";
        cashu::wire::OfferQuote quote;
        quote.quote = to_hex(random.bytes<16>());
        std::optional<Msat> amount;
        if (request->amount) amount = cashu::to_msat(*request->amount, cashu::Unit::Sat);
        const auto mark = random.bytes<16>();
        quote.request = write_offer({.network = Network::Regtest,
                                     .metadata = Bytes{mark.begin(), mark.end()},
                                     .amount = amount,
                                     .description = request->description.value_or(""),
                                     .issuer_id = crypto::generator_times(node_key).compressed()});
        quote.unit = request->unit;
        quote.amount = request->amount;
        quote.pubkey = request->pubkey;
        return quotes_.emplace(quote.quote, quote).first->first;
    }

    mutable std::mutex mutex_;
    std::map<std::string, cashu::wire::OfferQuote> quotes_;  // Guarded by mutex_.
};

}  // namespace nutgate::test
