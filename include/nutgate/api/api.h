// The public routes that are not sold: /v1/balance (and its alias /v1/wallet), /v1/info,
// /lightning, the embedded mint at /mint, the page at /, health. Each handler is three steps:
// parse, call a module, encode.
//
// The handlers block on mints and Lightning backends, so they run on the server's bounded pool.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "nutgate/base/clock.h"
#include "nutgate/cashier/cashier.h"
#include "nutgate/cashier/remittance.h"
#include "nutgate/cashu/mint.h"
#include "nutgate/cashu/wallet.h"
#include "nutgate/http/error_envelope.h"
#include "nutgate/http/server.h"
#include "nutgate/keyring/keyring.h"
#include "nutgate/payment/methods.h"
#include "nutgate/store/store.h"

namespace nutgate::api {

struct Services {
    Cashier& cashier;
    Remitter& remitter;
    cashu::Wallet& wallet;
    Keyring& keyring;
    const payment::PaymentMethods& methods;
    cashu::Mint* mint;  // Null: no /mint.
    const Clock& clock;
    store::Database& database;
};

struct Options {
    std::string name;
    std::string description;
    std::string version;
    std::string http_url;  // As others reach this node.
    // URLs whose tokens are taken, the first is primary. Asked each time: they change.
    std::function<std::vector<std::string>()> mints;
    std::string foreign_mints = "refuse";  // Or "swap": what is done with tokens of other mints.
    std::string p2pk_pubkey;  // Whom tokens for this node may be locked to (NUT-11), in hex.
    std::string npub;         // Of the node's Nostr key; empty: none is shown.
    std::string cors_origin = "*";
    Msat child_key_cost;
    std::int64_t invoices_per_client_per_minute = 30;
    std::int64_t creates_per_client_per_minute = 60;
    std::int64_t status_per_client_per_minute = 600;
    std::int64_t refunds_per_client_per_minute = 10;
    std::int64_t waits_per_client_max = 64;  // Requests that wait for an invoice, at a time.
    std::int64_t waits_max = 5'000;          // Of all clients.
    std::int64_t usage_rows_max = 1'000;     // In one answer of /v1/balance/usage.
    // Nodes behind it and whether each answers; empty: it has none. Asked on data threads: no wait.
    std::function<std::vector<std::pair<std::string, bool>>()> lightning_nodes;
    std::string not_ready;  // Why it can't serve, as long as it runs; empty: it can.
    // A small write that changes something, to see whether the database takes any.
    std::function<void(store::Tx&)> touch;
};

class Api {
public:
    Api(Services services, Options options);
    ~Api();
    Api(const Api&) = delete;
    Api& operator=(const Api&) = delete;

    // Outlives the server. Sets the server's error bodies and the heads of all answers (CORS,
    // x-routstr-request-id), too.
    void add_routes(http::Server& server);
    // Whether this client may hand in one more token now: one limit, wherever it does. Thread-safe.
    Result<void, http::ApiError> admit_token(std::string_view client_ip);
    // Of a node that may show itself and nothing else: all other paths are answered 503.
    void add_health_routes(http::Server& server);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// The cashier's facts as status, type, code and words: routstr-contract 1.7, in one switch.
http::ApiError to_api_error(const CashierError& error);

}  // namespace nutgate::api
