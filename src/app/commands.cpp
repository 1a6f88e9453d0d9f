#include "commands.h"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <memory>
#include <unistd.h>

#include "data_dir.h"
#include "nutgate/base/clock.h"
#include "nutgate/cashier/books.h"
#include "nutgate/cashu/mint.h"
#include "nutgate/cashu/wallet.h"
#include "nutgate/crypto/random.h"
#include "nutgate/http/client.h"
#include "nutgate/keyring/keyring.h"
#include "nutgate/ledger/ledger.h"
#include "nutgate/store/open.h"

namespace nutgate::app {
namespace {

using Json = nlohmann::ordered_json;

struct CommandError {
    CommandError(std::string what) : detail{std::move(what)} {}
    CommandError(DataDirError error) : detail{std::move(error.detail)} {}
    CommandError(store::StoreFailure failure) : detail{std::move(failure.detail)} {}
    std::string detail;
};

// Runs `body` on the database of a data dir, which may belong to a running node.
template <class T, class Body>
Result<T, CommandError> look(const std::string& data_dir, Body body) {
    TRY(const auto folder, DataDir::look(data_dir));
    TRY(const auto database, store::open_read_only(folder.database_url()));
    return database->read(
        [&](store::Reader& reader) -> Result<T, CommandError> { return body(reader, folder); });
}

int print(const Json& json) {
    std::puts(json.dump(2).c_str());
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

std::string_view to_text(cashu::OperationKind kind) {
    switch (kind) {
        case cashu::OperationKind::Receive:
            return "receive";
        case cashu::OperationKind::Send:
            return "send";
        case cashu::OperationKind::Issue:
            return "issue";
        case cashu::OperationKind::Melt:
            return "melt";
        case cashu::OperationKind::Swap:
            return "swap";
        case cashu::OperationKind::Fund:
            return "fund";
        case cashu::OperationKind::Consolidate:
            return "consolidate";
    }
    return "";
}

std::string_view to_text(cashu::OperationState state) {
    switch (state) {
        case cashu::OperationState::Submitted:
            return "submitted";
        case cashu::OperationState::Done:
            return "done";
        case cashu::OperationState::Failed:
            return "failed";
        case cashu::OperationState::Blocked:
            return "blocked";
    }
    return "";
}

}  // namespace

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
        return audit_books(reader, ledger,
                           full ? Ledger::Depth::Full : Ledger::Depth::SinceCheckpoint,
                           clock.now());
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

int wallet_balance(const std::string& data_dir, Output output) {
    const auto balances = look<std::vector<cashu::MintBalance>>(
        data_dir,
        [](store::Reader& reader, const DataDir&) { return cashu::Wallet::balances(reader); });
    if (!balances) return complain(balances.error().detail);
    Json all = Json::array();
    for (const auto& line : *balances) {
        if (output == Output::Json) {
            all.push_back({{"mint", line.mint.text()},
                           {"unit", cashu::to_text(line.unit)},
                           {"available_msat", line.available.raw()},
                           {"reserved_msat", line.reserved.raw()}});
        } else {
            std::printf("%-48s %-5s %s sat, %s in operations under way\n", line.mint.text().c_str(),
                        std::string{cashu::to_text(line.unit)}.c_str(),
                        sats(line.available).c_str(), sats(line.reserved).c_str());
        }
    }
    return output == Output::Json ? print(all) : kDone;
}

int wallet_operations(const std::string& data_dir, int limit, Output output) {
    const auto operations = look<std::vector<cashu::OperationView>>(
        data_dir, [&](store::Reader& reader, const DataDir&) {
            return cashu::Wallet::operations(reader, limit);
        });
    if (!operations) return complain(operations.error().detail);
    Json all = Json::array();
    for (const auto& line : *operations) {
        if (output == Output::Json) {
            all.push_back({{"id", line.id.hex()},
                           {"kind", to_text(line.kind)},
                           {"state", to_text(line.state)},
                           {"mint", line.mint.text()},
                           {"amount_msat", line.amount.raw()},
                           {"attempts", line.attempts},
                           {"last_error", line.last_error},
                           {"created_at", to_unix_seconds(line.created_at)}});
        } else {
            std::printf("%s %-8s %-10s %s sat at %s, %d attempts %s\n", line.id.hex().c_str(),
                        std::string{to_text(line.kind)}.c_str(),
                        std::string{to_text(line.state)}.c_str(), sats(line.amount).c_str(),
                        line.mint.text().c_str(), line.attempts, line.last_error.c_str());
        }
    }
    return output == Output::Json ? print(all) : kDone;
}

int wallet_seed(const std::string& data_dir, Output output) {
    // A pipe or a file would keep what must not be kept.
    if (::isatty(STDOUT_FILENO) == 0 || output == Output::Json) {
        return complain("the seed is shown on a terminal only");
    }
    const auto folder = DataDir::look(data_dir);
    if (!folder) return complain(folder.error().detail);
    const auto words = folder->words();
    if (!words) return complain(words.error().detail);
    const auto text = as_text(words->reveal());
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::puts(
        "\nWhoever has these words has the ecash. They restore it; they do not restore the books.");
    return kDone;
}

int wallet_send(const std::string& data_dir, std::int64_t amount_sats, const std::string& request,
                Output output) {
    crypto::SystemRandom random;
    const auto named = OperationId::parse(request);
    if (!request.empty() && !named) {
        return complain("--request: must be 32 hex digits", kMisused);
    }
    const auto id = named.value_or(random.id<OperationId>());
    const auto folder = DataDir::look(data_dir);
    if (!folder) return complain(folder.error().detail);
    const auto token = folder->operator_token();
    if (!token) return complain(token.error().detail);
    const auto address = folder->operator_address();
    if (!address) return complain(address.error().detail);

    const auto client = http::make_client({});
    const auto answer = client->call(
        {.method = http::Method::Post,
         .url = "http://" + *address + "/admin/wallet/send",
         .headers = {{"Authorization", "Bearer " + std::string{as_text(token->reveal())}}},
         .body = Json{{"amount_sats", amount_sats}, {"request", id.hex()}}.dump()});
    if (!answer) {
        return complain("no answer from the node at " + *address + ": " + answer.error().detail +
                        "; to ask for the same payout again: --request " + id.hex());
    }
    const Json body = Json::parse(answer->body, nullptr, false);
    if (answer->status != 200 || !body.is_object() || !body.contains("token")) {
        const bool explained = body.is_object() && body.contains("error") &&
                               body["error"].is_object() && body["error"].contains("message");
        return complain(explained ? body["error"]["message"].get<std::string>()
                                  : "the node answered " + std::to_string(answer->status));
    }
    if (output == Output::Json) return print(body);
    std::puts(body["token"].get<std::string>().c_str());
    return kDone;
}

int mint_info(const std::string& data_dir, Output output) {
    const auto owed = look<std::vector<cashu::Mint::Outstanding>>(
        data_dir,
        [](store::Reader& reader, const DataDir&) { return cashu::Mint::outstanding(reader); });
    if (!owed) return complain(owed.error().detail);
    Json all = Json::array();
    for (const auto& line : *owed) {
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
    if (const auto copied = store::back_up(**database, target); !copied) {
        return complain(copied.error().detail);
    }
    if (output == Output::Json) return print({{"file", target}});
    std::printf("copied to %s; the seed is not in it\n", target.c_str());
    return kDone;
}

}  // namespace nutgate::app
