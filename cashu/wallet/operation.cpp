#include "wallet/operation.h"

#include <algorithm>

namespace nutgate::cashu::wallet {
namespace {

using store::Reader;
using store::Row;
using store::Tx;

constexpr auto number(OperationState state) { return static_cast<std::int64_t>(state); }
constexpr auto number(OperationKind kind) { return static_cast<std::int64_t>(kind); }
constexpr auto number(ProofState state) { return static_cast<std::int64_t>(state); }

std::int64_t signed_of(std::uint64_t value) {
    VERIFY(value <= static_cast<std::uint64_t>(INT64_MAX));
    return static_cast<std::int64_t>(value);
}
std::uint64_t unsigned_of(std::int64_t value) {
    VERIFY(value >= 0);
    return static_cast<std::uint64_t>(value);
}

template <class T>
T must(std::optional<T> value) {
    VERIFY(value.has_value());  // It was valid when it was stored.
    return *std::move(value);
}

template <std::size_t N>
ByteArray<N> array(BytesView bytes) {
    VERIFY(bytes.size() == N);
    ByteArray<N> result;
    std::copy(bytes.begin(), bytes.end(), result.begin());
    return result;
}

Bytes copy(BytesView bytes) { return {bytes.begin(), bytes.end()}; }

constexpr std::string_view kInputColumns =
    "SELECT y, keyset, amount, msat, counter, signature, dleq, state, derived_from FROM "
    "wallet_proof ";

Input input_of(const Row& row) {
    Input input{.y = array<33>(row.bytes(0)),
                .keyset = must(KeysetId::parse(row.text(1))),
                .amount = unsigned_of(row.integer(2)),
                .msat = row.msat(3),
                .counter = std::nullopt,
                .signature = array<33>(row.bytes(5)),
                .dleq = std::nullopt};
    if (!row.is_null(4)) input.counter = unsigned_of(row.integer(4));
    if (!row.is_null(6)) input.dleq = array<64>(row.bytes(6));
    if (!row.is_null(8)) input.derived_from = must(KeysetId::parse(row.text(8)));
    const auto state = row.integer(7);
    input.foreign = state == number(ProofState::Received) || state == number(ProofState::Released);
    return input;
}

// payment, melt_quote, quote_expires_at, payer, from `column` on
std::optional<Bill> bill_of(const Row& row, std::size_t column) {
    if (row.is_null(column)) return std::nullopt;
    Bill bill{.payment = row.id<PaymentHash>(column),
              .melt_quote = row.is_null(column + 1) ? std::string{} : row.text(column + 1),
              .expires_at = std::nullopt,
              .payer = row.is_null(column + 3) ? std::string{} : row.text(column + 3)};
    if (!row.is_null(column + 2)) bill.expires_at = row.time(column + 2);
    return bill;
}

// Came and was let go, or is one that we once gave away.
bool is_claimable(std::int64_t state) {
    return state == number(ProofState::Sent) || state == number(ProofState::Released);
}

void insert_outputs(Tx& tx, const OperationId& id, int version,
                    const std::vector<PlannedOutput>& outputs) {
    std::int64_t position = 0;
    for (const auto& output : outputs) {
        tx.execute(
            "INSERT INTO wallet_output (operation, version, position, keyset, counter, amount, "
            "purpose, blinded) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            id, version, position++, output.message.id.text(), signed_of(output.counter),
            signed_of(output.message.amount), static_cast<std::int64_t>(output.purpose),
            BytesView{output.message.B_.compressed()});
    }
}

std::optional<Bytes> unless_empty(const Bytes& bytes) {
    if (bytes.empty()) return std::nullopt;
    return bytes;
}

}  // namespace

std::vector<PlannedOutput> Operation::outputs_of(int wanted) const {
    std::vector<PlannedOutput> result;
    for (const auto& output : outputs) {
        if (output.version == wanted) result.push_back(output);
    }
    return result;
}

std::int64_t to_stored(WalletError::Code code) {
    using enum WalletError::Code;
    switch (code) {
        case TokenMalformed:
            return 1;
        case TokenZeroValue:
            return 2;
        case TokenSpent:
            return 3;
        case TokenPending:
            return 4;
        case MintForeign:
            return 5;
        case UnitForeign:
            return 6;
        case KeysetUnknown:
            return 7;
        case ProofInvalid:
            return 8;
        case LockedToOther:
            return 9;
        case FeeExceedsAmount:
            return 10;
        case InsufficientFunds:
            return 11;
        case AmountOverflow:
            return 12;
        case MintRefused:
            return 13;
        case MintUnreachable:
            return 14;
        case MintRateLimited:
            return 15;
        case InProgress:
            return 16;
        case StoreUnavailable:
            return 17;
        case ExposureExceeded:
            return 18;
        case InvoiceInvalid:
            return 19;
        case PaymentFailed:
            return 20;
    }
    VERIFY(false);
    return 0;
}

WalletError::Code failure_from_stored(std::int64_t stored) {
    for (int code = 0; code <= static_cast<int>(WalletError::Code::StoreUnavailable); ++code) {
        const auto candidate = static_cast<WalletError::Code>(code);
        if (to_stored(candidate) == stored) return candidate;
    }
    return WalletError::Code::MintRefused;  // Written by a newer program.
}

std::uint64_t take_counters(Tx& tx, std::string_view name, std::int64_t count) {
    tx.execute(
        "INSERT INTO wallet_counter (name, next) VALUES ($1, 0) ON CONFLICT (name) DO NOTHING",
        name);
    const auto row = tx.query_one(
        "UPDATE wallet_counter SET next = next + $2 WHERE name = $1 RETURNING next", name, count);
    VERIFY(row.has_value());
    return unsigned_of(row->integer(0) - count);
}

void raise_counter(Tx& tx, std::string_view name, std::uint64_t next) {
    tx.execute(
        "INSERT INTO wallet_counter (name, next) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET "
        "next = excluded.next WHERE wallet_counter.next < excluded.next",
        name, signed_of(next));
}

std::optional<OperationId> find_joinable(Reader& reader, OperationKind kind,
                                         std::string_view reference) {
    const auto row = reader.query_one(
        "SELECT id FROM wallet_operation WHERE kind = $1 AND reference = $2 AND state <> 3",
        number(kind), reference);
    if (!row) return std::nullopt;
    return row->id<OperationId>(0);
}

void insert(Tx& tx, const Draft& draft, std::string_view reference, Time now) {
    tx.execute(
        "INSERT INTO wallet_operation (id, kind, state, reference, mint, unit, amount, fee, path, "
        "request, token, attempts, transmissions, version, next_attempt_at, last_error, "
        "created_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, 0, 1, $12, '', $12)",
        draft.id, number(draft.kind), number(OperationState::Submitted), reference,
        draft.mint.text(), to_text(draft.unit), draft.amount, draft.fee, draft.path,
        unless_empty(draft.request), unless_empty(draft.token), now);
    insert_outputs(tx, draft.id, 1, draft.outputs);
    if (!draft.bill) return;
    tx.execute(
        "UPDATE wallet_operation SET payment = $2, melt_quote = $3, quote_expires_at = $4, payer = "
        "$5 WHERE id = $1",
        draft.id, draft.bill->payment, draft.bill->melt_quote, draft.bill->expires_at,
        draft.bill->payer);
}

std::optional<Operation> load(Reader& reader, const OperationId& id) {
    const auto row = reader.query_one(
        "SELECT kind, state, reference, mint, unit, amount, fee, path, request, attempts, "
        "taken_at, error_code, last_error, created_at, version, transmissions, payment, "
        "melt_quote, quote_expires_at, payer FROM wallet_operation WHERE id = $1",
        id);
    if (!row) return std::nullopt;
    Operation operation{.id = id,
                        .kind = static_cast<OperationKind>(row->integer(0)),
                        .state = static_cast<OperationState>(row->integer(1)),
                        .reference = row->text(2),
                        .mint = must(MintUrl::parse(row->text(3))),
                        .unit = must(parse_unit(row->text(4))),
                        .amount = row->msat(5),
                        .fee = row->msat(6),
                        .path = row->text(7),
                        .request = row->is_null(8) ? Bytes{} : copy(row->bytes(8)),
                        .attempts = static_cast<int>(row->integer(9)),
                        .transmissions = static_cast<int>(row->integer(15)),
                        .taken_at = std::nullopt,
                        .error_code = std::nullopt,
                        .last_error = row->text(12),
                        .created_at = row->time(13),
                        .inputs = {},
                        .version = static_cast<int>(row->integer(14)),
                        .outputs = {},
                        .bill = bill_of(*row, 16)};
    if (!row->is_null(10)) operation.taken_at = row->time(10);
    if (!row->is_null(11)) operation.error_code = static_cast<int>(row->integer(11));
    for (const auto& input :
         reader.query(std::string{kInputColumns} + "WHERE operation = $1 ORDER BY amount, y", id)) {
        operation.inputs.push_back(input_of(input));
    }
    for (const auto& output : reader.query(
             "SELECT amount, keyset, blinded, counter, purpose, version FROM wallet_output WHERE "
             "operation = $1 ORDER BY version, position",
             id)) {
        operation.outputs.push_back(
            {.message = {.amount = unsigned_of(output.integer(0)),
                         .id = must(KeysetId::parse(output.text(1))),
                         .B_ = must(crypto::Point::from_bytes(output.bytes(2)))},
             .counter = unsigned_of(output.integer(3)),
             .purpose = static_cast<Purpose>(output.integer(4)),
             .version = static_cast<int>(output.integer(5))});
    }
    return operation;
}

std::vector<Due> due(Reader& reader, Time now, int limit) {
    std::vector<Due> found;
    for (const auto& row : reader.query("SELECT id, mint FROM wallet_operation WHERE state IN (1, "
                                        "4) AND next_attempt_at <= $1 "
                                        "ORDER BY next_attempt_at, id LIMIT $2",
                                        now, limit)) {
        found.push_back({row.id<OperationId>(0), must(MintUrl::parse(row.text(1)))});
    }
    return found;
}

int unfinished(Reader& reader) {
    const auto row =
        reader.query_one("SELECT COUNT(*) FROM wallet_operation WHERE state IN (1, 4)");
    return static_cast<int>(row->integer(0));
}

Result<void, WalletError> claim_foreign(Tx& tx, const Draft& draft) {
    // All are looked at before the first is taken: a refusal leaves nothing behind.
    for (const auto& input : draft.inputs) {
        const auto row =
            tx.query_one("SELECT state FROM wallet_proof WHERE y = $1", BytesView{input.y});
        if (!row || is_claimable(row->integer(0))) continue;
        if (row->integer(0) == number(ProofState::Received)) {
            return fail(WalletError{WalletError::Code::TokenPending,
                                    "a proof of it is being received already"});
        }
        return fail(
            WalletError{WalletError::Code::TokenSpent, "a proof of it was received before"});
    }
    for (const auto& input : draft.inputs) {
        const auto changed = tx.execute(
            "INSERT INTO wallet_proof (y, mint, unit, keyset, amount, msat, signature, state, "
            "operation) VALUES ($1, $2, $3, $4, $5, $6, $7, 5, $8) ON CONFLICT (y) DO UPDATE SET "
            "state = 5, operation = excluded.operation WHERE wallet_proof.state IN (4, 6)",
            BytesView{input.y}, draft.mint.text(), to_text(draft.unit), input.keyset.text(),
            signed_of(input.amount), input.msat, BytesView{input.signature}, draft.id);
        VERIFY(changed == 1);
    }
    return {};
}

bool reserve_own(Tx& tx, const Draft& draft) {
    for (const auto& input : draft.inputs) {
        const auto row =
            tx.query_one("SELECT state FROM wallet_proof WHERE y = $1", BytesView{input.y});
        if (!row || row->integer(0) != number(ProofState::Unspent)) return false;
    }
    for (const auto& input : draft.inputs) {
        const auto changed = tx.execute(
            "UPDATE wallet_proof SET state = 2, operation = $2 WHERE y = $1 AND state = 1",
            BytesView{input.y}, draft.id);
        VERIFY(changed == 1);
    }
    return true;
}

void note_run(Tx& tx, const OperationId& id, Time next_attempt_at) {
    tx.execute(
        "UPDATE wallet_operation SET attempts = attempts + 1, next_attempt_at = $2 WHERE id = $1",
        id, next_attempt_at);
}

void note_no_later(Tx& tx, const OperationId& id, Time next_attempt_at) {
    tx.execute(
        "UPDATE wallet_operation SET next_attempt_at = $2 WHERE id = $1 AND next_attempt_at > $2",
        id, next_attempt_at);
}

int note_transmission(Tx& tx, const OperationId& id) {
    const auto row = tx.query_one(
        "UPDATE wallet_operation SET transmissions = transmissions + 1 WHERE id = $1 RETURNING "
        "transmissions",
        id);
    VERIFY(row.has_value());
    return static_cast<int>(row->integer(0));
}

void take_back_transmission(Tx& tx, const OperationId& id) {
    tx.execute(
        "UPDATE wallet_operation SET transmissions = transmissions - 1 WHERE id = $1 AND "
        "transmissions > 0",
        id);
}

void note_taken(Tx& tx, const OperationId& id, Time now) {
    tx.execute("UPDATE wallet_operation SET taken_at = $2 WHERE id = $1 AND taken_at IS NULL", id,
               now);
}

void replace_request(Tx& tx, const OperationId& id, BytesView request) {
    tx.execute("UPDATE wallet_operation SET request = $2 WHERE id = $1 AND state IN (1, 4)", id,
               request);
}

void replan(Tx& tx, const OperationId& id, int version, const std::vector<PlannedOutput>& outputs,
            BytesView request) {
    // The transmissions of the old plan don't tell anything about the new one's bytes, but its
    // inputs may still be taken by them; so what counts as first is only ever a first plan's.
    const auto changed = tx.execute(
        "UPDATE wallet_operation SET request = $2, version = $3 WHERE id = $1 AND state IN (1, 4) "
        "AND "
        "version = $4",
        id, request, version, version - 1);
    if (changed == 1) insert_outputs(tx, id, version, outputs);
}

bool end(Tx& tx, const OperationId& id, OperationState state,
         const std::optional<WalletError>& error, Time now) {
    const std::optional<std::int64_t> code =
        error ? std::optional{to_stored(error->code)} : std::nullopt;
    return tx.execute(
               "UPDATE wallet_operation SET state = $2, error_code = $3, last_error = $4, ended_at "
               "= "
               "$5 WHERE id = $1 AND state IN (1, 4)",
               id, number(state), code, error ? std::string_view{error->detail} : "", now) == 1;
}

void note_waiting(Tx& tx, const OperationId& id, OperationState state, std::string_view why) {
    tx.execute(
        "UPDATE wallet_operation SET state = $2, last_error = $3 WHERE id = $1 AND state IN (1, 4)",
        id, number(state), why);
}

void insert_proofs(Tx& tx, const Operation& operation, const std::vector<NewProof>& proofs) {
    for (const auto& proof : proofs) {
        const std::optional<OperationId> holder =
            proof.state == ProofState::Sent ? std::optional{operation.id} : std::nullopt;
        const auto derived_from =
            proof.derived_from ? std::optional{proof.derived_from->text()} : std::nullopt;
        tx.execute(
            "INSERT INTO wallet_proof (y, mint, unit, keyset, amount, msat, counter, signature, "
            "dleq, state, operation, made_by, derived_from) VALUES ($1, $2, $3, $4, $5, $6, $7, "
            "$8, $9, $10, $11, $12, $13)",
            BytesView{proof.y}, operation.mint.text(), to_text(operation.unit), proof.keyset.text(),
            signed_of(proof.amount), proof.msat, signed_of(proof.counter),
            BytesView{proof.signature}, proof.dleq, number(proof.state), holder, operation.id,
            derived_from);
    }
}

bool insert_restored(Tx& tx, const MintUrl& mint, Unit unit, const NewProof& proof) {
    const auto& source = proof.derived_from.value_or(proof.keyset);
    const auto coming = tx.query_one(
        "SELECT o.counter FROM wallet_output o JOIN wallet_operation p ON p.id = o.operation WHERE "
        "o.keyset = $1 AND o.counter = $2 AND p.state IN (1, 4)",
        source.text(), signed_of(proof.counter));
    if (coming) return false;
    const auto derived_from =
        proof.derived_from ? std::optional{proof.derived_from->text()} : std::nullopt;
    return tx.execute(
               "INSERT INTO wallet_proof (y, mint, unit, keyset, amount, msat, counter, signature, "
               "dleq, state, derived_from) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10) ON "
               "CONFLICT (y) DO NOTHING",
               BytesView{proof.y}, mint.text(), to_text(unit), proof.keyset.text(),
               signed_of(proof.amount), proof.msat, signed_of(proof.counter),
               BytesView{proof.signature}, proof.dleq, derived_from) == 1;
}

void move_inputs(Tx& tx, const OperationId& id, ProofState to) {
    tx.execute("UPDATE wallet_proof SET state = $2 WHERE operation = $1 AND state IN (2, 5)", id,
               number(to));
}

void release_inputs(Tx& tx, const OperationId& id) {
    tx.execute(
        "UPDATE wallet_proof SET state = CASE WHEN state = 2 THEN 1 ELSE 6 END WHERE operation = "
        "$1 AND state IN (2, 5)",
        id);
}

void move_input(Tx& tx, const OperationId& id, const ByteArray<33>& y, ProofState to) {
    tx.execute(
        "UPDATE wallet_proof SET state = $3 WHERE operation = $1 AND y = $2 AND state IN (2, 5)",
        id, BytesView{y}, number(to));
}

// One look into the index for each amount that there is, however many proofs are of it.
std::vector<Input> unspent(Reader& reader, const MintUrl& mint, Unit unit, int of_each) {
    std::vector<Input> inputs;
    auto below = INT64_MAX;
    while (true) {
        const auto largest = reader.query_one(
            "SELECT amount FROM wallet_proof WHERE state = 1 AND mint = $1 AND unit = $2 AND "
            "amount < $3 ORDER BY amount DESC LIMIT 1",
            mint.text(), to_text(unit), below);
        if (!largest) return inputs;
        below = largest->integer(0);
        for (const auto& row : reader.query(
                 std::string{kInputColumns} +
                     "WHERE state = 1 AND mint = $1 AND unit = $2 AND amount = $3 LIMIT $4",
                 mint.text(), to_text(unit), below, of_each)) {
            inputs.push_back(input_of(row));
        }
    }
}

nutgate::Msat unspent_total(Reader& reader, const MintUrl& mint, Unit unit) {
    const auto row = reader.query_one(
        "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM wallet_proof WHERE state = 1 AND "
        "mint = $1 AND unit = $2",
        mint.text(), to_text(unit));
    return to_msat(unsigned_of(row->integer(0)), unit).value_or(nutgate::Msat{});
}

bool has_business_at(Reader& reader, const MintUrl& mint) {
    return reader
               .query_one(
                   "SELECT 1 FROM wallet_proof WHERE state IN (1, 2, 5) AND mint = $1 LIMIT 1",
                   mint.text())
               .has_value() ||
           reader
               .query_one(
                   "SELECT 1 FROM wallet_operation WHERE state IN (1, 4) AND mint = $1 LIMIT 1",
                   mint.text())
               .has_value();
}

nutgate::Msat held_at(Reader& reader, const MintUrl& mint) {
    const auto proofs = reader.query_one(
        "SELECT CAST(COALESCE(SUM(msat), 0) AS BIGINT) FROM wallet_proof WHERE state IN (1, 2) AND "
        "mint = $1",
        mint.text());
    const auto coming = reader.query_one(
        "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM wallet_operation WHERE state IN (1, "
        "4) AND kind IN (1, 3, 8) AND mint = $1",
        mint.text());
    return add(proofs->msat(0), coming->msat(0)).value_or(proofs->msat(0));
}

nutgate::Msat expected(Reader& reader, const MintUrl& mint, Unit unit) {
    const auto row = reader.query_one(
        "SELECT CAST(COALESCE(SUM(o.amount), 0) AS BIGINT) FROM wallet_output o JOIN "
        "wallet_operation p ON p.id = o.operation WHERE p.state IN (1, 4) AND o.purpose = 1 AND "
        "o.version = p.version AND p.mint = $1 AND p.unit = $2",
        mint.text(), to_text(unit));
    return to_msat(unsigned_of(row->integer(0)), unit).value_or(nutgate::Msat{});
}

}  // namespace nutgate::cashu::wallet
