#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>

#include "commands.h"

using namespace nutgate::app;

namespace {

struct Arguments {
    std::string data_dir;
    bool dev = false;
    bool json = false;
    bool full = false;
    int limit = 100;
    std::string target;
    ServeArguments serve;
    WalletArguments wallet;
    PayoutArguments payout;
    RestoreArguments restore;
    PricesArguments prices;
    UsageArguments usage;
    bool csv = false;
    DoctorArguments doctor;

    std::string folder() const {
        if (!data_dir.empty()) return data_dir;
        return dev ? "nutgate-dev" : "nutgate-data";
    }
    Output output() const { return json ? Output::Json : Output::Text; }
    // With the options that all commands have.
    WalletArguments of_wallet(WalletArguments given) const {
        given.data_dir = folder();
        given.output = output();
        return given;
    }
};

constexpr std::int64_t kSatsMax = 2'100'000'000'000'000;

CLI::App* add_command(CLI::App& parent, Arguments& arguments, const std::string& name,
                      const std::string& what) {
    CLI::App* command = parent.add_subcommand(name, what);
    command->add_option("--data-dir", arguments.data_dir,
                        "folder of the node (default ./nutgate-data, with --dev ./nutgate-dev)");
    command->add_flag("--dev", arguments.dev, "the node of play money");
    command->add_flag("--json", arguments.json, "print JSON");
    return command;
}

void add_serve(CLI::App& app, Arguments& a, int& result) {
    ServeArguments& s = a.serve;
    CLI::App* command = app.add_subcommand("serve", "run the node");
    command->add_option("--config", s.config_file,
                        "TOML file; docs/configuration.md lists its keys");
    command->add_option("--data-dir", s.data_dir,
                        "folder of the node (default ./nutgate-data, with --dev ./nutgate-dev)");
    command->add_option("--listen", s.listen, "HOST:PORT of the public face");
    command->add_option("--operator-listen", s.operator_listen, "HOST:PORT of the operator's face");
    command->add_flag("--dev", s.dev, "play money; what the file leaves out is embedded");
    command->add_flag("--dev-allow-upstream", s.dev_allow_upstream,
                      "let --dev use an upstream on another machine");
    command->add_flag("--check", s.check, "validate, print what is in effect, and end");
    command->add_option("--upstream-url", s.upstream_url,
                        "sell every model that this upstream lists");
    command->add_option("--upstream-key-env", s.upstream_key_env,
                        "environment variable with its API key");
    command->add_option("--price-input-msat-per-1k", s.price_input_msat_per_1k,
                        "msat per thousand input tokens, for --upstream-url");
    command->add_option("--price-output-msat-per-1k", s.price_output_msat_per_1k,
                        "msat per thousand output tokens, for --upstream-url");
    command->callback([&] { result = serve(s); });
}

void add_reading_wallet(CLI::App& wallet, Arguments& a, int& result) {
    add_command(wallet, a, "balance", "what is held at which mint")->callback([&] {
        result = wallet_balance(a.folder(), a.output());
    });
    CLI::App* operations =
        add_command(wallet, a, "operations", "operations with mints, newest first");
    operations->add_option("--limit", a.limit, "at most so many")->check(CLI::Range(1, 10'000));
    operations->callback([&] { result = wallet_operations(a.folder(), a.limit, a.output()); });
    add_command(wallet, a, "seed", "show the words that back up the ecash, on a terminal only")
        ->callback([&] { result = wallet_seed(a.folder(), a.output()); });
}

void add_mints(CLI::App& wallet, Arguments& a, int& result) {
    WalletArguments& w = a.wallet;
    CLI::App* mints =
        add_command(wallet, a, "mints", "whose ecash is held: each mint's role, amount and limit");
    // One level below it, options of its own are parsed first.
    const auto add = [&](const char* name, const char* what, int (*run)(const WalletArguments&)) {
        CLI::App* command = add_command(*mints, a, name, what);
        command->add_option("URL", w.mint, "the mint's, or \"embedded\"")->required();
        command->callback([&a, &w, &result, run] { result = run(a.of_wallet(w)); });
        return command;
    };
    add("add", "take its tokens from now on, or set its limit", wallet_mints_add)
        ->add_option("--exposure-sats", w.exposure_sats, "most that is held there, in sat")
        ->check(CLI::Range(std::int64_t{0}, kSatsMax));
    add("remove", "take its tokens no more; what is held there stays spendable",
        wallet_mints_remove);
    add("info", "ask the mint what it is, through the running node", wallet_mints_info);
    mints->callback([&a, &result, mints] {
        if (mints->get_subcommands().empty()) result = wallet_mints(a.folder(), a.output());
    });
}

void add_writing_wallet(CLI::App& wallet, Arguments& a, int& result) {
    WalletArguments& w = a.wallet;
    const auto add = [&](const char* name, const char* what, int (*run)(const WalletArguments&)) {
        CLI::App* command = add_command(wallet, a, name, what);
        command->add_option("--request", w.request,
                            "32 hex digits that name it: again the same, again the same result");
        command->callback([&a, &w, &result, run] { result = run(a.of_wallet(w)); });
        return command;
    };
    const auto add_amount = [&](CLI::App* command) {
        command->add_option("SATS", w.amount_sats, "in sat")
            ->required()
            ->check(CLI::Range(std::int64_t{1}, kSatsMax));
    };
    const auto add_mint = [&](CLI::App* command, const char* what) {
        command->add_option("--mint", w.mint, what);
    };
    CLI::App* send = add("send", "take from the revenue, as a Cashu token", wallet_send);
    add_amount(send);
    add_mint(send, "of this mint, if it has as much");
    add("receive", "put a token in; what it is worth can be withdrawn", wallet_receive)
        ->add_option("TOKEN", w.text, "a Cashu token")
        ->required();
    CLI::App* pay = add("pay", "pay an invoice out of the revenue", wallet_pay);
    pay->alias("melt");
    pay->add_option("BOLT11", w.text, "an invoice that names its amount")->required();
    add_mint(pay, "with ecash of this mint");
    CLI::App* swap = add("swap", "move ecash from one of the node's mints to another", wallet_swap);
    add_amount(swap);
    swap->add_option("--from", w.from, "mint that pays")->required();
    swap->add_option("--to", w.to, "mint where it is to arrive")->required();
    CLI::App* fund = add("fund", "have a Lightning backend of the node pay for ecash", wallet_fund);
    add_amount(fund);
    add_mint(fund, "at this mint; without it, the primary");
    fund->add_option("--fee-max-sats", w.fee_max_sats,
                     "most that it may cost (default half a percent and 10 sat)")
        ->check(CLI::Range(std::int64_t{0}, kSatsMax));
    CLI::App* consolidate =
        add_command(wallet, a, "consolidate", "make few proofs of many, at each mint");
    consolidate->callback([&a, &w, &result] { result = wallet_consolidate(a.of_wallet(w)); });
}

void add_restore(CLI::App& wallet, Arguments& a, int& result) {
    CLI::App* restore = add_command(
        wallet, a, "restore",
        "search the mints for ecash of the seed: by the running node, or into a new data dir");
    restore->add_option("--config", a.restore.config_file,
                        "for a lost data dir: the node's file, whose outside mints are searched");
    restore->add_option("--words-file", a.restore.words_file,
                        "for a lost data dir: the seed's words; without it, standard input");
    restore->callback([&] {
        if (a.restore.config_file.empty() && a.restore.words_file.empty()) {
            result = wallet_restore_running(a.of_wallet(a.wallet));
        } else if (a.restore.config_file.empty() || a.dev) {
            result = complain("--words-file needs --config, and goes without --dev", kMisused);
        } else {
            a.restore.data_dir = a.data_dir;
            a.restore.output = a.output();
            result = wallet_restore(a.restore);
        }
    });
}

void add_payout(CLI::App& app, Arguments& a, int& result) {
    CLI::App* payout = app.add_subcommand("payout", "take revenue out over Lightning");
    payout->require_subcommand(1);
    PayoutArguments& p = a.payout;
    const auto run = [&a, &p, &result](int (*command)(const PayoutArguments&)) {
        return [&a, &p, &result, command] {
            p.data_dir = a.folder();
            p.output = a.output();
            result = command(p);
        };
    };
    CLI::App* send = add_command(*payout, a, "send", "pay an invoice, an address or an LNURL");
    send->add_option("target", p.target, "the invoice, Lightning address or LNURL")->required();
    send->add_option("--amount-sats", p.amount_sats,
                     "to an address; without it all that can be withdrawn")
        ->check(CLI::Range(std::int64_t{1}, kSatsMax));
    send->add_flag("--dry-run", p.dry_run, "say what it would take, and take nothing");
    send->add_option("--request", p.request, "32 hex digits; asked again it is the same payout");
    send->callback(run(payout_send));
    CLI::App* status = add_command(*payout, a, "status", "what became of payouts");
    status->add_option("request", p.request, "of this one; without it, all");
    status->callback(run(payout_status));
}

void add_wallet(CLI::App& app, Arguments& a, int& result) {
    CLI::App* wallet = app.add_subcommand("wallet", "the ecash that the node holds");
    wallet->require_subcommand(1);
    add_reading_wallet(*wallet, a, result);
    add_mints(*wallet, a, result);
    add_writing_wallet(*wallet, a, result);
    add_restore(*wallet, a, result);
}

void add_prices(CLI::App& app, Arguments& a, int& result) {
    PricesArguments& p = a.prices;
    CLI::App* prices = app.add_subcommand("prices", "what models cost, from lists of others");
    prices->require_subcommand(1);
    const auto add = [&](const char* name, const char* what, int (*run)(const PricesArguments&)) {
        CLI::App* command = add_command(*prices, a, name, what);
        command->add_option("--config", p.config_file,
                            "the node's file: its models, upstreams and data dir");
        command->callback([&a, &p, &result, run] {
            p.data_dir = a.folder();
            p.data_dir_given = !a.data_dir.empty();
            p.output = a.output();
            result = run(p);
        });
        return command;
    };
    CLI::App* import = add("import", "read a list, print prices for apply", prices_import);
    import->add_option("SOURCE", p.source, "a file, a URL, or an upstream of the configuration")
        ->required();
    import->add_option("--format", p.format, "openrouter, litellm, portkey or upstream")
        ->required();
    import->add_option("--model", p.models,
                       "a model, as ID or ID=ITS-NAME-THERE; without it, those of --config");
    import->add_flag("--all", p.all, "every model of the list");
    import->add_flag("--allow-free", p.free_allowed, "take prices of zero");
    import->add_option("--margin", p.margin, "factor on the prices, such as 1.10");
    import->add_option("--floor-msat", p.floor_msat, "least that a request costs, in msat")
        ->check(CLI::Range(std::int64_t{0}, kSatsMax));
    import->add_option("-o,--output", p.output_file, "write to this file");
    add("diff", "what apply would change, old and new", prices_diff)
        ->add_option("FILE", p.source, "a file that import wrote")
        ->required();
    add("apply", "take a file's prices over into the file that the node sells by", prices_apply)
        ->add_option("FILE", p.source, "a file that import wrote")
        ->required();
    add("reload", "have the running node sell by the file of prices as it is now", prices_reload);
}

void add_usage(CLI::App& app, Arguments& a, int& result) {
    CLI::App* command =
        add_command(app, a, "usage", "what was sold: each charge, or sums of them with the margin");
    command->add_option("--by", a.usage.by, "sums for each model, key, day, upstream or endpoint")
        ->check(CLI::IsMember({"model", "key", "day", "upstream", "endpoint"}));
    command->add_option("--since", a.usage.since, "a day (2026-11-28, UTC) or unix seconds");
    command->add_option("--limit", a.usage.limit, "at most so many charges, the newest first")
        ->check(CLI::Range(1, 10'000'000));
    command->add_flag("--csv", a.csv, "print CSV");
    command->callback([&] {
        if (a.csv && a.json) {
            result = complain("either --csv or --json", kMisused);
            return;
        }
        a.usage.data_dir = a.folder();
        if (a.json) a.usage.format = UsageFormat::Json;
        if (a.csv) a.usage.format = UsageFormat::Csv;
        result = usage(a.usage);
    });
}

void add_others(CLI::App& app, Arguments& a, int& result) {
    CLI::App* audit_command = add_command(app, a, "audit", "prove the books, or say what is wrong");
    audit_command->add_flag("--full", a.full, "recompute everything, not only since the last seal");
    audit_command->callback([&] { result = audit(a.folder(), a.full, a.output()); });

    CLI::App* keys = app.add_subcommand("keys", "the keys that were sold");
    keys->require_subcommand(1);
    CLI::App* list = add_command(*keys, a, "list", "newest first; ids, never secrets");
    list->add_option("--limit", a.limit, "at most so many")->check(CLI::Range(1, 1'000'000));
    list->callback([&] { result = list_keys(a.folder(), a.limit, a.output()); });

    CLI::App* mint = app.add_subcommand("mint", "the embedded mint");
    mint->require_subcommand(1);
    add_command(*mint, a, "info", "its keysets and what it owes")->callback([&] {
        result = mint_info(a.folder(), a.output());
    });
    add_command(
        *mint, a, "unfreeze",
        "after a restored backup: sign again, by the running node, whatever was spent since")
        ->callback([&] { result = mint_unfreeze(a.of_wallet(a.wallet)); });

    CLI::App* backup =
        add_command(app, a, "backup", "copy the database, while the node runs or not");
    backup->add_option("FILE", a.target, "a file that does not exist yet")->required();
    backup->callback([&] { result = back_up(a.folder(), a.target, a.output()); });

    CLI::App* doctor_command =
        add_command(app, a, "doctor", "look at the configuration and ask the Lightning nodes");
    doctor_command->add_option("--config", a.doctor.config_file, "the node's file")->required();
    doctor_command->callback([&] {
        a.doctor.data_dir = a.data_dir;
        a.doctor.output = a.output();
        result = doctor(a.doctor);
    });

    CLI::App* version_command = app.add_subcommand("version", "which Nutgate this is");
    version_command->add_flag("--json", a.json, "print JSON");
    version_command->callback([&] { result = version(a.output()); });

    app.add_subcommand("config-reference", "print docs/configuration.md")->callback([] {
        std::fputs(reference_markdown().c_str(), stdout);
    });
}

// The parser would only say that a command is missing.
bool knows(const CLI::App& app, std::string_view word) {
    const auto commands = app.get_subcommands([](const CLI::App*) { return true; });
    return word.starts_with('-') ||
           std::ranges::any_of(commands, [&](const auto* c) { return c->get_name() == word; });
}

}  // namespace

int main(int argc, char** argv) {
    Arguments arguments;
    int result = kDone;
    CLI::App app{"Nutgate sells AI capacity for sats.", "nutgate"};
    app.require_subcommand(1);
    add_serve(app, arguments, result);
    add_wallet(app, arguments, result);
    add_payout(app, arguments, result);
    add_prices(app, arguments, result);
    add_usage(app, arguments, result);
    add_others(app, arguments, result);
    if (argc > 1 && !knows(app, argv[1])) {
        (void)complain("there is no command " + std::string{argv[1]} + "; see nutgate --help");
        return kMisused;
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        return app.exit(e) == 0 ? kDone : kMisused;
    } catch (const std::exception& e) {
        return complain(e.what());
    }
    return result;
}
