#include "wallet/calls.h"

#include <algorithm>

namespace nutgate::cashu::wallet {
namespace {

using Code = WalletError::Code;

Untold untold(const Result<MintAnswer, MintFailure>& answer) {
    const auto outcome = answer ? Outcome::Waiting : Outcome::MintAway;
    return {outcome, facts_of(answer).detail};
}

}  // namespace

WalletError error_of(const Result<MintAnswer, MintFailure>& answer, const WalletMint& mint) {
    const auto facts = facts_of(answer);
    const auto detail = mint.url.text() + ": " + facts.detail;
    if (facts.failure || facts.status >= 500) return {Code::MintUnreachable, detail};
    if (facts.status == 429) return {Code::MintRateLimited, detail};
    return {Code::MintRefused, detail};
}

bool is_path_segment(std::string_view id) {
    return !id.empty() && id.size() <= QuoteId::kSizeMax && id != "." && id != ".." &&
           std::all_of(id.begin(), id.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '_' || c == '.' || c == '~';
           });
}

Result<wire::MintQuote, WalletError> get_mint_quote(const WalletMint& mint, const std::string& id) {
    const auto answer = mint.client->call(MintMethod::Get, "/v1/mint/quote/bolt11/" + id, "");
    if (!answer || answer->status != 200) return fail(error_of(answer, mint));
    auto quote = wire::parse_mint_quote(answer->body);
    if (!quote || quote->quote != id) {
        return fail(
            WalletError{Code::MintUnreachable, mint.url.text() + ": its quote can't be read"});
    }
    return *std::move(quote);
}

Result<wire::MeltQuote, WalletError> get_melt_quote(const WalletMint& mint, const std::string& id) {
    const auto answer = mint.client->call(MintMethod::Get, "/v1/melt/quote/bolt11/" + id, "");
    if (!answer || answer->status != 200) return fail(error_of(answer, mint));
    auto quote = wire::parse_melt_quote(answer->body);
    if (!quote || quote->quote != id) {
        return fail(
            WalletError{Code::MintUnreachable, mint.url.text() + ": its quote can't be read"});
    }
    return *std::move(quote);
}

std::vector<crypto::Point> ys_of(const std::vector<Input>& inputs) {
    std::vector<crypto::Point> ys;
    for (const auto& input : inputs) {
        const auto y = crypto::Point::from_bytes(input.y);
        VERIFY(y.has_value());
        ys.push_back(*y);
    }
    return ys;
}

Result<States, Untold> ask_states(const WalletMint& mint, const std::vector<crypto::Point>& ys) {
    const auto answer =
        mint.client->call(MintMethod::Post, "/v1/checkstate", wire::write_check_state_request(ys));
    if (!answer || answer->status != 200) return fail(untold(answer));
    const auto told = wire::parse_check_state_response(answer->body);
    if (!told) {
        return fail(Untold{Outcome::Waiting, "the mint's answer to checkstate can't be read"});
    }
    // By the point, not by its place in the answer.
    std::map<ByteArray<33>, wire::ProofState> by_y;
    for (const auto& state : *told) by_y.insert_or_assign(state.Y.compressed(), state.state);
    States states;
    for (const auto& y : ys) {
        const auto state = by_y.find(y.compressed());
        if (state == by_y.end() || state->second == wire::ProofState::Pending) {
            states.pending = true;
        } else if (state->second == wire::ProofState::Spent) {
            states.spent.insert(y.compressed());
        }
    }
    return states;
}

Result<Signed, Untold> ask_restore(const WalletMint& mint,
                                   const std::vector<BlindedMessage>& messages) {
    const auto answer =
        mint.client->call(MintMethod::Post, "/v1/restore", wire::write_restore_request(messages));
    if (!answer || answer->status != 200) return fail(untold(answer));
    const auto restored = wire::parse_restore_response(answer->body);
    if (!restored) {
        return fail(Untold{Outcome::Waiting, "the mint's answer to restore can't be read"});
    }
    Signed found;
    for (std::size_t i = 0; i < restored->outputs.size(); ++i) {
        found.emplace(restored->outputs[i].B_.compressed(), restored->signatures[i]);
    }
    return found;
}

}  // namespace nutgate::cashu::wallet
