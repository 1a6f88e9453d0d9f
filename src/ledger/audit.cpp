#include <algorithm>
#include <cstdint>
#include <map>
#include <string>

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
using SumsByAccount = std::map<AccountNumber, Sums>;

Msat shown(std::int64_t value) { return Msat::from_raw(value).value_or(Msat{}); }

void add_sides(SumsByAccount& sums, const std::vector<Row>& debits,
               const std::vector<Row>& credits) {
    for (const Row& row : debits) sums[row.integer(0)].debits += row.integer(1);
    for (const Row& row : credits) sums[row.integer(0)].credits += row.integer(1);
}

// Of the transfers after `from`, up to and with `to`.
SumsByAccount sums_of_transfers(Reader& reader, std::int64_t from, std::int64_t to) {
    SumsByAccount sums;
    add_sides(sums,
              reader.query("SELECT debit, CAST(SUM(amount) AS BIGINT) FROM transfer "
                           "WHERE number > $1 AND number <= $2 GROUP BY debit",
                           from, to),
              reader.query("SELECT credit, CAST(SUM(amount) AS BIGINT) FROM transfer "
                           "WHERE number > $1 AND number <= $2 GROUP BY credit",
                           from, to));
    return sums;
}

SumsByAccount sealed_sums(Reader& reader) {
    SumsByAccount sums;
    for (const Row& row : reader.query("SELECT account, debits, credits FROM sealed")) {
        sums[row.integer(0)] = {.debits = row.integer(1), .credits = row.integer(2)};
    }
    return sums;
}

std::int64_t sealed_number(Reader& reader) {
    const auto row = reader.query_one("SELECT number FROM checkpoint WHERE id = 1");
    return row ? row->integer(0) : 0;
}

std::int64_t newest_number(Reader& reader) {
    return reader.query_one("SELECT COALESCE(MAX(number), 0) FROM transfer")->integer(0);
}

std::string to_text(Wide value) {
    return std::to_string(static_cast<std::int64_t>(std::clamp<Wide>(value, INT64_MIN, INT64_MAX)));
}
std::string told(const char* what, std::int64_t found, Wide expected) {
    return std::string{what} + " " + std::to_string(found) + ", not " + to_text(expected);
}

class Audit {
public:
    Audit(Reader& reader, Ledger::Depth depth) : reader_{reader}, depth_{depth} {}

    AuditReport run() {
        count_transfers();
        const SumsByAccount expected = expected_sums();
        check_accounts(expected);
        check_holds_have_payers();
        return std::move(report_);
    }

private:
    void fault(std::string what) { report_.faults.push_back(std::move(what)); }

    // Numbers have no gaps, so a transfer that was removed is missed even where its two accounts
    // were made to match.
    void count_transfers() {
        const std::int64_t sealed = sealed_number(reader_);
        from_ = depth_ == Ledger::Depth::Full ? 0 : sealed;
        report_.transfers = newest_number(reader_);
        report_.transfers_checked =
            reader_.query_one("SELECT COUNT(*) FROM transfer WHERE number > $1", from_)->integer(0);
        if (report_.transfers < sealed) {
            fault(told("the newest transfer is number", report_.transfers, sealed) + " or above");
        } else if (report_.transfers_checked != report_.transfers - from_) {
            fault(
                told("transfers there are", report_.transfers_checked, report_.transfers - from_));
        }
    }

    SumsByAccount expected_sums() {
        const SumsByAccount sealed = sealed_sums(reader_);
        if (depth_ == Ledger::Depth::Full) {
            const std::int64_t number = sealed_number(reader_);
            if (number > 0 && sums_of_transfers(reader_, 0, number) != sealed) {
                fault("the checkpoint is not the sum of the transfers up to number " +
                      std::to_string(number));
            }
            return sums_of_transfers(reader_, 0, report_.transfers);
        }
        SumsByAccount sums = sums_of_transfers(reader_, from_, report_.transfers);
        for (const auto& [account, sum] : sealed) {
            sums[account].debits += sum.debits;
            sums[account].credits += sum.credits;
        }
        return sums;
    }

    void check_accounts(SumsByAccount expected) {
        for (const Row& row : reader_.query("SELECT payer, CAST(SUM(amount) AS BIGINT), COUNT(*) "
                                            "FROM hold WHERE state = 1 GROUP BY payer")) {
            held_[row.integer(0)] = row.integer(1);
            report_.holds_open += row.integer(2);
        }
        Wide debits = 0;
        Wide credits = 0;
        for (const Row& row : reader_.query(
                 "SELECT id, kind, name, sign, debits, credits, held FROM account ORDER BY id")) {
            debits += row.integer(4);
            credits += row.integer(5);
            const auto found = expected.find(row.integer(0));
            check_account(row, found == expected.end() ? Sums{} : found->second);
            if (found != expected.end()) expected.erase(found);
        }
        for (const auto& [account, sum] : expected) {
            fault("transfers name account number " + std::to_string(account) +
                  ", which does not exist");
        }
        if (debits != credits) fault("the sum over all accounts is not zero");
    }

    void check_account(const Row& row, const Sums& expected) {
        const auto kind = kind_from_raw(row.integer(1));
        if (!kind) {
            fault("account number " + std::to_string(row.integer(0)) + " has no known kind");
            return;
        }
        const std::string name = std::string{to_text(*kind)} + ":" + row.text(2) + ": ";
        const std::int64_t sign = grows_by_debit(*kind) ? 1 : -1;
        if (row.integer(3) != sign) fault(name + told("its sign is", row.integer(3), sign));
        const std::int64_t debits = row.integer(4);
        const std::int64_t credits = row.integer(5);
        const std::int64_t held = row.integer(6);
        if (debits != expected.debits) {
            fault(name + told("its debits are", debits, expected.debits));
        }
        if (credits != expected.credits) {
            fault(name + told("its credits are", credits, expected.credits));
        }
        const auto holds = held_.find(row.integer(0));
        const std::int64_t expected_held = holds == held_.end() ? 0 : holds->second;
        if (holds != held_.end()) held_.erase(holds);
        if (held != expected_held) fault(name + told("it has held", held, expected_held));
        const Wide posted = (Wide{debits} - credits) * sign;
        if (posted < 0) fault(name + "its balance is below zero");
        if (posted < held) fault(name + "it has more held than it has");
        report_.accounts.push_back({.account = {*kind, row.text(2)},
                                    .debits = shown(debits),
                                    .credits = shown(credits),
                                    .held = shown(held)});
    }

    // What check_account() left over.
    void check_holds_have_payers() {
        for (const auto& [account, amount] : held_) {
            fault("open holds name account number " + std::to_string(account) +
                  ", which does not exist");
        }
    }

    Reader& reader_;
    Ledger::Depth depth_;
    AuditReport report_;
    std::int64_t from_ = 0;  // The transfers after this one are summed.
    std::map<AccountNumber, std::int64_t> held_;
};

}  // namespace

AuditReport Ledger::audit(Reader& reader, Depth depth) const { return Audit{reader, depth}.run(); }

void Ledger::seal_checkpoint(store::Tx& tx) {
    const std::int64_t from = sealed_number(tx);
    const std::int64_t to = newest_number(tx);
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
}

}  // namespace nutgate
