// nutgate wallet: what only reads looks into the data dir; what writes asks the running node.
#include <cstdio>
#include <functional>
#include <string>
#include <unistd.h>

#include "commands.h"
#include "known_mints.h"
#include "nutgate/cashu/wallet.h"
#include "nutgate/crypto/random.h"
#include "operator_face.h"

namespace nutgate::app {
namespace {

constexpr Milliseconds kRestoreTimeout{3'600'000};

std::string_view to_text(cashu::OperationKind kind) {
    switch (kind) {
        case cashu::OperationKind::Receive:
            return "receive";
        case cashu::OperationKind::Send:
            return "send";
        case cashu::OperationKind::Issue:
        case cashu::OperationKind::OfferIssue:
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

std::string_view to_text(cashu::MintRole role) {
    switch (role) {
        case cashu::MintRole::Trusted:
            return "trusted";
        case cashu::MintRole::Leaving:
            return "leaving";
        case cashu::MintRole::Guest:
            return "guest";
    }
    return "";
}

std::string sats_of(const Json& body, const char* name) {
    const auto amount = Msat::from_raw(body.value(name, std::int64_t{0}));
    return sats(amount.value_or(Msat{}));
}

std::string text_of(const Json& body, const char* name) {
    const auto field = body.find(name);
    return field != body.end() && field->is_string() ? field->get<std::string>() : std::string{};
}

using Printer = std::function<void(const Json&)>;

int ask(const WalletArguments& arguments, const OperatorRequest& request, const Printer& printer) {
    const auto answer = ask_node(arguments.data_dir, request);
    if (!answer) return complain(answer.error().detail);
    if (arguments.output == Output::Json) return print(*answer);
    printer(*answer);
    return kDone;
}

// One that moves money: it has a name, the operator's or a new one, by which it can be asked again.
int ask_named(const WalletArguments& arguments, const std::string& path, Json body,
              const Printer& printer) {
    crypto::SystemRandom random;
    const auto named = OperationId::parse(arguments.request);
    if (!arguments.request.empty() && !named) {
        return complain("--request: must be 32 hex digits", kMisused);
    }
    const auto id = named.value_or(random.id<OperationId>()).hex();
    body["request"] = id;
    const auto answer =
        ask_node(arguments.data_dir, {.path = "/admin/wallet/" + path, .body = std::move(body)});
    if (!answer) {
        const auto& error = answer.error();
        return complain(error.again ? error.detail + "; to ask for the same again: --request " + id
                                    : error.detail + " (request " + id + ")");
    }
    if (arguments.output == Output::Json) return print(*answer);
    printer(*answer);
    return kDone;
}

// Empty is left out: the node decides.
void add_if_given(Json& body, const char* name, const std::string& value) {
    if (!value.empty()) body[name] = value;
}

void print_moved(const Json& body) {
    std::printf("%s sat arrived, for a fee of %s sat\n", sats_of(body, "amount_msat").c_str(),
                sats_of(body, "fee_msat").c_str());
}

void print_mint(const Json& mint) {
    const auto most = mint.find("exposure_max_msat");
    const bool limited = most != mint.end() && most->is_number();
    std::printf("%-48s %-8s holds %s sat%s%s\n", text_of(mint, "mint").c_str(),
                text_of(mint, "role").c_str(), sats_of(mint, "held_msat").c_str(),
                limited ? (", at most " + sats_of(mint, "exposure_max_msat")).c_str() : "",
                mint.value("configured", false) ? " (configured)" : "");
}

void print_info(const Json& info) {
    print_mint(info);
    if (const auto error = text_of(info, "error"); !error.empty()) {
        std::printf("  %s\n", error.c_str());
    }
    if (!info.contains("name")) return;
    std::printf("  %s, %s\n  NUTs", text_of(info, "name").c_str(),
                text_of(info, "version").c_str());
    for (const Json& nut : info.value("nuts", Json::array()))
        std::printf(" %s", nut.dump().c_str());
    std::puts("");
    for (const Json& keyset : info.value("keysets", Json::array())) {
        std::printf("  keyset %s %s%s, %s per thousand inputs\n", text_of(keyset, "id").c_str(),
                    text_of(keyset, "unit").c_str(), keyset.value("active", false) ? " active" : "",
                    keyset.value("input_fee_ppk", Json{}).dump().c_str());
    }
}

}  // namespace

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

int wallet_mints(const std::string& data_dir, Output output) {
    const auto views =
        look<std::vector<cashu::MintView>>(data_dir, [](store::Reader& reader, const DataDir&) {
            const auto known = known_mints(reader);
            return cashu::Wallet::mint_views(reader, known.configured, known.exposure_max);
        });
    if (!views) return complain(views.error().detail);
    Json all = Json::array();
    for (const auto& view : *views) {
        all.push_back(
            {{"mint", view.url.text()},
             {"role", to_text(view.role)},
             {"configured", view.configured},
             {"held_msat", view.held.raw()},
             {"exposure_max_msat", view.exposure_max ? Json(view.exposure_max->raw()) : Json()}});
    }
    if (output == Output::Json) return print(all);
    for (const Json& mint : all) print_mint(mint);
    return kDone;
}

int wallet_mints_add(const WalletArguments& a) {
    Json body{{"url", a.mint}};
    if (a.exposure_sats >= 0) body["exposure_sats"] = a.exposure_sats;
    return ask(a, {.path = "/admin/mints/add", .body = std::move(body)}, print_mint);
}

int wallet_mints_remove(const WalletArguments& a) {
    return ask(a, {.path = "/admin/mints/remove", .body = {{"url", a.mint}}}, print_mint);
}

int wallet_mints_info(const WalletArguments& a) {
    return ask(a,
               {.method = http::Method::Get,
                .path = "/admin/mints/info?url=" + http::percent_encode(a.mint)},
               print_info);
}

int mint_unfreeze(const WalletArguments& a) {
    return ask(a, {.path = "/admin/mint/unfreeze", .body = Json::object()}, [](const Json& body) {
        std::puts(body.value("was_frozen", false) ? "it signs again" : "it was not frozen");
    });
}

int wallet_send(const WalletArguments& a) {
    Json body{{"amount_sats", a.amount_sats}};
    add_if_given(body, "mint", a.mint);
    return ask_named(a, "send", std::move(body),
                     [](const Json& answer) { std::puts(text_of(answer, "token").c_str()); });
}

int wallet_receive(const WalletArguments& a) {
    return ask_named(a, "receive", Json{{"token", a.text}}, [](const Json& answer) {
        std::printf("%s sat taken in; %s sat can be withdrawn\n",
                    sats_of(answer, "credited_msat").c_str(),
                    sats_of(answer, "withdrawable_msat").c_str());
    });
}

int wallet_pay(const WalletArguments& a) {
    Json body{{"bolt11", a.text}};
    add_if_given(body, "mint", a.mint);
    return ask_named(a, "pay", std::move(body), [](const Json& answer) {
        std::printf("%s sat paid, for a fee of %s sat; preimage %s\n",
                    sats_of(answer, "amount_msat").c_str(), sats_of(answer, "fee_msat").c_str(),
                    text_of(answer, "preimage").empty() ? "not told by the mint"
                                                        : text_of(answer, "preimage").c_str());
    });
}

int wallet_swap(const WalletArguments& a) {
    return ask_named(a, "swap",
                     Json{{"amount_sats", a.amount_sats}, {"from", a.from}, {"to", a.to}},
                     print_moved);
}

int wallet_fund(const WalletArguments& a) {
    Json body{{"amount_sats", a.amount_sats}};
    add_if_given(body, "mint", a.mint);
    if (a.fee_max_sats >= 0) body["fee_max_sats"] = a.fee_max_sats;
    return ask_named(a, "fund", std::move(body), print_moved);
}

int wallet_consolidate(const WalletArguments& a) {
    return ask(
        a, {.path = "/admin/wallet/consolidate", .body = Json::object()}, [](const Json& answer) {
            std::printf("%s operations begun\n", answer.value("operations", Json{}).dump().c_str());
        });
}

int wallet_restore_running(const WalletArguments& a) {
    const auto answer = ask_node(
        a.data_dir,
        {.path = "/admin/wallet/restore", .body = Json::object(), .timeout = kRestoreTimeout});
    if (!answer) return complain(answer.error().detail);
    return print_restored(*answer, a.output);
}

int print_restored(const Json& body, Output output) {
    bool whole = true;
    if (output == Output::Json) print(body);
    for (const Json& line : body.value("mints", Json::array())) {
        const auto error = text_of(line, "error");
        whole = whole && error.empty() && line.value("pending", 0) == 0;
        if (output == Output::Json) continue;
        std::printf("%s: %s sat in %s proofs, %s pending%s\n", text_of(line, "mint").c_str(),
                    sats_of(line, "found_msat").c_str(),
                    line.value("proofs", Json{}).dump().c_str(),
                    line.value("pending", Json{}).dump().c_str(),
                    error.empty() ? "" : ("; not searched whole: " + error).c_str());
    }
    return whole ? kDone : kFailed;
}

}  // namespace nutgate::app
