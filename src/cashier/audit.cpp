// The books against what they are about: proofs, signatures, rows.
#include <map>
#include <string>

#include "nutgate/cashier/books.h"
#include "nutgate/cashu/mint.h"
#include "nutgate/lightning/simulated.h"
#include "posting.h"
#include "schema.h"

namespace nutgate {
namespace {

using store::Reader;

// In msat, signed: what is to be zero may be off to either side.
using Sums = std::map<std::string, std::int64_t>;

std::int64_t growth(const AuditReport::Line& line) {
    const auto debits = line.debits.raw();
    const auto credits = line.credits.raw();
    return grows_by_debit(line.account.kind) ? debits - credits : credits - debits;
}

Sums books_of(const AuditReport& report, AccountKind kind) {
    Sums sums;
    for (const AuditReport::Line& line : report.accounts) {
        if (line.account.kind == kind) sums[line.account.name] += growth(line);
    }
    return sums;
}

void compare(std::string_view what, const Sums& books, const Sums& facts,
             std::vector<std::string>& faults) {
    Sums difference = books;
    for (const auto& [name, amount] : facts) difference[name] -= amount;
    for (const auto& [name, amount] : difference) {
        if (amount == 0) continue;
        faults.push_back(std::string{what} + " " + name + ": the books have " +
                         std::to_string(amount) + " msat more than there is");
    }
}

Sums proofs(Reader& reader) {
    Sums sums;
    for (const cashu::MintBalance& balance : cashu::Wallet::balances(reader)) {
        const Account account = ecash_account(balance.mint, balance.unit);
        sums[account.name] += balance.available.raw();
        sums[account.name] += balance.reserved.raw();
    }
    return sums;
}

Sums signatures(Reader& reader) {
    Sums sums;
    for (const auto& line : cashu::Mint::outstanding(reader)) {
        sums[outstanding_account(line.keyset).name] += line.amount.raw();
    }
    return sums;
}

// What is in flight, as the rows that it is for explain it.
Sums rows_in_flight(Reader& reader) {
    const auto payouts = reader.query_one(
        "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM payout WHERE state = $1",
        stored(RowState::Submitted));
    const auto remittances = reader.query_one(
        "SELECT CAST(COALESCE(SUM(amount + fee_max), 0) AS BIGINT) FROM remittance "
        "WHERE state = $1",
        stored(RowState::Submitted));
    const auto waiting = reader.query_one(
        "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM settlement WHERE key IS NULL AND "
        "own = 0");
    const auto change =
        reader.query_one("SELECT CAST(COALESCE(SUM(foreign_change), 0) AS BIGINT) FROM deposit");
    return {{payouts_in_flight().name, payouts->integer(0) + remittances->integer(0)},
            {unclaimed().name, waiting->integer(0)},
            {foreign_change().name, change->integer(0)},
            {"mint", cashu::Mint::in_flight(reader).raw()}};
}

// What left one of our assets and is no ecash elsewhere yet.
Sums rows_in_transit(Reader& reader) {
    const auto left = reader.query_one(
        "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM transit WHERE state = $1",
        stored(TransitState::Left));
    return {{transit().name, left->integer(0)}};
}

// What fundings and remittances under way may have taken from a backend already.
std::int64_t paying_at(Reader& reader, std::string_view backend) {
    const auto fundings = reader.query_one(
        "SELECT CAST(COALESCE(SUM(amount + fee), 0) AS BIGINT) FROM transit WHERE state = $1 "
        "AND backend = $2",
        stored(TransitState::Submitted), backend);
    const auto remittances = reader.query_one(
        "SELECT CAST(COALESCE(SUM(amount + fee_max), 0) AS BIGINT) FROM remittance "
        "WHERE state = $1 AND backend = $2",
        stored(RowState::Submitted), backend);
    return fundings->integer(0) + remittances->integer(0);
}

// What a payment took from the node is in the books once its melt or funding has ended; until then
// the melt's inputs, which are more, and the most of a funding or remittance stand for it.
void check_solvency(Reader& reader, const AuditReport& report, Time now,
                    std::vector<std::string>& faults) {
    const Sums nodes = books_of(report, AccountKind::Lightning);
    const auto node = nodes.find("simulated");
    if (node == nodes.end()) return;
    const std::int64_t held = simulated_balance(reader, now).raw();
    const Sums in_flight = books_of(report, AccountKind::PaymentInFlight);
    const auto melts = in_flight.find(melts_in_flight().name);
    const std::int64_t missing = node->second - held -
                                 (melts == in_flight.end() ? 0 : melts->second) -
                                 paying_at(reader, node->first);
    if (missing <= 0) return;
    faults.push_back("lightning simulated: the books have " + std::to_string(missing) +
                     " msat more than the node holds");
}

}  // namespace

BooksAudit audit_books(Reader& reader, const Ledger& ledger, Ledger::Depth depth, Time now) {
    BooksAudit audit{.ledger = ledger.audit(reader, depth), .faults = {}};
    audit.faults = audit.ledger.faults;
    compare("ecash", books_of(audit.ledger, AccountKind::Ecash), proofs(reader), audit.faults);
    compare("mint_outstanding", books_of(audit.ledger, AccountKind::MintOutstanding),
            signatures(reader), audit.faults);
    // The mint tells what it has in flight as one sum.
    Sums in_flight = books_of(audit.ledger, AccountKind::PaymentInFlight);
    std::int64_t& mints = in_flight["mint"];
    for (const Account& account : {mint_quotes_in_flight(), melts_in_flight()}) {
        mints += in_flight[account.name];
        in_flight.erase(account.name);
    }
    const Sums lightning = books_of(audit.ledger, AccountKind::Lightning);
    const auto left = lightning.find(transit().name);
    compare("lightning", {{transit().name, left == lightning.end() ? 0 : left->second}},
            rows_in_transit(reader), audit.faults);
    compare("payment_in_flight", in_flight, rows_in_flight(reader), audit.faults);
    check_solvency(reader, audit.ledger, now, audit.faults);
    return audit;
}

}  // namespace nutgate
