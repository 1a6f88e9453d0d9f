// Lightning nodes of our own, and services that keep one for us: LND, Core Lightning, phoenixd,
// LNbits, each over its HTTP interface.
//
// What they have in common: a payment is looked for before it is told of and after, and only that
// look-up says what became of it; an order is compared with its invoice, and every invoice that a
// node returns is read by our own decoder: hash, amount and network are what was ordered, or it is
// refused. A preimage that does not prove its payment settles nothing.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "nutgate/base/secret.h"
#include "nutgate/http/client.h"
#include "nutgate/http/websocket.h"
#include "nutgate/lightning/backend.h"
#include "nutgate/store/store.h"

namespace nutgate {

struct NodeStatus {
    std::string version;             // As it calls itself; may be empty.
    std::optional<Network> network;  // Empty: it does not say.
    bool synced = true;              // It knows the chain as it is now.
};

// Thread-safe. It keeps no memory of what it told: an error of pay() says that this call told
// nobody of the payment, or that the node said no and knows of none. Who may have called it before,
// and calls again, does it through NodesInOrder.
class LightningNode : public LightningBackend {
public:
    // Asks the node who it is, with the credential for receiving: for a person, and to see that it
    // is there.
    virtual Result<NodeStatus, BackendError> status() = 0;
    // Whether it was given what paying needs; if not, pay() is refused.
    virtual bool pays() const = 0;
    // No hint comes afterwards, and what is asked is no longer answered. Not from a hint. Those
    // whose hints come by NodeOptions::pushes end with them.
    virtual void end_hints() {}
};

struct NodeOptions {
    std::string url;  // Its base: "https://127.0.0.1:8080".
    Network network = Network::Bitcoin;
    // As the node's interface takes them: a macaroon in hex, a rune, a password, an API key. The
    // one for paying may be empty: then it pays nothing.
    Secret receive_credential;
    Secret pay_credential;
    // LND, Core Lightning: the preimage of an invoice follows from it and the invoice's label, so
    // that its hash is known before it is asked for.
    Secret label_key;
    // Over which the node tells of arrivals: it is asked sooner then. Null: it is asked all the
    // same.
    http::WebSockets* pushes = nullptr;
    Milliseconds timeout{20'000};   // Of one call that does not pay.
    Milliseconds pay_time{60'000};  // For a node to look for a route in. The call gets more.
    // What a payment may cost where the node can be told so: so much, and a share of the amount.
    Msat fee_base = *Msat::from_raw(2'000);
    std::uint64_t fee_ppm = 10'000;
};

// `client` verifies the node's certificate: for one that signed its own it was given that file.
// What an adapter is given outlives it.
std::unique_ptr<LightningNode> make_lnd(NodeOptions options, http::Client& client);
std::unique_ptr<LightningNode> make_cln(NodeOptions options, http::Client& client);

// These two choose their payment hashes themselves and know no label of ours, so which invoice was
// made under which is kept here.
Result<void, store::StoreFailure> migrate_lightning(store::Database& database);
std::unique_ptr<LightningNode> make_phoenixd(NodeOptions options, http::Client& client,
                                             store::Database& database);
std::unique_ptr<LightningNode> make_lnbits(NodeOptions options, http::Client& client,
                                           store::Database& database);

}  // namespace nutgate
