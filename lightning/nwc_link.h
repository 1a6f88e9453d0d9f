// One wallet service of NIP-47, over its relays: what it can do, and calls to it, each encrypted,
// signed and told to whom it is. A call that ends in one of the service's own errors was heard and
// not done; of one that ends otherwise nothing is known but what NotSent says.
#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "json_value.h"
#include "nostr_relays.h"
#include "nutgate/base/id.h"
#include "nutgate/base/secret.h"
#include "nutgate/lightning/nwc.h"
#include "nutgate/lightning/nwc_uri.h"

namespace nutgate::lightning {

inline constexpr std::size_t kToldOfMax = 256;

enum class NwcError {
    NotSent,     // Certainly nobody was told.
    NoAnswer,    // None came in time, or nobody took the request.
    Unreadable,  // The service answered, but not in words that we know.
    // What it said, as NIP-47 names it.
    RateLimited,
    NotImplemented,
    InsufficientBalance,
    QuotaExceeded,
    Restricted,
    Unauthorized,
    Internal,
    UnsupportedEncryption,
    PaymentFailed,
    NotFound,
    Unexplained,  // OTHER, or a code that is none of these.
};

// Whether it proves that a payment was not begun by this call. PAYMENT_FAILED does not: it may be
// a time-out of the service's.
bool is_certain_refusal(NwcError error);

// What the service says of itself.
struct NwcProfile {
    bool nip44 = false;  // Else it knows NIP-04 alone.
    std::set<std::string, std::less<>> methods;

    bool has(std::string_view method) const { return methods.contains(method); }
};
NwcProfile read_profile(const NostrEvent& event);

struct NwcCall {
    std::string_view method;
    Json params;
    Repeat repeat = Repeat::Yes;
    Milliseconds timeout{0};
};

// Thread-safe.
class NwcLink {
public:
    // `hint` is called on the sockets' thread with the hash of a payment that the service tells of.
    NwcLink(std::string name, const NwcUri& uri, const NwcOptions& options,
            http::WebSockets& sockets, const Clock& clock, crypto::Random& random,
            std::function<void(const PaymentHash&)> hint);

    Result<NwcProfile, NwcError> profile(Milliseconds timeout);
    // What the service gave as its result. It must not begin what it gets after `timeout`.
    Result<Json, NwcError> call(const NwcCall& to_make);
    // Calls end, now and from now on, and no hint comes afterwards.
    void cease();

private:
    Result<Json, NwcError> read_answer(std::string_view method, const NostrEvent& answer) const;
    std::optional<std::string> decrypt(std::string_view content) const;
    void note(const NostrEvent& event);

    const std::string name_;
    const ByteArray<32> service_;
    const crypto::Scalar key_;
    const crypto::Point their_key_;
    const Secret conversation_;  // NIP-44's.
    const Clock& clock_;
    crypto::Random& random_;
    const std::function<void(const PaymentHash&)> hint_;
    // The sockets' thread's: of what was told lately, since services that know both encryptions
    // tell everything in either.
    std::deque<std::pair<std::string, PaymentHash>> told_of_;
    NostrRelays relays_;  // Last: its callbacks use all above.
};

}  // namespace nutgate::lightning
