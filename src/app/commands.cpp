#include "commands.h"

#include <cstdio>

#include "data_view.h"
#include "nutgate/base/clock.h"
#include "nutgate/cashier/books.h"
#include "nutgate/cashu/mint.h"
#include "nutgate/keyring/keyring.h"
#include "nutgate/ledger/ledger.h"
#include "nutgate/proxy/usage_rows.h"
#include "nutgate/store/open.h"

namespace nutgate::app {

int print(const Json& json) {
    // What others said is in it, too, and need not be UTF-8.
    std::puts(json.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
    return kDone;
}

std::string sats(Msat amount) {
    const auto whole = std::to_string(to_sat_floor(amount).raw());
    const auto rest = amount.raw() % 1000;
    if (rest == 0) return whole;
    std::string digits = std::to_string(rest);
    while (digits.size() < 3) digits.insert(digits.begin(), '0');
    return whole + "." + digits;
}

int complain(const std::string& what, int code) {
    std::fprintf(stderr, "nutgate: %s\n", what.c_str());
    return code;
}

int complain(const std::vector<Mistake>& mistakes) {
    for (const Mistake& mistake : mistakes) {
        std::fprintf(stderr, "nutgate: %s: %s\n", mistake.key.c_str(), mistake.what.c_str());
    }
    return kMisused;
}

int version(Output output) {
    if (output == Output::Json) return print({{"name", "nutgate"}, {"version", NUTGATE_VERSION}});
    std::puts("nutgate " NUTGATE_VERSION);
    return kDone;
}

int audit(const std::string& data_dir, bool full, Output output) {
    const SystemClock clock;
    const Ledger ledger{clock};
    const auto report = look<BooksAudit>(data_dir, [&](store::Reader& reader, const DataDir&) {
        BooksAudit found =
            audit_books(reader, ledger, full ? Ledger::Depth::Full : Ledger::Depth::SinceCheckpoint,
                        clock.now());
        const std::int64_t from = found.ledger.transfers - found.ledger.transfers_checked + 1;
        for (std::string& fault :
             proxy::audit_usage(reader, ledger, revenue_account(kRevenueRequests), from)) {
            found.faults.push_back(std::move(fault));
        }
        return found;
    });
    if (!report) return complain(report.error().detail);
    const AuditReport::Keys& keys = report->ledger.keys;
    if (output == Output::Json) {
        Json accounts = Json::array();
        for (const auto& line : report->ledger.accounts) {
            accounts.push_back({{"kind", to_text(line.account.kind)},
                                {"name", line.account.name},
                                {"debits_msat", line.debits.raw()},
                                {"credits_msat", line.credits.raw()},
                                {"held_msat", line.held.raw()}});
        }
        print({{"sound", report->sound()},
               {"transfers", report->ledger.transfers},
               {"transfers_checked", report->ledger.transfers_checked},
               {"holds_open", report->ledger.holds_open},
               {"accounts", accounts},
               {"keys",
                {{"count", keys.count},
                 {"debits_msat", keys.debits.raw()},
                 {"credits_msat", keys.credits.raw()},
                 {"held_msat", keys.held.raw()}}},
               {"faults", report->faults}});
        return report->sound() ? kDone : kFailed;
    }
    std::printf("%lld transfers, %lld checked, %lld holds open\n",
                static_cast<long long>(report->ledger.transfers),
                static_cast<long long>(report->ledger.transfers_checked),
                static_cast<long long>(report->ledger.holds_open));
    for (const auto& line : report->ledger.accounts) {
        std::printf("%-18s %-48s debits %s credits %s sat\n",
                    std::string{to_text(line.account.kind)}.c_str(), line.account.name.c_str(),
                    sats(line.debits).c_str(), sats(line.credits).c_str());
    }
    std::printf("%-18s %-48lld debits %s credits %s sat\n", "keys",
                static_cast<long long>(keys.count), sats(keys.debits).c_str(),
                sats(keys.credits).c_str());
    for (const std::string& fault : report->faults) std::printf("FAULT %s\n", fault.c_str());
    std::puts(report->sound() ? "the books are sound" : "the books are NOT sound");
    return report->sound() ? kDone : kFailed;
}

int list_keys(const std::string& data_dir, int limit, Output output) {
    struct Line {
        KeyRecord key;
        Balance balance;
    };
    const SystemClock clock;
    const Ledger ledger{clock};
    const auto lines = look<std::vector<Line>>(
        data_dir,
        [&](store::Reader& reader,
            const DataDir& folder) -> Result<std::vector<Line>, CommandError> {
            TRY(const auto words, folder.words());
            const Keyring keyring{words, clock};  // Only its rows are asked for, not its secrets.
            std::vector<Line> found;
            for (auto& key : keyring.list(reader, limit)) {
                const auto balance = ledger.balance(reader, key_account(key.billing()));
                found.push_back({std::move(key), balance});
            }
            return found;
        });
    if (!lines) return complain(lines.error().detail);
    Json all = Json::array();
    for (const auto& [key, balance] : *lines) {
        if (output == Output::Json) {
            all.push_back({{"id", key.id.hex()},
                           {"parent", key.parent ? Json(key.parent->hex()) : Json()},
                           {"created_at", to_unix_seconds(key.created_at)},
                           {"balance_msat", balance.posted.raw()},
                           {"held_msat", balance.held.raw()},
                           {"total_spent_msat", key.total_spent.raw()},
                           {"total_requests", key.total_requests}});
        } else {
            std::printf("%s%s  %14s sat  spent %s sat in %lld requests\n", key.id.hex().c_str(),
                        key.parent ? " (child)" : "", sats(balance.posted).c_str(),
                        sats(key.total_spent).c_str(), static_cast<long long>(key.total_requests));
        }
    }
    return output == Output::Json ? print(all) : kDone;
}

int mint_info(const std::string& data_dir, Output output) {
    struct Seen {
        std::vector<cashu::Mint::Outstanding> owed;
        bool is_frozen;
    };
    const auto seen = look<Seen>(data_dir, [](store::Reader& reader, const DataDir&) {
        return Seen{cashu::Mint::outstanding(reader), cashu::Mint::is_frozen(reader)};
    });
    if (!seen) return complain(seen.error().detail);
    if (seen->is_frozen && output == Output::Text) {
        std::puts("frozen: it signs nothing until `nutgate mint unfreeze`");
    }
    Json all = Json::array();
    for (const auto& line : seen->owed) {
        if (output == Output::Json) {
            all.push_back(
                {{"keyset", line.keyset.text()}, {"outstanding_msat", line.amount.raw()}});
        } else {
            std::printf("%s  %s sat outstanding\n", line.keyset.text().c_str(),
                        sats(line.amount).c_str());
        }
    }
    return output == Output::Json ? print(all) : kDone;
}

int back_up(const std::string& data_dir, const std::string& target, Output output) {
    const auto folder = DataDir::look(data_dir);
    if (!folder) return complain(folder.error().detail);
    const auto database = store::open_read_only(folder->database_url());
    if (!database) return complain(database.error().detail);
    // What is spent from now on it does not know, and would let be spent again.
    if (const auto copied = store::back_up(**database, target, cashu::Mint::freeze); !copied) {
        return complain(copied.error().detail);
    }
    if (output == Output::Json) return print({{"file", target}});
    std::printf(
        "copied to %s; the seed is not in it, and its mint is frozen until `nutgate mint "
        "unfreeze`\n",
        target.c_str());
    return kDone;
}

}  // namespace nutgate::app
