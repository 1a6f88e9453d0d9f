// The mint from outside: its routes, its kept answers, its errors on the wire.
#include <array>

#include "mint/impl.h"
#include "nutgate/base/log.h"

namespace nutgate::cashu {

namespace {

using Code = MintCode;

constexpr Milliseconds kAskPause{200};
constexpr std::size_t kAskedMax = 10'000;

// What is left of `path` behind `prefix`, if that is what it begins with.
std::optional<std::string_view> behind(std::string_view path, std::string_view prefix) {
    if (!path.starts_with(prefix)) return std::nullopt;
    return path.substr(prefix.size());
}

MintError not_found() { return {404, "not found"}; }

}  // namespace

std::string new_quote_id(const Clock& clock, crypto::Random& random) {
    auto bytes = random.bytes<16>();
    const auto now = static_cast<std::uint64_t>(to_unix_milliseconds(clock.now()));
    for (std::size_t i = 0; i < 6; ++i) bytes[i] = static_cast<std::byte>(now >> (40 - 8 * i));
    bytes[6] = (bytes[6] & std::byte{0x0f}) | std::byte{0x70};
    bytes[8] = (bytes[8] & std::byte{0x3f}) | std::byte{0x80};
    std::string id = to_hex(bytes);
    for (const std::size_t at : {8U, 13U, 18U, 23U}) id.insert(at, 1, '-');
    return id;
}

MintError to_error(const wire::WireError& error) {
    using Wire = wire::WireError::Code;
    const std::string at = error.where.empty() ? "the request" : error.where;
    switch (error.code) {
        case Wire::TooLarge:
            return {413, "the request is too large"};
        case Wire::NotJson:
            return {Code::RequestMalformed, "not JSON"};
        case Wire::Missing:
            return {Code::RequestMalformed, at + " is missing"};
        case Wire::WrongType:
            return {Code::RequestMalformed, at + " has the wrong type"};
        case Wire::OutOfRange:
            return {Code::RequestMalformed, at + " is out of range"};
        case Wire::NotAPoint:
            return {at.starts_with("inputs") ? Code::ProofInvalid : Code::RequestMalformed,
                    at + " is not a compressed point"};
        case Wire::NotAKeyset:
            return {Code::KeysetUnknown, at + " is no keyset of this mint"};
        case Wire::TooMany:
            return {at == "outputs" ? Code::TooManyOutputs : Code::TooManyInputs,
                    at + " has too many items"};
        case Wire::Duplicate:
            return {Code::RequestMalformed, at + " is there twice"};
    }
    return {Code::RequestMalformed, "malformed"};
}

// All that a mint is made of: NOLINTNEXTLINE(readability-function-size)
Mint::Impl::Impl(store::Database& database_, LightningBackend& backend_, MintBooks& books_,
                 const Secret& secret_, const Clock& clock_, crypto::Random& random_,
                 Options options_, metrics::Registry& metrics)
    : database{database_},
      backend{backend_},
      books{books_},
      secret{secret_.copy()},
      clock{clock_},
      random{random_},
      options{std::move(options_)},
      answers_ok{metrics.counter("nutgate_mint_answers_total", "Answers of the embedded mint",
                                 {{"outcome", "ok"}})},
      answers_refused{metrics.counter("nutgate_mint_answers_total", "Answers of the embedded mint",
                                      {{"outcome", "refused"}})},
      answers_unavailable{metrics.counter("nutgate_mint_answers_total",
                                          "Answers of the embedded mint",
                                          {{"outcome", "unavailable"}})},
      melts_pending{metrics.gauge("nutgate_mint_melts_pending",
                                  "Melts whose payment has no certain end yet")},
      exchange{keysets, options} {
    // Beyond 62 doublings an amount fits no column; with no key for 1 no change could be given.
    VERIFY(options.key_count >= 1 && options.key_count <= 62);
    VERIFY(options.inputs_max <= wire::kArrayMax && options.outputs_max <= wire::kArrayMax);
    VERIFY(msat_of(options.mint_amount_max, Unit::Sat) > nutgate::Msat{});
    VERIFY(msat_of(options.melt_amount_max, Unit::Sat) > nutgate::Msat{});
}

bool Mint::Impl::may_ask(const std::string& id) {
    const Time now = clock.now();
    const Lock lock{mutex};
    if (asked.size() >= kAskedMax) {
        std::erase_if(asked, [&](const auto& entry) { return entry.second + kAskPause <= now; });
        // Ten thousand quotes within the pause: what is known is what they are answered with.
        if (asked.size() >= kAskedMax) return false;
    }
    const auto [entry, first] = asked.try_emplace(id, now);
    if (first) return true;
    if (entry->second + kAskPause > now) return false;
    entry->second = now;
    return true;
}

void Mint::Impl::keep_answer(store::Tx& tx, const RequestKey& key, std::string_view body,
                             Time now) {
    tx.execute(
        "INSERT INTO mint_answers (request_key, body, created_at) VALUES ($1, $2, $3) "
        "ON CONFLICT (request_key) DO NOTHING",
        BytesView{key}, body, now);
}

Answered Mint::Impl::cached(std::string_view path, std::string_view body,
                            Answered (Impl::*route)(const RequestKey&, std::string_view)) {
    const RequestKey key = crypto::sha256({as_bytes("POST"), as_bytes(path), as_bytes(body)});
    const auto kept = [&] {
        return database.read(
            [&](store::Reader& reader) -> Result<std::optional<std::string>, store::StoreFailure> {
                const auto row = reader.query_one(
                    "SELECT body FROM mint_answers WHERE request_key = $1", BytesView{key});
                std::optional<std::string> text;
                if (row) text = row->text(0);
                return text;
            });
    };
    TRY(auto before, kept());
    if (before) return *std::move(before);
    if (frozen) return fail(MintError{503, "the mint is frozen until its operator confirms"});
    auto answer = (this->*route)(key, body);
    if (answer || answer.error().status != 400) return answer;
    // The same bytes at the same time: the other one was served, and so is this one.
    TRY(auto meanwhile, kept());
    if (meanwhile) return *std::move(meanwhile);
    return answer;
}

Answered Mint::Impl::answer_get(std::string_view path) {
    if (path == "/v1/info") return info();
    if (path == "/v1/keys") return keys();
    if (path == "/v1/keysets") return list_keysets();
    if (const auto id = behind(path, "/v1/keys/")) return keys_of(*id);
    if (const auto id = behind(path, "/v1/mint/quote/bolt11/")) return mint_quote(*id);
    if (const auto id = behind(path, "/v1/mint/quote/bolt12/")) return offer_quote(*id);
    if (const auto id = behind(path, "/v1/melt/quote/bolt11/")) return melt_quote(*id);
    return fail(not_found());
}

Answered Mint::Impl::answer_post(std::string_view path, std::string_view body) {
    if (path == "/v1/swap") return cached(path, body, &Impl::swap);
    if (path == "/v1/mint/bolt11") return cached(path, body, &Impl::issue);
    if (path == "/v1/mint/bolt12") return cached(path, body, &Impl::issue_offer);
    if (path == "/v1/melt/bolt11") return cached(path, body, &Impl::melt);
    if (path == "/v1/checkstate") return check_state(body);
    if (path == "/v1/restore") return restore(body);
    Answered (Impl::*create)(std::string_view) = nullptr;
    if (path == "/v1/mint/quote/bolt11") create = &Impl::create_mint_quote;
    if (path == "/v1/mint/quote/bolt12") create = &Impl::create_offer_quote;
    if (path == "/v1/melt/quote/bolt11") create = &Impl::create_melt_quote;
    if (create == nullptr) return fail(not_found());
    if (frozen) return fail(MintError{503, "the mint is frozen until its operator confirms"});
    return (this->*create)(body);
}

Answered Mint::Impl::answer(MintMethod method, std::string_view path, std::string_view body) {
    switch (method) {
        case MintMethod::Get:
            return answer_get(path);
        case MintMethod::Post:
            return answer_post(path, body);
    }
    return fail(not_found());
}

Mint::Mint(store::Database& database, LightningBackend& backend, MintBooks& books,
           const Secret& mint_secret, const Clock& clock, crypto::Random& random, Options options,
           metrics::Registry& metrics)
    : impl_{std::make_unique<Impl>(database, backend, books, mint_secret, clock, random,
                                   std::move(options), metrics)} {}
Mint::~Mint() = default;

MintAnswer Mint::handle(MintMethod method, std::string_view path, std::string_view body) {
    const auto answer = impl_->answer(method, path, body);
    if (answer) {
        impl_->answers_ok.add();
        return {200, *answer};
    }
    const MintError& error = answer.error();
    (error.status >= 500 ? impl_->answers_unavailable : impl_->answers_refused).add();
    std::optional<int> code;
    if (error.code != 0) code = error.code;
    return {error.status, wire::write_error({error.detail, code})};
}

Result<void, store::StoreFailure> Mint::start() {
    TRY_VOID(impl_->load_keysets());
    TRY(const bool frozen,
        impl_->database.transact([&](store::Tx& tx) -> Result<bool, store::StoreFailure> {
            // Their invoices and offers were never told to anybody.
            tx.execute("DELETE FROM mint_quotes WHERE payment_hash IS NULL");
            tx.execute("DELETE FROM mint_offer_quotes WHERE offer IS NULL");
            return is_frozen(tx);
        }));
    impl_->frozen = frozen;
    if (frozen) {
        log::warn("mint.frozen", {{"until", "nutgate mint unfreeze"}});
    } else {
        impl_->poll_melts();
    }
    return {};
}

void Mint::poll() {
    if (impl_->frozen) return;
    impl_->poll_melts();
    impl_->poll_quotes();
    impl_->poll_offers();
    impl_->close_unpaid_offers();
    if (const auto forgotten = impl_->forget_old_quotes(); !forgotten) {
        log::warn("mint.store", {{"detail", forgotten.error().detail}});
    }
}

void Mint::poll(const PaymentHash& payment) {
    if (impl_->frozen) return;
    struct Known {
        bool is_quote = false;
        std::optional<std::string> melt;
    };
    const auto known =
        impl_->database.read([&](store::Reader& reader) -> Result<Known, store::StoreFailure> {
            Known result;
            result.is_quote =
                reader.query_one("SELECT 1 FROM mint_quotes WHERE payment_hash = $1", payment)
                    .has_value();
            if (const auto row = reader.query_one(
                    "SELECT quote FROM mint_payments WHERE payment_hash = $1", payment)) {
                result.melt = row->text(0);
            }
            return result;
        });
    if (!known) return;
    // A hint is only that: what fails now is asked about again by the next poll().
    if (known->is_quote) static_cast<void>(impl_->ask_incoming(payment));
    if (known->melt) static_cast<void>(impl_->pursue_melt(*known->melt));
    // Each payment of an offer has a hash that nobody heard of.
    if (!known->is_quote && !known->melt) impl_->poll_offers();
}

Result<KeysetId, store::StoreFailure> Mint::rotate(Unit unit, std::uint64_t input_fee_ppk) {
    return impl_->make_keyset(unit, input_fee_ppk);
}

bool Mint::frozen() const { return impl_->frozen; }

bool Mint::is_frozen(store::Reader& reader) {
    return reader.query_one("SELECT frozen FROM mint_settings WHERE id = 1")->integer(0) != 0;
}

bool Mint::pays(store::Reader& reader, const PaymentHash& payment) {
    // A melt that failed has no row there.
    return reader.query_one("SELECT 1 FROM mint_payments WHERE payment_hash = $1", payment)
        .has_value();
}

namespace {

Result<void, store::StoreFailure> set_frozen(store::Database& database, bool frozen) {
    return database.transact([&](store::Tx& tx) -> Result<void, store::StoreFailure> {
        tx.execute("UPDATE mint_settings SET frozen = $1 WHERE id = 1", frozen ? 1 : 0);
        return {};
    });
}

}  // namespace

Result<void, store::StoreFailure> Mint::freeze(store::Database& database) {
    return set_frozen(database, true);
}

Result<void, store::StoreFailure> Mint::unfreeze() {
    TRY_VOID(set_frozen(impl_->database, false));
    impl_->frozen = false;
    return {};
}

}  // namespace nutgate::cashu
