// nutgate wallet restore: from the words alone, into a folder without a node. What the mints signed
// for these words and is unspent is taken in, and is the owner's; whose balances it was behind,
// only the lost books knew.
#include <cctype>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "commands.h"
#include "known_mints.h"
#include "mint_ways.h"
#include "nutgate/base/log.h"
#include "nutgate/cashier/books.h"
#include "nutgate/cashu/mint.h"
#include "nutgate/cashu/wallet.h"
#include "nutgate/crypto/mnemonic.h"
#include "nutgate/crypto/random.h"
#include "nutgate/http/client.h"
#include "nutgate/lightning/simulated.h"
#include "operator_face.h"

namespace nutgate::app {
namespace {

constexpr std::size_t kWordsBytesMax = 4096;

std::string read_all(std::istream& in) {
    std::string text{std::istreambuf_iterator<char>{in}, {}};
    return text.size() <= kWordsBytesMax ? text : std::string{};
}

// Lower case, and one space between: as people write them down, in lines or numbered by none.
std::string tidied(const std::string& text) {
    std::string words;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (std::isspace(byte) != 0) {
            if (!words.empty() && words.back() != ' ') words += ' ';
        } else {
            words += static_cast<char>(std::tolower(byte));
        }
    }
    while (!words.empty() && words.back() == ' ') words.pop_back();
    return words;
}

Result<Secret, CommandError> read_words(const std::string& file_name) {
    std::string text;
    if (file_name.empty()) {
        text = read_all(std::cin);
    } else {
        std::ifstream file{file_name, std::ios::binary};
        if (!file) return fail(CommandError{"can't read " + file_name});
        text = read_all(file);
    }
    const std::string words = tidied(text);
    if (!crypto::mnemonic_valid(words)) {
        return fail(
            CommandError{"these are not the words of a seed: 12 to 24 known words, with a "
                         "checksum that does not match"});
    }
    return Secret{to_bytes(words)};
}

Result<Config, std::vector<Mistake>> read_config(const std::string& file_name) {
    std::ifstream file{file_name, std::ios::binary};
    if (!file) return fail(std::vector<Mistake>{{"--config", "can't read " + file_name}});
    const std::string text{std::istreambuf_iterator<char>{file}, {}};
    Config config;
    auto mistakes = load(text, process_environment(), config);
    // What it sells, and whose secrets it needs for that, does not matter to the ecash.
    for (const Mistake& mistake : check_mints(config)) mistakes.push_back(mistake);
    if (!mistakes.empty()) return fail(std::move(mistakes));
    return config;
}

Result<void, CommandError> migrate(store::Database& database) {
    TRY_VOID(stamp(database, Money::Bitcoin));
    TRY_VOID(Ledger::migrate(database));
    TRY_VOID(Keyring::migrate(database));
    TRY_VOID(CashierBooks::migrate(database));
    TRY_VOID(cashu::Wallet::migrate(database));
    TRY_VOID(cashu::Mint::migrate(database));
    TRY_VOID(SimulatedLightning::migrate(database));
    return {};
}

using Found = std::vector<cashu::Wallet::Restored>;

Result<Found, CommandError> restore_into(const DataDir& folder, const Config& config) {
    TRY(const auto words, folder.words());
    const Secret seed = crypto::mnemonic_seed(as_text(words.reveal()));
    TRY(const auto database, store::open(folder.database_url()));
    TRY_VOID(migrate(*database));
    TRY_VOID(publish_mints(*database, config));
    const SystemClock clock;
    crypto::SystemRandom random;
    metrics::Registry metrics;
    Ledger ledger{clock};
    Keyring keyring{seed, clock};
    CashierBooks books{ledger, keyring, seed, clock, random, {}};
    const auto client = http::make_client({.open_transactions = &store::open_on_this_thread});
    std::vector<std::unique_ptr<cashu::MintClient>> clients;
    std::vector<cashu::WalletMint> mints;
    for (const std::string& name : config.mints) {
        const auto url = cashu::MintUrl::parse(name);
        // What the embedded mint signed went with the database.
        if (!url || url->is_embedded()) continue;
        clients.push_back(cashu::make_remote_mint(*url, *client));
        mints.push_back({*url, {}, url->text(), clients.back().get()});
    }
    if (mints.empty()) {
        return fail(
            CommandError{"wallet.mints names no outside mint: what the embedded mint signed "
                         "went with its database"});
    }
    cashu::Wallet wallet{*database, std::move(mints), seed, books, clock, random, metrics};
    if (const auto done = wallet.recover(); !done) return fail(CommandError{done.error().detail});
    auto found = wallet.restore();
    if (!found) return fail(CommandError{found.error().detail});
    return *std::move(found);
}

}  // namespace

int wallet_restore(const RestoreArguments& arguments) {
    log::set_level(log::Level::Warn);
    const auto config = read_config(arguments.config_file);
    if (!config) return complain(config.error());
    const auto words = read_words(arguments.words_file);
    if (!words) return complain(words.error().detail, kMisused);
    crypto::SystemRandom random;
    const auto folder = DataDir::restoring(
        arguments.data_dir.empty() ? config->data_dir : arguments.data_dir, *words, random);
    if (!folder) {
        return complain(folder.error().detail, folder.error().misused ? kMisused : kFailed);
    }
    const auto found = restore_into(*folder, *config);
    if (!found) return complain(found.error().detail);
    Json mints = Json::array();
    for (const auto& line : *found) {
        mints.push_back({{"mint", line.mint.text()},
                         {"found_msat", line.found.raw()},
                         {"proofs", line.proofs},
                         {"pending", line.pending},
                         {"error", line.error}});
    }
    return print_restored({{"mints", mints}}, arguments.output);
}

}  // namespace nutgate::app
