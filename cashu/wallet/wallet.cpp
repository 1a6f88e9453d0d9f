#include "nutgate/cashu/wallet.h"

#include <algorithm>

#include "nutgate/crypto/hash.h"
#include "nutgate/crypto/seal.h"
#include "wallet/impl.h"
#include "wallet/schema.h"

namespace nutgate::cashu {
namespace {

constexpr std::size_t kSealingKeyBytes = 32;
constexpr std::string_view kSealingLabel = "nutgate wallet operations v1";

Bytes context_of(const OperationId& id, wallet::Sealed what) {
    Bytes context = to_bytes(what == wallet::Sealed::Request ? "request" : "token");
    context.insert(context.end(), id.bytes().begin(), id.bytes().end());
    return context;
}

// Number 0 of the keys that others lock ecash to for us.
crypto::Scalar receive_secret_of(const SecretDeriver& deriver) {
    auto secret = deriver.receive_lock_key(0);
    VERIFY(secret.has_value());  // Of all seeds, none is known without it.
    return *std::move(secret);
}

WalletError error_of(TokenError error) {
    using Code = WalletError::Code;
    switch (error) {
        case TokenError::NotAToken:
            return {Code::TokenMalformed, "this is no Cashu token"};
        case TokenError::Malformed:
            return {Code::TokenMalformed, "the token can't be read"};
        case TokenError::TooLarge:
            return {Code::TokenMalformed, "the token is too large"};
        case TokenError::SeveralMints:
            return {Code::TokenMalformed, "the token is of more than one mint"};
        case TokenError::DuplicateProof:
            return {Code::TokenMalformed, "the token holds a proof twice"};
        case TokenError::ZeroValue:
            return {Code::TokenZeroValue, "the token is worth nothing"};
        case TokenError::AmountOverflow:
            return {Code::AmountOverflow, "the token's amount is too large"};
        case TokenError::KeysetUnknown:
            return {Code::KeysetUnknown, "the token is of a keyset that its mint does not have"};
    }
    VERIFY(false);
    return {Code::TokenMalformed, ""};
}

std::set<MintUrl> urls_of(const std::vector<wallet::Mints::Known>& mints) {
    std::set<MintUrl> urls;
    for (const auto& mint : mints) urls.insert(mint.url);
    return urls;
}

}  // namespace

namespace wallet {

void Picks::release(const std::vector<Input>& inputs) {
    const std::lock_guard lock{mutex_};
    for (const auto& input : inputs) picked_.erase(input.y);
}

bool Running::enter(const OperationId& id, Milliseconds patience) {
    std::unique_lock lock{mutex_};
    if (ids_.insert(id).second) return true;
    // Who has waited does not run it again: what the other run found out a moment ago still holds.
    changed_.wait_for(lock, patience, [&] { return !ids_.contains(id); });
    return false;
}

void Running::leave(const OperationId& id) {
    {
        const std::lock_guard lock{mutex_};
        ids_.erase(id);
    }
    changed_.notify_all();
}

}  // namespace wallet

// All that a wallet is made of: NOLINTNEXTLINE(readability-function-size)
Wallet::Impl::Impl(store::Database& database_, std::vector<WalletMint> mints_, const Secret& seed64,
                   Settler& settler_, const Clock& clock_, crypto::Random& random_,
                   metrics::Registry& metrics, Options options_)
    : database{database_},
      mints{std::move(mints_), options_.connector, options_.guests_max},
      options{std::move(options_)},
      deriver{seed64},
      receive_secret{receive_secret_of(deriver)},
      receive_key{crypto::generator_times(receive_secret)},
      sealing_key{crypto::hkdf_sha256(seed64.reveal(), {}, kSealingLabel, kSealingKeyBytes)},
      settler{settler_},
      clock{clock_},
      random{random_},
      keysets{database_, clock_, urls_of(mints.all())},
      looks{database_, clock_},
      finished{metrics.counter("nutgate_wallet_operations_finished_total",
                               "Wallet operations that ended well.")},
      failed{metrics.counter("nutgate_wallet_operations_failed_total",
                             "Wallet operations that a mint refused for good.")},
      blocked{metrics.counter("nutgate_wallet_operations_blocked_total",
                              "Times a wallet operation was parked as blocked.")},
      alarms{metrics.counter("nutgate_wallet_alarms_total",
                             "Answers by which a mint broke the protocol, and proofs lost.")},
      waiting{metrics.gauge("nutgate_wallet_operations_waiting",
                            "Wallet operations begun and not ended, as of the last recovery.")},
      unarrived{metrics.gauge("nutgate_wallet_swaps_unarrived",
                              "Quotes of ours whose payment by a swap or a funding is said to be "
                              "done, and that are not ecash yet.")} {}

Result<const WalletMint*, WalletError> Wallet::Impl::mint_of(const Token& token) {
    if (const auto* mint = mints.find_trusted(token.mint)) return mint;
    for (const auto* mint : mints.trusted()) {
        if (!mint->url.is_embedded()) continue;
        TRY(const auto known, keysets.of(*mint, wallet::Freshness::Known));
        std::set<std::string> ids;
        for (const auto& [id, keyset] : known) {
            ids.insert(id.text());
            if (id.version() == 1) ids.insert(id.shortened().text());
        }
        if (std::all_of(token.proofs.begin(), token.proofs.end(),
                        [&](const Proof& proof) { return ids.contains(proof.id.text()); })) {
            return mint;
        }
    }
    return fail(WalletError{WalletError::Code::MintForeign,
                            "tokens of " + token.mint.text() + " are not taken here"});
}

wallet::Mints::Held Wallet::Impl::find(const MintUrl& url) {
    if (auto known = mints.find(url)) return known;
    // A guest that is just being sent away has its row still if something was begun there.
    if (!mints.load(database)) return {};
    return mints.find(url);
}

Bytes Wallet::Impl::seal(BytesView plain, const OperationId& id, wallet::Sealed what) {
    return crypto::seal(sealing_key, plain, context_of(id, what), random);
}

std::optional<std::string> Wallet::Impl::open(BytesView sealed, const OperationId& id,
                                              wallet::Sealed what) const {
    const auto plain = crypto::open(sealing_key, sealed, context_of(id, what));
    if (!plain) return std::nullopt;
    return std::string{as_text(*plain)};
}

BlindingSecret Wallet::Impl::secret_of(const KeysetId& keyset, std::uint64_t counter) const {
    auto secret = deriver.derive(keyset, counter);
    VERIFY(secret.has_value());  // It was there when the output was planned.
    return *std::move(secret);
}

Result<std::vector<wallet::PlannedOutput>, WalletError> Wallet::Impl::plan(
    const Keyset& keyset, const std::vector<std::pair<Amount, wallet::Purpose>>& amounts) {
    const auto count = static_cast<std::int64_t>(amounts.size());
    TRY(auto counter, database.transact([&](store::Tx& tx) -> Result<std::uint64_t, WalletError> {
        // Gone: a mint of ours has taken it over by a keyset that makes the same secrets, and
        // counts on from where this one was then.
        if (!tx.query_one("SELECT 1 FROM wallet_keyset WHERE id = $1", keyset.id.text())) {
            return fail(WalletError{WalletError::Code::KeysetUnknown,
                                    keyset.id.text() + " is no longer known"});
        }
        return wallet::take_counters(tx, keyset.id.text(), count);
    }));
    std::vector<wallet::PlannedOutput> outputs;
    for (const auto& [amount, purpose] : amounts) {
        const auto secret = deriver.derive(keyset.id, counter);
        const auto y = secret ? hash_to_curve(secret->secret) : std::nullopt;
        const auto blinded = y ? blind(*y, secret->r) : std::nullopt;
        // Less likely than a disk that loses a byte unnoticed: the caller's next try has the next
        // counters.
        if (!blinded) {
            return fail(
                WalletError{WalletError::Code::StoreUnavailable, "a counter gives no secret"});
        }
        outputs.push_back({.message = {.amount = amount, .id = keyset.id, .B_ = *blinded},
                           .counter = counter++,
                           .purpose = purpose});
    }
    return outputs;
}

Proof Wallet::Impl::proof_of(const wallet::Input& input) const {
    VERIFY(input.counter.has_value());
    auto secret = secret_of(input.derived_from.value_or(input.keyset), *input.counter);
    const auto c = crypto::Point::from_bytes(input.signature);
    VERIFY(c.has_value());
    Proof proof{.amount = input.amount,
                .id = input.keyset,
                .secret = std::move(secret.secret),
                .C = *c,
                .witness = std::nullopt,
                .dleq = std::nullopt,
                .p2pk_e = std::nullopt};
    if (input.dleq) {
        Dleq dleq;
        std::copy_n(input.dleq->begin(), 32, dleq.e.begin());
        std::copy_n(input.dleq->begin() + 32, 32, dleq.s.begin());
        dleq.r = secret.r.bytes();
        proof.dleq = dleq;
    }
    return proof;
}

std::string Wallet::Impl::token_text(const WalletMint& mint, Unit unit,
                                     std::vector<Proof> proofs) const {
    const auto url = MintUrl::parse(mint.token_url);
    return write_token(Token{.mint = url ? *url : mint.url,
                             .unit = std::string{to_text(unit)},
                             .memo = std::nullopt,
                             .proofs = std::move(proofs)});
}

Wallet::Wallet(store::Database& database, std::vector<WalletMint> mints, const Secret& seed64,
               Settler& settler, const Clock& clock, crypto::Random& random,
               metrics::Registry& metrics, Options options)
    : impl_{std::make_unique<Impl>(database, std::move(mints), seed64, settler, clock, random,
                                   metrics, std::move(options))} {}

Wallet::~Wallet() = default;

Result<void, store::StoreFailure> Wallet::migrate(store::Database& database) {
    return store::migrate(database, "wallet", wallet::migrations());
}

Result<Token, WalletError> Wallet::read_token(std::string_view text) const {
    TRY(auto token, read_foreign_token(text));
    TRY(const auto* mint, impl_->mint_of(token));
    token.mint = mint->url;
    return token;
}

Result<Token, WalletError> Wallet::read_foreign_token(std::string_view text) const {
    auto token = parse_token(text);
    if (!token) return fail(error_of(token.error()));
    if (!parse_unit(token->unit)) {
        return fail(WalletError{WalletError::Code::UnitForeign,
                                "tokens in " + token->unit.substr(0, 16) + " are not taken here"});
    }
    return *std::move(token);
}

const MintUrl& Wallet::primary() const { return impl_->mints.primary().url; }

std::vector<MintUrl> Wallet::mints() const {
    std::vector<MintUrl> urls;
    for (const auto* mint : impl_->mints.trusted()) urls.push_back(mint->url);
    return urls;
}

std::string Wallet::token_url(const MintUrl& url) const {
    const auto mint = impl_->find(url);
    VERIFY(mint != nullptr);
    return mint->token_url;
}

}  // namespace nutgate::cashu
