#include "nutgate/base/verify.h"
#include "nutgate/cashu/mint.h"
#include "nutgate/cashu/mint_client.h"
#include "nutgate/store/store.h"

namespace nutgate::cashu {
namespace {

class LocalMint final : public MintClient {
public:
    explicit LocalMint(Mint& mint) : mint_{mint} {}

    // No call can be lost on its way. The mint asks its Lightning backend, so the same rule holds
    // as over HTTP: nobody waits for it inside of a transaction.
    Result<MintAnswer, MintFailure> call(MintMethod method, std::string_view path,
                                         std::string_view body) override {
        VERIFY(store::open_on_this_thread() == 0);
        return mint_.handle(method, path, body);
    }

private:
    Mint& mint_;
};

}  // namespace

std::unique_ptr<MintClient> make_local_mint(Mint& mint) {
    return std::make_unique<LocalMint>(mint);
}

}  // namespace nutgate::cashu
