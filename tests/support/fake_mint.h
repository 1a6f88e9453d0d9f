// A small mint that is honest, written on the protocol's functions, whose network is not: requests
// and answers can be lost, doubled, cut or refused. It holds its state in memory, like a mint on
// another machine that outlives every crash of ours.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nutgate/cashu/dhke.h"
#include "nutgate/cashu/mint_client.h"
#include "nutgate/cashu/quote_signature.h"
#include "nutgate/cashu/token.h"
#include "nutgate/cashu/unlock.h"
#include "nutgate/cashu/wire.h"
#include "nutgate/cashu/wire_batch.h"
#include "nutgate/lightning/invoice.h"
#include "nutgate/store/store.h"
#include "support/fake_mint_offers.h"
#include "support/fault_script.h"
#include "support/seeded_random.h"

namespace nutgate::test {

// Thread-safe.
class FakeMint final : public cashu::MintClient {
public:
    struct Options {
        std::uint64_t input_fee_ppk = 0;
        int keyset_version = 1;          // 0: ids of eight bytes.
        bool legacy_signatures = false;  // NUT-20 as before the amendment only.
        int key_count = 20;
        std::uint64_t seed = 77;
        cashu::Amount melt_reserve = 2;
        cashu::Amount melt_cost = 1;  // What paying costs in the end.
        bool announces_batches = false;
        bool announces_offers = false;   // It makes them all the same.
        bool tells_change_once = false;  // Only in the answer to the melt itself.
        bool issues_exactly = false;     // What was paid beyond an invoice is nobody's.
    };

    FakeMint() : FakeMint(Options{}) {}
    explicit FakeMint(Options options) : options_{options}, random_{options.seed} { rotate(); }

    // --- The network's script --------------------------------------------------------------------
    void fault(std::string path, Fault fault, int times = 1) {
        const std::lock_guard lock{mutex_};
        script_.add(std::move(path), fault, times);
    }
    // Changes what is answered below this path, until told otherwise: a mint that lies.
    using Lie = std::function<void(std::string_view request, cashu::MintAnswer& answer)>;
    void lie(std::string path, Lie lie) {
        const std::lock_guard lock{mutex_};
        lie_path_ = std::move(path);
        lie_ = std::move(lie);
    }
    // Of the n-th call from now on, whatever it asks for, and of no other.
    void fault_at(int n, Fault fault) {
        const std::lock_guard lock{mutex_};
        script_.at(n, fault);
    }
    bool came_so_far() const {
        const std::lock_guard lock{mutex_};
        return script_.came_so_far();
    }
    void clear_faults() {
        const std::lock_guard lock{mutex_};
        script_.clear();
        away_ = false;
    }
    void set_away(bool away) {
        const std::lock_guard lock{mutex_};
        away_ = away;
    }
    int calls(const std::string& path) const {
        const std::lock_guard lock{mutex_};
        return calls_.contains(path) ? calls_.at(path) : 0;
    }

    Result<cashu::MintAnswer, cashu::MintFailure> call(cashu::MintMethod method,
                                                       std::string_view path,
                                                       std::string_view body) override {
        VERIFY(store::open_on_this_thread() == 0);
        const std::lock_guard lock{mutex_};
        ++calls_[std::string{path}];
        if (straggler_ && --straggler_->calls_before == 0) {
            const Straggler arrived = *std::exchange(straggler_, std::nullopt);
            (void)handle(arrived.method, arrived.path, arrived.body);
        }
        if (away_) return fail(cashu::MintFailure::NotSent);
        const auto fault = script_.next(path);
        if (fault == Fault::NotSent) return fail(cashu::MintFailure::NotSent);
        if (fault == Fault::LoseRequest) return fail(cashu::MintFailure::Ambiguous);
        if (fault == Fault::TooMany) return cashu::MintAnswer{429, R"({"detail":"slow down"})"};
        if (fault == Fault::Down) return cashu::MintAnswer{500, "oops"};
        if (fault == Fault::Late || fault == Fault::Later) {
            straggler_ = Straggler{method, std::string{path}, std::string{body},
                                   fault == Fault::Late ? 1 : 2};
            return fail(cashu::MintFailure::Ambiguous);
        }
        auto answer = handle(method, path, body);
        if (fault == Fault::Duplicate) answer = handle(method, path, body);
        if (fault == Fault::LoseAnswer) return fail(cashu::MintFailure::Ambiguous);
        if (fault == Fault::CutAnswer) answer.body.resize(answer.body.size() / 2);
        if (fault == Fault::ServerError) return cashu::MintAnswer{502, "<html>bad gateway</html>"};
        if (fault == Fault::BadSignature) exchange_signatures(answer);
        if (lie_ && path.starts_with(lie_path_)) lie_(body, answer);
        return answer;
    }

    FakeMintOffers offers;
    // --- What others do at this mint -------------------------------------------------------------
    // Ecash of somebody else's, with proofs of equality.
    cashu::Token token(const std::vector<cashu::Amount>& amounts, const std::string& url) {
        return token_of(amounts, url,
                        [](crypto::Random& random) { return to_hex(random.bytes<32>()); });
    }
    // Whose secrets say who may spend them.
    cashu::Token locked_token(const std::vector<cashu::Amount>& amounts, const std::string& url,
                              const cashu::LockTerms& terms) {
        return token_of(amounts, url, [&](crypto::Random& random) {
            return cashu::write_condition(terms, random);
        });
    }
    using Secret = std::function<std::string(crypto::Random&)>;
    cashu::Token token_of(const std::vector<cashu::Amount>& amounts, const std::string& url,
                          const Secret& secret_of) {
        const std::lock_guard lock{mutex_};
        cashu::Token token{*cashu::MintUrl::parse(url), "sat", std::nullopt, {}};
        for (const auto amount : amounts) {
            const auto secret = secret_of(random_);
            const auto r = crypto::Scalar::random(random_);
            const auto& key = keys_.at(active_).at(amount);
            const auto blinded = *cashu::blind(*cashu::hash_to_curve(secret), r);
            const auto signature = cashu::sign_blinded(blinded, key);
            const auto& point = keysets_.at(active_).keys.at(amount);
            auto dleq = cashu::prove_dleq(key, point, blinded, signature);
            dleq.r = r.bytes();
            token.proofs.push_back(
                {.amount = amount,
                 .id = active_,
                 .secret = secret,
                 .C = *cashu::unblind(signature, r, keysets_.at(active_).keys.at(amount)),
                 .witness = std::nullopt,
                 .dleq = dleq,
                 .p2pk_e = std::nullopt});
            outstanding_ += amount;
        }
        return token;
    }
    // Somebody else swaps these proofs for other ones: as many of them as are told.
    void spend(const std::vector<cashu::Proof>& proofs, std::size_t count) {
        const std::lock_guard lock{mutex_};
        for (std::size_t i = 0; i < count; ++i) spent_.insert(y_of(proofs[i]));
    }
    void spend(const ByteArray<33>& y) {
        const std::lock_guard lock{mutex_};
        spent_.insert(y);
    }
    void set_pending(const std::vector<cashu::Proof>& proofs, bool pending) {
        const std::lock_guard lock{mutex_};
        for (const auto& proof : proofs) {
            if (pending) pending_.insert(y_of(proof));
            if (!pending) pending_.erase(y_of(proof));
        }
    }
    bool is_spent(const ByteArray<33>& y) const {
        const std::lock_guard lock{mutex_};
        return spent_.contains(y);
    }
    // All that is valid and not spent: what its signatures are worth.
    cashu::Amount outstanding() const {
        const std::lock_guard lock{mutex_};
        return outstanding_;
    }
    void pay(const PaymentHash& hash, std::optional<cashu::Amount> amount = {}) {
        const std::lock_guard lock{mutex_};
        for (auto& [id, quote] : quotes_) {
            if (parse_bolt11(quote.request)->payment_hash != hash) continue;
            quote.amount_paid = amount.value_or(quote.amount);
        }
    }
    // Somebody else is given what was paid for this invoice.
    void issue_to_another(const PaymentHash& hash) {
        const std::lock_guard lock{mutex_};
        for (auto& [id, quote] : quotes_) {
            if (parse_bolt11(quote.request)->payment_hash != hash) continue;
            quote.amount_paid = quote.amount_issued = quote.amount;
            outstanding_ += quote.amount;
        }
    }
    // What becomes of the next melts; of those that are not scripted: Paid.
    enum class Melt { Paid, Failed, Pending };
    void next_melt(Melt outcome) {
        const std::lock_guard lock{mutex_};
        melt_script_.push_back(outcome);
    }
    // Ends the pending ones: Paid or Failed.
    void conclude_melts(Melt outcome) {
        const std::lock_guard lock{mutex_};
        for (auto& [id, melt] : melts_) {
            if (melt.quote.state != cashu::wire::MeltState::Pending) continue;
            for (const auto& y : melt.ys) pending_.erase(y);
            if (outcome == Melt::Paid) pay_out(melt);
            if (outcome == Melt::Failed) melt.quote.state = cashu::wire::MeltState::Unpaid;
        }
    }
    // Whom the payments of this mint reach.
    void connect(std::function<void(const PaymentHash&)> deliver) {
        const std::lock_guard lock{mutex_};
        deliver_ = std::move(deliver);
    }
    int times_paid(const PaymentHash& hash) const {
        const std::lock_guard lock{mutex_};
        return times_paid_.contains(hash) ? times_paid_.at(hash) : 0;
    }
    // Of somebody who can be paid.
    std::string outside_invoice(cashu::Amount sat) {
        const std::lock_guard lock{mutex_};
        return invoice(sat, PaymentHash{random_.bytes<32>()}, "");
    }
    // A new active keyset; the one before can still be spent.
    cashu::KeysetId rotate() {
        const std::lock_guard lock{mutex_};
        std::map<cashu::Amount, crypto::Scalar> secret;
        std::map<cashu::Amount, crypto::Point> open;
        for (int i = 0; i < options_.key_count; ++i) {
            const auto key = crypto::Scalar::random(random_);
            secret.emplace(cashu::Amount{1} << i, key);
            open.emplace(cashu::Amount{1} << i, crypto::generator_times(key));
        }
        const auto id = options_.keyset_version == 0
                            ? cashu::derive_keyset_id_v1(open)
                            : cashu::derive_keyset_id_v2(open, "sat", options_.input_fee_ppk, {});
        for (auto& [other, keyset] : keysets_) keyset.active = false;
        keys_.emplace(id, std::move(secret));
        keysets_.emplace(id, cashu::Keyset{.id = id,
                                           .unit = "sat",
                                           .active = true,
                                           .input_fee_ppk = options_.input_fee_ppk,
                                           .final_expiry = std::nullopt,
                                           .keys = std::move(open)});
        active_ = id;
        return id;
    }
    // From now on it no longer has the signatures of half of what it signed.
    void forget_half() {
        const std::lock_guard lock{mutex_};
        for (auto entry = signed_.begin(); entry != signed_.end();) {
            entry = signed_.erase(entry);
            if (entry != signed_.end()) ++entry;
        }
    }

private:
    using Answer = cashu::MintAnswer;
    // Still on its way, whatever became of who sent it.
    struct Straggler {
        cashu::MintMethod method;
        std::string path;
        std::string body;
        int calls_before;
    };

    static ByteArray<33> y_of(const cashu::Proof& proof) {
        return cashu::hash_to_curve(proof.secret)->compressed();
    }
    static Answer error(int code) {
        return {400, cashu::wire::write_error({.detail = "no", .code = code})};
    }

    Answer handle(cashu::MintMethod method, std::string_view path, std::string_view body) {
        if (path == "/v1/info" && options_.announces_offers) return {200, FakeMintOffers::kInfo};
        if (auto answer = offers.handle(path, body, node_key_, random_)) return *answer;
        constexpr std::string_view kKeys = "/v1/keys/";
        constexpr std::string_view kQuote = "/v1/mint/quote/bolt11/";
        constexpr std::string_view kMelt = "/v1/melt/quote/bolt11/";
        if (method == cashu::MintMethod::Get) {
            if (path == "/v1/info" && options_.announces_batches) return {200, kBatchInfo};
            if (path == "/v1/keysets") return {200, cashu::wire::write_keysets(all_keysets())};
            if (path == "/v1/keys") return {200, cashu::wire::write_keys({keysets_.at(active_)})};
            if (path.starts_with(kKeys)) return one_keyset(path.substr(kKeys.size()));
            if (path.starts_with(kQuote)) return quote(std::string{path.substr(kQuote.size())});
            if (path.starts_with(kMelt)) return melt_quote(std::string{path.substr(kMelt.size())});
        } else {
            if (path == "/v1/swap") return swap(body);
            if (path == "/v1/checkstate") return check_state(body);
            if (path == "/v1/restore") return restore(body);
            if (path == "/v1/mint/quote/bolt11") return new_quote(body);
            if (path == "/v1/mint/quote/bolt11/check") return many_quotes(body);
            if (path == "/v1/mint/bolt11") return mint(body);
            if (path == "/v1/mint/bolt12") return mint_offer(body);
            if (path == "/v1/melt/quote/bolt11") return new_melt_quote(body);
            if (path == "/v1/melt/bolt11") return melt(body);
        }
        return {404, "not found"};
    }

    std::vector<cashu::Keyset> all_keysets() const {
        std::vector<cashu::Keyset> all;
        for (const auto& [id, keyset] : keysets_) all.push_back(keyset);
        return all;
    }
    Answer one_keyset(std::string_view text) const {
        const auto id = cashu::KeysetId::parse(text);
        if (!id || !keysets_.contains(*id)) return error(12001);
        return {200, cashu::wire::write_keys({keysets_.at(*id)})};
    }

    // Zero if these may be signed.
    int outputs_fault(const std::vector<cashu::BlindedMessage>& outputs) const {
        std::set<ByteArray<33>> seen;
        for (const auto& output : outputs) {
            if (!seen.insert(output.B_.compressed()).second) return 11008;
            if (signed_.contains(output.B_.compressed())) return 11003;
            if (!keysets_.contains(output.id)) return 12001;
            if (output.id != active_) return 12002;
            if (!keys_.at(output.id).contains(output.amount)) return 11006;
        }
        return 0;
    }
    Answer sign(const std::vector<cashu::BlindedMessage>& outputs) {
        std::vector<cashu::BlindSignature> signatures;
        for (const auto& output : outputs) {
            const auto& key = keys_.at(output.id).at(output.amount);
            const auto signature = cashu::sign_blinded(output.B_, key);
            const cashu::BlindSignature made{
                .amount = output.amount,
                .id = output.id,
                .C_ = signature,
                .dleq = cashu::prove_dleq(key, keysets_.at(output.id).keys.at(output.amount),
                                          output.B_, signature)};
            signed_.insert_or_assign(output.B_.compressed(), made);
            signatures.push_back(made);
            outstanding_ += output.amount;
        }
        return {200, cashu::wire::write_signatures(signatures)};
    }

    struct Taken {
        int code = 0;  // Zero if all may be spent.
        std::set<ByteArray<33>> ys = {};
        cashu::Amount sum = 0;
        cashu::Amount fee = 0;
    };
    Taken look_at(const std::vector<cashu::Proof>& inputs) const {
        std::uint64_t ppk = 0;
        Taken taken;
        for (const auto& input : inputs) {
            VERIFY(!input.dleq);  // r links a proof to its signature: no mint is told.
            const auto keys = keys_.find(input.id);
            if (keys == keys_.end()) return {.code = 12001};
            const auto key = keys->second.find(input.amount);
            if (key == keys->second.end()) return {.code = 10001};
            if (!cashu::verify_proof(key->second, input.secret, input.C)) return {.code = 10001};
            const auto y = y_of(input);
            if (!taken.ys.insert(y).second) return {.code = 11007};
            if (spent_.contains(y)) return {.code = 11001};
            if (pending_.contains(y)) return {.code = 11002};
            ppk += keysets_.at(input.id).input_fee_ppk;
            taken.sum += input.amount;
        }
        taken.fee = (ppk + 999) / 1000;
        return taken;
    }

    Answer swap(std::string_view body) {
        const auto request = cashu::wire::parse_swap_request(body);
        if (!request) return {422, R"({"detail":[{"msg":"bad"}]})"};
        if (const int code = outputs_fault(request->outputs)) return error(code);
        const auto taken = look_at(request->inputs);
        if (taken.code != 0) return error(taken.code);
        if (!cashu::check_locks(*request, kNow)) return error(20008);
        const auto out = cashu::sum(request->outputs);
        if (!out || taken.sum != *out + taken.fee) return error(11005);
        spent_.insert(taken.ys.begin(), taken.ys.end());
        outstanding_ -= taken.sum;
        return sign(request->outputs);
    }

    struct MeltEntry {
        cashu::wire::MeltQuote quote;
        PaymentHash hash;
        std::set<ByteArray<33>> ys;
        std::vector<cashu::BlindedMessage> blanks;
        cashu::Amount in = 0;
        cashu::Amount fee = 0;
    };

    Answer new_melt_quote(std::string_view body) {
        const auto request = cashu::wire::parse_melt_quote_request(body);
        if (!request || request->unit != "sat") return error(11013);
        const auto invoice = parse_bolt11(request->request);
        if (!invoice || !invoice->amount) return error(11011);
        MeltEntry entry{.quote = {}, .hash = invoice->payment_hash, .ys = {}, .blanks = {}};
        entry.quote.quote = to_hex(random_.bytes<16>());
        entry.quote.request = request->request;
        entry.quote.unit = "sat";
        entry.quote.amount = static_cast<cashu::Amount>((invoice->amount->raw() + 999) / 1000);
        entry.quote.fee_reserve = options_.melt_reserve;
        const auto id = entry.quote.quote;
        melts_.emplace(id, std::move(entry));
        return melt_quote(id);
    }
    Answer melt_quote(const std::string& id) const {
        const auto entry = melts_.find(id);
        if (entry == melts_.end()) return {400, R"({"detail":"unknown quote","code":50000})"};
        auto told = entry->second.quote;
        if (options_.tells_change_once) told.change.clear();
        return {200, cashu::wire::write_melt_quote(told)};
    }
    Answer melt(std::string_view body) {
        const auto request = cashu::wire::parse_melt_request(body);
        if (!request) return {422, "bad"};
        const auto entry = melts_.find(request->quote);
        if (entry == melts_.end()) return {400, R"({"detail":"unknown quote","code":50000})"};
        auto& melt = entry->second;
        if (melt.quote.state == cashu::wire::MeltState::Pending) return error(20005);
        if (melt.quote.state == cashu::wire::MeltState::Paid) return error(20006);
        for (const auto& blank : request->outputs) {
            if (signed_.contains(blank.B_.compressed())) return error(11003);
            if (blank.id != active_) return error(12002);
        }
        const auto taken = look_at(request->inputs);
        if (taken.code != 0) return error(taken.code);
        if (!cashu::check_locks(*request, kNow)) return error(20008);
        if (taken.sum < melt.quote.amount + melt.quote.fee_reserve + taken.fee) return error(11005);
        auto outcome = Melt::Paid;
        if (!melt_script_.empty()) {
            outcome = melt_script_.front();
            melt_script_.pop_front();
        }
        if (outcome == Melt::Failed) return error(20004);
        melt.ys = taken.ys;
        melt.in = taken.sum;
        melt.fee = taken.fee;
        melt.blanks = request->outputs;
        if (outcome == Melt::Pending) {
            melt.quote.state = cashu::wire::MeltState::Pending;
            pending_.insert(taken.ys.begin(), taken.ys.end());
        } else {
            pay_out(melt);
        }
        return {200, cashu::wire::write_melt_quote(melt.quote)};
    }
    void pay_out(MeltEntry& melt) {
        melt.quote.state = cashu::wire::MeltState::Paid;
        spent_.insert(melt.ys.begin(), melt.ys.end());
        outstanding_ -= melt.in;
        auto back = melt.in - melt.fee - melt.quote.amount - options_.melt_cost;
        auto blank = melt.blanks.begin();
        for (const auto part : cashu::split(back)) {
            if (blank == melt.blanks.end()) break;
            auto output = *blank++;
            output.amount = part;
            output.id = active_;  // Of today, whatever was asked for.
            const auto answer = sign({output});
            melt.quote.change.push_back(cashu::wire::parse_signatures(answer.body)->front());
        }
        ++times_paid_[melt.hash];
        if (deliver_) deliver_(melt.hash);
    }

    Answer check_state(std::string_view body) const {
        const auto ys = cashu::wire::parse_check_state_request(body);
        if (!ys) return {422, "bad"};
        std::vector<cashu::wire::StateOfProof> states;
        for (const auto& y : *ys) {
            using cashu::wire::ProofState;
            const auto bytes = y.compressed();
            const auto state = spent_.contains(bytes)     ? ProofState::Spent
                               : pending_.contains(bytes) ? ProofState::Pending
                                                          : ProofState::Unspent;
            states.push_back({.Y = y, .state = state, .witness = std::nullopt});
        }
        std::reverse(states.begin(), states.end());  // Nobody may trust the order alone.
        return {200, cashu::wire::write_check_state_response(states)};
    }

    Answer restore(std::string_view body) const {
        const auto outputs = cashu::wire::parse_restore_request(body);
        if (!outputs) return {422, "bad"};
        cashu::wire::RestoreResponse response;
        for (auto output = outputs->rbegin(); output != outputs->rend(); ++output) {
            const auto found = signed_.find(output->B_.compressed());
            if (found == signed_.end()) continue;
            response.outputs.push_back(*output);
            response.signatures.push_back(found->second);
        }
        return {200, cashu::wire::write_restore_response(response)};
    }

    std::string invoice(cashu::Amount sat, const PaymentHash& hash, const std::string& memo) {
        return write_bolt11({.network = Network::Regtest,
                             .amount = Msat::from_raw(static_cast<std::int64_t>(sat) * 1000),
                             .created_at = Time{Seconds{1'790'000'000}},
                             .expiry = Seconds{3600},
                             .payment_hash = hash,
                             .payment_secret = random_.bytes<32>(),
                             .description = memo,
                             .min_final_cltv = 18},
                            node_key_);
    }
    Answer new_quote(std::string_view body) {
        const auto request = cashu::wire::parse_mint_quote_request(body);
        if (!request || !request->pubkey) return error(20009);
        cashu::wire::MintQuote quote;
        quote.quote = to_hex(random_.bytes<16>());
        quote.request = invoice(request->amount, PaymentHash{random_.bytes<32>()},
                                request->description.value_or(""));
        quote.unit = "sat";
        quote.amount = request->amount;
        quote.pubkey = request->pubkey;
        quotes_.emplace(quote.quote, quote);
        return {200, cashu::wire::write_mint_quote(quote)};
    }
    Answer quote(const std::string& id) const {
        const auto entry = quotes_.find(id);
        if (entry == quotes_.end()) return {400, R"({"detail":"unknown quote","code":50000})"};
        return {200, cashu::wire::write_mint_quote(entry->second)};
    }
    Answer many_quotes(std::string_view body) const {
        const auto ids = cashu::wire::parse_batch_check_request(body);
        if (!ids) return {422, "bad"};
        std::vector<cashu::wire::MintQuote> quotes;
        for (const auto& id : *ids) {
            const auto entry = quotes_.find(id);
            if (entry == quotes_.end()) return {400, R"({"detail":"unknown quote","code":50000})"};
            quotes.push_back(entry->second);
        }
        return {200, cashu::wire::write_mint_quotes(quotes)};
    }
    Answer mint(std::string_view body) {
        const auto request = cashu::wire::parse_mint_request(body);
        if (!request) return {422, "bad"};
        const auto entry = quotes_.find(request->quote);
        if (entry == quotes_.end()) return {400, R"({"detail":"unknown quote","code":50000})"};
        auto& quote = entry->second;
        const auto holds = [&](cashu::QuoteMessage form) {
            return cashu::verify_quote_signature(form, quote.quote, request->outputs, *quote.pubkey,
                                                 request->signature.value_or(""));
        };
        const bool v1 = !options_.legacy_signatures && holds(cashu::QuoteMessage::V1);
        if (!v1 && !holds(cashu::QuoteMessage::Legacy)) return error(20008);
        if (quote.amount_paid == 0) return error(20001);
        if (quote.mintable() == 0) return error(20002);
        if (const int code = outputs_fault(request->outputs)) return error(code);
        const auto wanted = cashu::sum(request->outputs).value_or(0);
        if (options_.issues_exactly && wanted != quote.amount) return error(11000);
        if (wanted > quote.mintable()) return error(11005);
        quote.amount_issued += wanted;
        return sign(request->outputs);
    }
    Answer mint_offer(std::string_view body) {
        const auto request = cashu::wire::parse_mint_request(body);
        if (!request) return {422, "bad"};
        int code = offers.fault_of(*request, options_.legacy_signatures);
        if (code == 0) code = outputs_fault(request->outputs);
        if (code != 0) return error(code);
        offers.issue(*request);
        return sign(request->outputs);
    }

    static constexpr const char* kBatchInfo =
        R"({"name":"fake","version":"Fake/1.0.0","nuts":{"29":{"max_batch_size":50}}})";
    static constexpr std::int64_t kNow = 1'790'000'000;  // Its clock stands still.

    const Options options_;
    mutable std::mutex mutex_;
    SeededRandom random_;  // Guarded by mutex_, as is all below.
    const crypto::Scalar node_key_ = crypto::Scalar::random(random_);
    cashu::KeysetId active_ = *cashu::KeysetId::parse("0000000000000000");
    std::map<cashu::KeysetId, std::map<cashu::Amount, crypto::Scalar>> keys_;
    std::map<cashu::KeysetId, cashu::Keyset> keysets_;
    std::set<ByteArray<33>> spent_;
    std::set<ByteArray<33>> pending_;
    std::map<ByteArray<33>, cashu::BlindSignature> signed_;
    std::map<std::string, cashu::wire::MintQuote> quotes_;
    std::map<std::string, MeltEntry> melts_;
    std::deque<Melt> melt_script_;
    std::map<PaymentHash, int> times_paid_;
    std::function<void(const PaymentHash&)> deliver_;
    cashu::Amount outstanding_ = 0;
    FaultScript script_;
    std::optional<Straggler> straggler_;
    std::map<std::string, int> calls_;
    std::string lie_path_;
    Lie lie_;
    bool away_ = false;
};

}  // namespace nutgate::test
