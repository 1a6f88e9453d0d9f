// The ledger against a model that is slow, obvious and made of plain numbers.
#include <array>
#include <map>
#include <rapidcheck.h>
#include <string>

#include "books.h"

using namespace nutgate;
using namespace nutgate::test;

namespace {

enum class Verb { Transfer, Hold, Renew, Post, Release, Expire, Wait, Seal };
struct Command {
    Verb verb;
    int id;  // Few, so that they meet again.
    int debit;
    int credit;
    int amount;
};

// For the report of what failed.
std::ostream& operator<<(std::ostream& out, const Command& c) {
    return out << "{verb " << static_cast<int>(c.verb) << ", id " << c.id << ", debit " << c.debit
               << ", credit " << c.credit << ", amount " << c.amount << "}";
}

const std::array<Account, 8> kAccounts = {
    kAlice,
    kBob,
    kMint,
    kRevenue,
    kInFlight,
    Account{AccountKind::Fees, "mint"},
    Account{AccountKind::Owner, ""},
    Account{AccountKind::Lightning, "lnd"},
};

struct Model {
    struct Balance {
        std::int64_t posted = 0;
        std::int64_t held = 0;
    };
    struct Transfer {
        int debit, credit, amount;
        bool operator==(const Transfer&) const = default;
    };
    enum class State { Open, Posted, Released, Expired };
    struct Hold {
        int payer, amount;
        std::int64_t deadline;
        State state = State::Open;
        int payee = -1, cost = -1, charged = -1;
    };

    std::array<Balance, kAccounts.size()> balances{};
    std::map<int, Transfer> transfers;
    std::map<int, Hold> holds;
    std::int64_t now = 0;

    static bool debit_grows(int account) {
        return grows_by_debit(kAccounts[static_cast<std::size_t>(account)].kind);
    }
    Balance& at(int account) { return balances[static_cast<std::size_t>(account)]; }

    // What it answers: "now", "before" or the number of the error; for a charge, its amount too.
    static std::string no(LedgerError error) { return std::to_string(static_cast<int>(error)); }

    std::string transfer(const Command& c) {
        const Transfer wanted{c.debit, c.credit, c.amount};
        const auto found = transfers.find(c.id);
        if (found != transfers.end()) {
            return found->second == wanted ? "before" : no(LedgerError::IdReused);
        }
        auto after = balances;
        const auto move = [&](int account, bool grows) {
            after[static_cast<std::size_t>(account)].posted += grows ? c.amount : -c.amount;
        };
        move(c.debit, debit_grows(c.debit));
        move(c.credit, !debit_grows(c.credit));
        if (c.debit == c.credit) {
            // Needs to have what it gives itself.
            if (at(c.debit).posted - at(c.debit).held < c.amount) {
                return no(LedgerError::InsufficientFunds);
            }
        }
        for (const auto& balance : after) {
            if (balance.posted < balance.held) return no(LedgerError::InsufficientFunds);
        }
        balances = after;
        transfers[c.id] = wanted;
        return "now";
    }
    std::string hold(const Command& c) {
        const int payer = c.debit % 2;
        const auto found = holds.find(c.id);
        if (found != holds.end()) {
            if (found->second.payer != payer || found->second.amount != c.amount) {
                return no(LedgerError::IdReused);
            }
            return found->second.state == State::Open ? "before" : no(LedgerError::HoldClosed);
        }
        if (at(payer).posted - at(payer).held < c.amount) return no(LedgerError::InsufficientFunds);
        at(payer).held += c.amount;
        holds[c.id] = {.payer = payer, .amount = c.amount, .deadline = now + c.credit};
        return "now";
    }
    std::string renew(const Command& c) {
        const auto found = holds.find(c.id);
        if (found == holds.end()) return no(LedgerError::HoldUnknown);
        if (found->second.state != State::Open) return no(LedgerError::HoldClosed);
        found->second.deadline = now + c.credit;
        return "now";
    }
    std::string post(const Command& c) {
        const int payee = 3;
        const auto found = holds.find(c.id);
        if (found == holds.end()) return no(LedgerError::HoldUnknown);
        Hold& hold = found->second;
        if (hold.state == State::Released) return no(LedgerError::HoldClosed);
        if (hold.state == State::Posted) {
            if (hold.cost != c.amount) return no(LedgerError::HoldClosed);
            return "before " + std::to_string(hold.charged);
        }
        if (c.amount > hold.amount) return no(LedgerError::ExceedsHold);
        Balance& payer = at(hold.payer);
        if (hold.state == State::Open) payer.held -= hold.amount;
        const auto available = payer.posted - payer.held;
        hold.charged = static_cast<int>(std::min<std::int64_t>(c.amount, available));
        hold.cost = c.amount;
        hold.state = State::Posted;
        payer.posted -= hold.charged;
        at(payee).posted += hold.charged;
        return "now " + std::to_string(hold.charged);
    }
    std::string release(const Command& c) {
        const auto found = holds.find(c.id);
        if (found == holds.end()) return no(LedgerError::HoldUnknown);
        Hold& hold = found->second;
        if (hold.state == State::Posted) return no(LedgerError::HoldClosed);
        if (hold.state == State::Open) at(hold.payer).held -= hold.amount;
        const bool open = std::exchange(hold.state, State::Released) == State::Open;
        return open ? "now" : "before";
    }
    std::string expire() {
        int released = 0;
        for (auto& [id, hold] : holds) {
            if (hold.state != State::Open || hold.deadline >= now) continue;
            at(hold.payer).held -= hold.amount;
            hold.state = State::Expired;
            ++released;
        }
        return std::to_string(released);
    }
};

std::string told(const Result<Applied, BooksError>& result) {
    if (!result) return Model::no(result.error().ledger.value());
    return *result == Applied::Now ? "now" : "before";
}

// What both answer to one command.
std::pair<std::string, std::string> both(Books& books, Model& model, const Command& c) {
    const Msat amount = *Msat::from_raw(c.amount);
    const auto account = [](int n) { return kAccounts[static_cast<std::size_t>(n)]; };
    switch (c.verb) {
        case Verb::Transfer:
            return {told(books.transfer(1000 + c.id, account(c.debit), account(c.credit), amount)),
                    model.transfer(c)};
        case Verb::Hold:
            return {told(books.hold(c.id, amount, c.credit, account(c.debit % 2))), model.hold(c)};
        case Verb::Renew: {
            const auto error = books.renew(c.id, c.credit);
            return {error ? Model::no(*error) : "now", model.renew(c)};
        }
        case Verb::Post: {
            const auto charge = books.post(c.id, amount);
            const auto answer = charge ? (charge->applied == Applied::Now ? "now " : "before ") +
                                             std::to_string(charge->charged.raw())
                                       : Model::no(charge.error().ledger.value());
            return {answer, model.post(c)};
        }
        case Verb::Release:
            return {told(books.release(c.id)), model.release(c)};
        case Verb::Expire:
            return {std::to_string(books.expire()), model.expire()};
        case Verb::Wait:
            books.clock.advance(Seconds{c.credit});
            model.now += c.credit;
            return {};
        case Verb::Seal:
            books.seal();
            return {};
    }
    return {};
}

rc::Gen<Command> any_command() {
    return rc::gen::apply(
        [](int verb, int id, int debit, int credit, int amount) {
            return Command{static_cast<Verb>(verb), id, debit, credit, amount};
        },
        rc::gen::inRange(0, 8), rc::gen::inRange(0, 12), rc::gen::inRange(0, 8),
        rc::gen::inRange(0, 8), rc::gen::element(0, 1, 7, 100, 333, 400, 999, 1000));
}

}  // namespace

TEST_CASE("ledger: whatever is asked in whatever order, it answers as the model does") {
    const bool held = rc::check([] {
        const auto commands =
            *rc::gen::container<std::vector<Command>>(any_command()).as("commands");
        Books books;
        Model model;
        model.at(0).posted = 1000;
        model.at(2).posted = 1000;
        for (const Command& command : commands) {
            const auto [answer, expected] = both(books, model, command);
            RC_ASSERT(answer == expected);
            for (int n = 0; n < static_cast<int>(kAccounts.size()); ++n) {
                const auto balance = books.balance(kAccounts[static_cast<std::size_t>(n)]);
                RC_ASSERT(balance.posted.raw() == model.at(n).posted);
                RC_ASSERT(balance.held.raw() == model.at(n).held);
            }
        }
        RC_ASSERT(books.audit(Ledger::Depth::Full).sound());
        RC_ASSERT(books.audit(Ledger::Depth::SinceCheckpoint).sound());
    });
    CHECK(held);
}
