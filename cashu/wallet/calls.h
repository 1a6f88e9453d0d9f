// What the wallet asks of its mints besides the requests that it wrote down: quotes, states of
// proofs, what was signed. Each answer is read here, once, into what it tells.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "nutgate/cashu/wire.h"
#include "wallet/classify.h"
#include "wallet/impl.h"

namespace nutgate::cashu::wallet {

// Why a call that binds nothing came to nothing.
WalletError error_of(const Result<MintAnswer, MintFailure>& answer, const WalletMint& mint);

// What may stand in a path as it is. A mint that calls its quotes otherwise is not asked.
bool is_path_segment(std::string_view id);

Result<wire::MintQuote, WalletError> get_mint_quote(const WalletMint&, const std::string& id);
Result<wire::MeltQuote, WalletError> get_melt_quote(const WalletMint&, const std::string& id);

// The mint told nothing: it was away, or what it said can't be read.
struct Untold {
    Outcome outcome;  // Waiting or MintAway.
    std::string why;
};

// NUT-07. What is not told counts as pending.
struct States {
    bool pending = false;  // Some are.
    std::set<ByteArray<33>> spent;
};
Result<States, Untold> ask_states(const WalletMint&, const std::vector<crypto::Point>& ys);
std::vector<crypto::Point> ys_of(const std::vector<Input>& inputs);

// NUT-09: what was signed of these, by its B_.
using Signed = std::map<ByteArray<33>, BlindSignature>;
Result<Signed, Untold> ask_restore(const WalletMint&, const std::vector<BlindedMessage>& messages);

}  // namespace nutgate::cashu::wallet
