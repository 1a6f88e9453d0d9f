// A mint as the wallet sees it: something that answers requests of the protocol. Remote over HTTP,
// or the one in this process without HTTP. The wallet's requests are bytes, written down before
// they are sent and sent again unchanged (NUT-19), so bytes are what this interface carries.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "nutgate/base/result.h"
#include "nutgate/cashu/proof.h"

namespace nutgate::http {
class Client;
}

namespace nutgate::cashu {

class Mint;

enum class MintMethod { Get, Post };

struct MintAnswer {
    int status = 200;
    std::string body;  // JSON, at most 8 MiB.
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

std::unique_ptr<MintClient> make_remote_mint(MintUrl url, http::Client& client);
std::unique_ptr<MintClient> make_local_mint(Mint& mint);

}  // namespace nutgate::cashu
