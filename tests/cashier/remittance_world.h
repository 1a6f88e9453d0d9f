// A node that sends money away over Lightning, and what it asks to find out where to.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "cashier/world.h"
#include "nutgate/cashier/remittance.h"
#include "nutgate/cashu/wire.h"
#include "nutgate/lightning/lnurl.h"
#include "support/scripted_http.h"

namespace nutgate::test {

enum class Pays { Mint, Node };

// 30 sat on a key, 12 of revenue; where a node pays, 100 sat of the key's at Lightning besides.
struct RemittanceWorld : World {
    explicit RemittanceWorld(Pays payer = Pays::Mint, Remitter::Options options = {})
        : World{payer == Pays::Node ? Receive::OverNode : Receive::OverMint,
                {},
                {.node_pays = payer == Pays::Node}} {
        options.network = Network::Regtest;
        options.lnurl = &lnurl;
        if (payer == Pays::Node) options.payers = {&lightning};
        make_remitter = [this, options] {
            remitter = std::make_unique<Remitter>(cashier(), options, node->metrics);
        };
        make_remitter();
        key = key_of_token(42'000_msat);
        charge(*key, 12'000_msat);
        if (payer == Pays::Mint) return;
        const auto invoice = cashier().open_invoice(
            {.amount = 100_sat, .purpose = InvoicePurpose::TopUp, .key = key, .limits = {}});
        REQUIRE(invoice.has_value());
        lightning.mark_paid(invoice->payment_hash, 100'000_msat);
        cashier().hint(invoice->payment_hash);
        REQUIRE(balance(*key) == 130'000_msat);
    }

    // Another process on what this one leaves.
    void start_anew() {
        remitter.reset();
        restart();
        make_remitter();
        REQUIRE(remitter->settle());
    }
    // What watches does, until nothing more comes of it.
    void pass() {
        for (int i = 0; i < 4; ++i) {
            clock.advance(Seconds{200});
            node->mint.poll();
            REQUIRE(node->wallet.recover());
            REQUIRE(remitter->settle());
            node->audit();
        }
    }
    Result<Remittance, CashierError> remit(int n, const std::string& target,
                                           std::optional<Msat> amount = {}) {
        return remitter->remit(key, {.id = name(n), .target = target, .amount = amount});
    }
    CashierError::Code refused(int n, const std::string& target, std::optional<Msat> amount = {}) {
        const auto sent = remit(n, target, amount);
        REQUIRE_FALSE(sent.has_value());
        return sent.error().code;
    }
    // Somebody outside pays an invoice with a token of our mint: what the mint says to it.
    cashu::MintAnswer melt_outside(const std::string& invoice, const std::string& token) {
        namespace wire = cashu::wire;
        const auto asked = node->mint.handle(
            cashu::MintMethod::Post, "/v1/melt/quote/bolt11",
            wire::write_melt_quote_request(
                {.request = invoice, .unit = "sat", .amountless_msat = {}, .mpp_msat = {}}));
        const auto quote = wire::parse_melt_quote(asked.body);
        REQUIRE(quote.has_value());
        const auto listed =
            wire::parse_keysets(node->mint.handle(cashu::MintMethod::Get, "/v1/keysets", {}).body);
        REQUIRE(listed.has_value());
        std::vector<cashu::KeysetId> ids;
        for (const auto& keyset : *listed) ids.push_back(keyset.id);
        const auto whole = cashu::resolve_keysets(customer.parsed(token), ids);
        REQUIRE(whole.has_value());
        return node->mint.handle(cashu::MintMethod::Post, "/v1/melt/bolt11",
                                 wire::write_melt_request({.quote = quote->quote,
                                                           .inputs = whole->proofs,
                                                           .outputs = {},
                                                           .prefer_async = false}));
    }
    static OperationId name(int n) { return OperationId{ByteArray<16>{std::byte(n)}}; }

    ScriptedHttp http;
    LnurlClient lnurl{http, clock, Network::Regtest};
    std::function<void()> make_remitter;
    std::unique_ptr<Remitter> remitter;
    std::optional<KeyId> key;
};

inline PaymentHash hash_of(const std::string& bolt11) { return parse_bolt11(bolt11)->payment_hash; }

}  // namespace nutgate::test
