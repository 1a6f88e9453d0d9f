// What a mint signed for our seed and our database does not know: after it was lost, or came back
// from a backup (NUT-13, NUT-09).
#include <algorithm>

#include "nutgate/base/log.h"
#include "nutgate/crypto/hash.h"
#include "wallet/calls.h"
#include "wallet/finish.h"
#include "wallet/impl.h"

namespace nutgate::cashu {
namespace {

using wallet::NewProof;
using wallet::PlannedOutput;
using wallet::Purpose;

// NUT-13: so many counters at a time, and the end after so many batches without a signature.
constexpr std::uint64_t kBatch = 100;
constexpr int kEmptyBatches = 3;

class Search {
public:
    Search(Wallet::Impl& wallet, const WalletMint& mint, const Keyset& keyset,
           Wallet::Restored& found)
        : wallet_{wallet}, mint_{mint}, keyset_{keyset}, found_{found} {}

    // Empty if the keyset was searched to its end; or why not.
    Result<std::string, WalletError> go() {
        int empty = 0;
        for (std::uint64_t first = 0; empty < kEmptyBatches; first += kBatch) {
            const auto outputs = outputs_from(first);
            std::vector<BlindedMessage> messages;
            for (const auto& output : outputs) messages.push_back(output.message);
            const auto answered = wallet::ask_restore(mint_, messages);
            if (!answered) return answered.error().why;
            if (answered->empty()) {
                ++empty;
                continue;
            }
            empty = 0;
            TRY(const auto why, take_in(outputs, *answered));
            if (!why.empty()) return why;
        }
        return std::string{};
    }

private:
    std::vector<PlannedOutput> outputs_from(std::uint64_t first) const {
        std::vector<PlannedOutput> outputs;
        for (auto counter = first; counter < first + kBatch; ++counter) {
            const auto secret = wallet_.deriver.derive(keyset_.id, counter);
            const auto y = secret ? hash_to_curve(secret->secret) : std::nullopt;
            const auto blinded = y ? blind(*y, secret->r) : std::nullopt;
            if (!blinded) continue;
            // Of which amount it is, only the mint knows; it does not look at what is asked.
            outputs.push_back({.message = {.amount = 1, .id = keyset_.id, .B_ = *blinded},
                               .counter = counter,
                               .purpose = Purpose::Change});
        }
        return outputs;
    }

    Result<std::string, WalletError> take_in(const std::vector<PlannedOutput>& outputs,
                                             const wallet::Signed& answered) {
        std::vector<PlannedOutput> ours;
        std::vector<BlindSignature> signatures;
        for (const auto& output : outputs) {
            const auto signature = answered.find(output.message.B_.compressed());
            if (signature == answered.end()) continue;
            ours.push_back(output);
            signatures.push_back(signature->second);
        }
        if (ours.empty()) return std::string{"the mint signed what it was not asked about"};
        TRY(auto proofs, wallet::make_change(wallet_, mint_, ours, signatures));
        std::vector<crypto::Point> ys;
        for (const auto& proof : proofs) ys.push_back(*crypto::Point::from_bytes(proof.y));
        const auto states = wallet::ask_states(mint_, ys);
        if (!states) return states.error().why;
        // Some of them pending: which ones is not told apart, so all are left to the next search.
        if (states->pending) {
            found_.pending += static_cast<int>(proofs.size());
            TRY_VOID(store({}, ours.back().counter));
            return std::string{};
        }
        std::erase_if(proofs,
                      [&](const NewProof& proof) { return states->spent.contains(proof.y); });
        TRY_VOID(store(std::move(proofs), ours.back().counter));
        return std::string{};
    }

    // What is not known yet is ours from here on; and no counter of it is used again.
    Result<void, WalletError> store(std::vector<NewProof> proofs, std::uint64_t last) {
        struct Taken {
            nutgate::Msat amount;
            int proofs = 0;
        };
        const auto unit = *parse_unit(keyset_.unit);
        const auto taken =
            wallet_.database.transact([&](store::Tx& tx) -> Result<Taken, wallet::Setback> {
                wallet::raise_counter(tx, keyset_.id.text(), last + 1);
                Taken sum;
                Bytes names;
                for (const auto& proof : proofs) {
                    if (!wallet::insert_restored(tx, mint_.url, unit, proof)) continue;
                    sum.amount = add(sum.amount, proof.msat).value_or(sum.amount);
                    ++sum.proofs;
                    names.insert(names.end(), proof.y.begin(), proof.y.end());
                }
                if (sum.proofs == 0) return sum;
                TRY_VOID(wallet_.settler.restored(tx, {.reference = to_hex(crypto::sha256(names)),
                                                       .mint = mint_.url,
                                                       .unit = unit,
                                                       .amount = sum.amount}));
                return sum;
            });
        if (!taken) return fail(taken.error().as_wallet_error());
        found_.found = add(found_.found, taken->amount).value_or(found_.found);
        found_.proofs += taken->proofs;
        return {};
    }

    Wallet::Impl& wallet_;
    const WalletMint& mint_;
    const Keyset& keyset_;
    Wallet::Restored& found_;
};

Result<void, WalletError> search_mint(Wallet::Impl& impl, const WalletMint& mint,
                                      Wallet::Restored& found) {
    TRY(const auto keysets, impl.keysets.of(mint, wallet::Freshness::Now));
    for (const auto& [id, listed] : keysets) {
        if (!parse_unit(listed.unit)) continue;
        auto keyset = impl.keysets.with_keys(mint, id);
        if (!keyset) {
            found.error = keyset.error().detail;
            continue;
        }
        TRY(const auto why, Search(impl, mint, *keyset, found).go());
        if (!why.empty()) found.error = id.text() + ": " + why;
    }
    return {};
}

}  // namespace

Result<std::vector<Wallet::Restored>, WalletError> Wallet::restore() {
    std::vector<Restored> all;
    for (const auto* mint : impl_->mints.spendable()) {
        Restored found{.mint = mint->url, .found = {}, .error = {}};
        if (const auto searched = search_mint(*impl_, *mint, found); !searched) {
            if (searched.error().code == WalletError::Code::StoreUnavailable) {
                return fail(searched.error());
            }
            found.error = searched.error().detail;
        }
        log::info("wallet_restored", {{"mint", mint->url.text()},
                                      {"found", found.found},
                                      {"proofs", found.proofs},
                                      {"pending", found.pending},
                                      {"error", found.error}});
        all.push_back(std::move(found));
    }
    return all;
}

}  // namespace nutgate::cashu
