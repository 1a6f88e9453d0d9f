#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "account.h"
#include "nutgate/base/verify.h"

namespace nutgate {
namespace {

using store::Reader;
using store::Row;

// Plain numbers here: what is read may be anything, and saying so is the point.
__extension__ using Wide = __int128;  // A sum over any number of accounts fits.

struct Sums {
    Wide debits = 0;
    Wide credits = 0;
    friend bool operator==(const Sums&, const Sums&) = default;
};

Sums plus(const std::optional<Sums>& a, const std::optional<Sums>& b) {
    const Sums x = a.value_or(Sums{});
    const Sums y = b.value_or(Sums{});
    return {.debits = x.debits + y.debits, .credits = x.credits + y.credits};
}

Msat shown(std::int64_t value) { return Msat::from_raw(value).value_or(Msat{}); }

std::int64_t sealed_number(Reader& reader) {
    const auto row = reader.query_one("SELECT number FROM checkpoint WHERE id = 1");
    return row ? row->integer(0) : 0;
}

std::int64_t newest_number(Reader& reader) {
    return reader.query_one("SELECT COALESCE(MAX(number), 0) FROM transfer")->integer(0);
}

std::int64_t clamped(Wide value) {
    return static_cast<std::int64_t>(std::clamp<Wide>(value, INT64_MIN, INT64_MAX));
}
std::string told(const char* what, Wide found, Wide expected) {
    return std::string{what} + " " + std::to_string(clamped(found)) + ", not " +
           std::to_string(clamped(expected));
}

// Of the transfers after `from`, up to and with `to`.
std::map<AccountNumber, Sums> sums_of_transfers(Reader& reader, std::int64_t from,
                                                std::int64_t to) {
    std::map<AccountNumber, Sums> sums;
    for (const Row& row :
         reader.query("SELECT debit, credit, CAST(SUM(amount) AS BIGINT) FROM transfer "
                      "WHERE number > $1 AND number <= $2 GROUP BY debit, credit",
                      from, to)) {
        sums[row.integer(0)].debits += row.integer(2);
        sums[row.integer(1)].credits += row.integer(2);
    }
    return sums;
}

// Who says what an account has, or should have.
enum class Source { Account = 0, Sealed = 1, SealedTransfers = 2, NewerTransfers = 3, Holds = 4 };

// All that is said of the accounts, the rows of one account together. Each part comes in
// the order of the accounts, which is kept while they are merged, so neither we nor the engine ever
// have more than a sort in memory, and the engine puts a large sort on the disk. What holds have in
// the place of debits is their number.
//
// After $1, up to $2: the transfers that the checkpoint is proved by. $3, $4: those that follow.
constexpr std::string_view kEvidence =
    "SELECT id, 0, debits, credits, held, kind, sign, name FROM account "
    "UNION ALL SELECT account, 1, debits, credits, 0, 0, 0, '' FROM sealed "
    "UNION ALL SELECT debit, 2, CAST(SUM(amount) AS BIGINT), 0, 0, 0, 0, '' FROM transfer "
    "WHERE number > $1 AND number <= $2 GROUP BY debit "
    "UNION ALL SELECT credit, 2, 0, CAST(SUM(amount) AS BIGINT), 0, 0, 0, '' FROM transfer "
    "WHERE number > $1 AND number <= $2 GROUP BY credit "
    "UNION ALL SELECT debit, 3, CAST(SUM(amount) AS BIGINT), 0, 0, 0, 0, '' FROM transfer "
    "WHERE number > $3 AND number <= $4 GROUP BY debit "
    "UNION ALL SELECT credit, 3, 0, CAST(SUM(amount) AS BIGINT), 0, 0, 0, '' FROM transfer "
    "WHERE number > $3 AND number <= $4 GROUP BY credit "
    "UNION ALL SELECT payer, 4, COUNT(*), 0, CAST(SUM(amount) AS BIGINT), 0, 0, '' FROM hold "
    "WHERE state = 1 GROUP BY payer "
    "ORDER BY 1";

struct Found {
    Sums sums;
    std::int64_t held;
    std::optional<AccountKind> kind;
    std::int64_t sign;
    std::string name;
};

struct Evidence {
    AccountNumber account;
    std::optional<Found> found = std::nullopt;
    std::optional<Sums> sealed = std::nullopt;
    std::optional<Sums> sealed_transfers = std::nullopt;
    std::optional<Sums> newer_transfers = std::nullopt;
    std::optional<std::int64_t> held = std::nullopt;
};

class Audit {
public:
    Audit(Reader& reader, Ledger::Depth depth) : reader_{reader}, depth_{depth} {}

    AuditReport run() {
        count_transfers();
        check_accounts();
        return std::move(report_);
    }

private:
    void fault(std::string what) { report_.faults.push_back(std::move(what)); }
    void fault_of_account(std::string what) {
        if (++faults_of_accounts_ <= AuditReport::kAccountFaultsMax) fault(std::move(what));
    }

    // Numbers have no gaps, so a transfer that was removed is missed even where its two accounts
    // were made to match.
    void count_transfers() {
        sealed_ = sealed_number(reader_);
        const std::int64_t from = depth_ == Ledger::Depth::Full ? 0 : sealed_;
        report_.transfers = newest_number(reader_);
        report_.transfers_checked =
            reader_.query_one("SELECT COUNT(*) FROM transfer WHERE number > $1", from)->integer(0);
        if (report_.transfers < sealed_) {
            fault(told("the newest transfer is number", report_.transfers, sealed_) + " or above");
        } else if (report_.transfers_checked != report_.transfers - from) {
            fault(told("transfers there are", report_.transfers_checked, report_.transfers - from));
        }
    }

    void check_accounts() {
        const bool full = depth_ == Ledger::Depth::Full;
        std::optional<Evidence> one;
        reader_.each(
            kEvidence,
            [&](const Row& row) {
                if (one && one->account != row.integer(0)) {
                    check(*one);
                    one.reset();
                }
                if (!one) one.emplace(Evidence{.account = row.integer(0)});
                add(*one, row);
            },
            0, full ? sealed_ : 0, sealed_, report_.transfers);
        if (one) check(*one);
        if (faults_of_accounts_ > AuditReport::kAccountFaultsMax) {
            fault("there are " + std::to_string(faults_of_accounts_) + " faults of accounts");
        }
        if (!checkpoint_proved_) {
            fault("the checkpoint is not the sum of the transfers up to number " +
                  std::to_string(sealed_));
        }
        if (all_.debits != all_.credits) fault("the sum over all accounts is not zero");
        report_.keys.debits = shown(clamped(keys_.debits));
        report_.keys.credits = shown(clamped(keys_.credits));
        report_.keys.held = shown(clamped(keys_held_));
    }

    void add(Evidence& one, const Row& row) {
        const Sums sums{.debits = row.integer(2), .credits = row.integer(3)};
        switch (static_cast<Source>(row.integer(1))) {
            case Source::Account:
                one.found = {.sums = sums,
                             .held = row.integer(4),
                             .kind = kind_from_raw(row.integer(5)),
                             .sign = row.integer(6),
                             .name = row.text(7)};
                break;
            case Source::Sealed:
                one.sealed = sums;
                break;
            case Source::SealedTransfers:
                one.sealed_transfers = plus(one.sealed_transfers, sums);
                break;
            case Source::NewerTransfers:
                one.newer_transfers = plus(one.newer_transfers, sums);
                break;
            case Source::Holds:
                one.held = row.integer(4);
                report_.holds_open += row.integer(2);
                break;
        }
    }

    void check(const Evidence& one) {
        const bool full = depth_ == Ledger::Depth::Full;
        if (full && sealed_ > 0 && one.sealed_transfers != one.sealed) checkpoint_proved_ = false;
        const std::optional<Sums>& older = full ? one.sealed_transfers : one.sealed;
        if (one.found) {
            check_account(one, plus(older, one.newer_transfers));
            return;
        }
        const std::string number = std::to_string(one.account) + ", which does not exist";
        if (older || one.newer_transfers)
            fault_of_account("transfers name account number " + number);
        if (one.held) fault_of_account("open holds name account number " + number);
    }

    void check_account(const Evidence& one, const Sums& expected) {
        const Found& found = *one.found;
        all_ = plus(all_, found.sums);
        if (!found.kind) {
            fault_of_account("account number " + std::to_string(one.account) +
                             " has no known kind");
            return;
        }
        const std::string name = std::string{to_text(*found.kind)} + ":" + found.name + ": ";
        const std::int64_t sign = grows_by_debit(*found.kind) ? 1 : -1;
        if (found.sign != sign) fault_of_account(name + told("its sign is", found.sign, sign));
        if (found.sums.debits != expected.debits) {
            fault_of_account(name + told("its debits are", found.sums.debits, expected.debits));
        }
        if (found.sums.credits != expected.credits) {
            fault_of_account(name + told("its credits are", found.sums.credits, expected.credits));
        }
        const std::int64_t held = one.held.value_or(0);
        if (found.held != held) fault_of_account(name + told("it has held", found.held, held));
        const Wide posted = (found.sums.debits - found.sums.credits) * sign;
        if (posted < 0) fault_of_account(name + "its balance is below zero");
        if (posted < found.held) fault_of_account(name + "it has more held than it has");
        report(*found.kind, found);
    }

    void report(AccountKind kind, const Found& found) {
        if (kind == AccountKind::Key) {
            ++report_.keys.count;
            keys_ = plus(keys_, found.sums);
            keys_held_ += found.held;
            return;
        }
        report_.accounts.push_back({.account = {kind, found.name},
                                    .debits = shown(clamped(found.sums.debits)),
                                    .credits = shown(clamped(found.sums.credits)),
                                    .held = shown(found.held)});
    }

    Reader& reader_;
    Ledger::Depth depth_;
    AuditReport report_;
    std::int64_t sealed_ = 0;  // The number of the checkpoint.
    bool checkpoint_proved_ = true;
    Sums all_;
    Sums keys_;
    Wide keys_held_ = 0;
    std::int64_t faults_of_accounts_ = 0;
};

}  // namespace

AuditReport Ledger::audit(Reader& reader, Depth depth) const { return Audit{reader, depth}.run(); }

std::int64_t Ledger::seal_checkpoint(store::Tx& tx, const SealStep& step) {
    const std::int64_t from = sealed_number(tx);
    const std::int64_t newest = std::min(newest_number(tx), step.to);
    const std::int64_t to = newest - from > step.most ? from + step.most : std::max(newest, from);
    // From the transfers, never from the accounts: a wrong balance must not become a sealed one.
    for (const auto& [account, sums] : sums_of_transfers(tx, from, to)) {
        tx.execute(
            "INSERT INTO sealed (account, debits, credits) VALUES ($1, $2, $3) "
            "ON CONFLICT (account) DO UPDATE SET debits = sealed.debits + excluded.debits, "
            "credits = sealed.credits + excluded.credits",
            account, static_cast<std::int64_t>(sums.debits),
            static_cast<std::int64_t>(sums.credits));
    }
    tx.execute(
        "INSERT INTO checkpoint (id, number, at) VALUES (1, $1, $2) "
        "ON CONFLICT (id) DO UPDATE SET number = excluded.number, at = excluded.at",
        to, clock_.now());
    return to;
}

}  // namespace nutgate
