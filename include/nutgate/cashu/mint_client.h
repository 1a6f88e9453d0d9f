// A mint as the wallet sees it: something that answers requests of the protocol. Remote over HTTP,
// or the one in this process without HTTP. The wallet's requests are bytes, written down before
// they are sent and sent again unchanged (NUT-19), so bytes are what this interface carries.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "nutgate/base/clock.h"
#include "nutgate/base/metrics.h"
#include "nutgate/base/result.h"
#include "nutgate/cashu/proof.h"
#include "nutgate/crypto/random.h"
#include "nutgate/http/reach.h"

namespace nutgate::http {
class Client;
}

namespace nutgate::cashu {

class Mint;

enum class MintMethod { Get, Post };

struct MintAnswer {
    int status = 200;
    std::string body;  // JSON, at most 8 MiB.
    // How long the mint wants to be left alone, where it says so.
    std::optional<Seconds> retry_after = std::nullopt;
};

enum class MintFailure {
    NotSent,    // Certainly not received.
    Ambiguous,  // It may have been received and acted upon: a time-out, a reset, a cut answer.
};

// Thread-safe. VERIFYs that no transaction is open on this thread.
class MintClient {
public:
    virtual ~MintClient() = default;
    // `path` is below the mint's base: "/v1/swap".
    virtual Result<MintAnswer, MintFailure> call(MintMethod method, std::string_view path,
                                                 std::string_view body) = 0;
};

// `reach`: PublicOnly where a stranger chose the URL.
std::unique_ptr<MintClient> make_remote_mint(MintUrl url, http::Client& client,
                                             http::Reach reach = http::Reach::Anywhere);
std::unique_ptr<MintClient> make_local_mint(Mint& mint);

struct PatientMintOptions {
    std::size_t calls_max = 16;         // At once; the others wait their turn, first come first.
    Milliseconds turn_timeout{30'000};  // For that. Beyond it: NotSent.
    Seconds backoff_first{1};           // After a 429, doubled by each that follows,
    Seconds backoff_max{60};            // and up to a quarter longer by chance.
    Seconds retry_after_max{600};       // Of what a mint may ask for.
    std::string name = {};              // Of the mint, in metrics: one of those configured.
};
// `mint`, and manners: never more calls at once than it may have, and none at all while it asks us
// to wait. It asks by a 429, or by a 503 that says until when; that answer is passed on as it is.
// Until the wait is over every call, of whatever kind, is answered NotSent at once: it was not
// transmitted, so its operation may count on that. An answer of another kind ends the doubling.
// All that it refers to outlives it.
std::unique_ptr<MintClient> make_patient_mint(MintClient& mint, PatientMintOptions options,
                                              const Clock& clock, crypto::Random& random,
                                              metrics::Registry& metrics);

}  // namespace nutgate::cashu
