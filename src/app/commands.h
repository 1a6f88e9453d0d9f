// The operator's commands, one function each. They return the process's exit code: 0 done, 1
// failed, 2 bad arguments or configuration.
//
// Those that only read work on the data dir at any time, running, stopped or killed; those that
// write go through the operator face of the running node.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config.h"

namespace nutgate::app {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kMisused = 2;

struct ServeArguments {
    std::string config_file;
    std::string data_dir;
    std::string listen;
    std::string operator_listen;
    bool dev = false;
    bool dev_allow_upstream = false;
    bool check = false;
    // The quick start: an upstream, and every model that it lists, at this price.
    std::string upstream_url;
    std::string upstream_key_env;
    std::int64_t price_input_msat_per_1k = -1;
    std::int64_t price_output_msat_per_1k = -1;
};
int serve(const ServeArguments& arguments);

// File, then environment, then command line; then the questions that only the whole can answer.
std::vector<Mistake> assemble(const ServeArguments& arguments, const Environment& environment,
                              Config& config);

enum class Output { Text, Json };

int audit(const std::string& data_dir, bool full, Output output);
int list_keys(const std::string& data_dir, int limit, Output output);
int wallet_balance(const std::string& data_dir, Output output);
int wallet_operations(const std::string& data_dir, int limit, Output output);
int wallet_seed(const std::string& data_dir, Output output);
int wallet_mints(const std::string& data_dir, Output output);

// Of the wallet's commands that go through the running node. Those that move money name themselves
// by `request`: asked again under the same name they are the same.
struct WalletArguments {
    std::string data_dir;
    Output output = Output::Text;
    std::string request;
    std::int64_t amount_sats = 0;
    std::string mint;  // Empty: the node decides.
    std::string from;
    std::string to;
    std::string text;                 // A token or an invoice.
    std::int64_t exposure_sats = -1;  // -1: as the configuration says.
    std::int64_t fee_max_sats = -1;   // -1: half a percent and 10 sat.
};
int wallet_mints_add(const WalletArguments& arguments);
int wallet_mints_remove(const WalletArguments& arguments);
int wallet_mints_info(const WalletArguments& arguments);
int wallet_send(const WalletArguments& arguments);
int wallet_receive(const WalletArguments& arguments);
int wallet_pay(const WalletArguments& arguments);
int wallet_swap(const WalletArguments& arguments);
int wallet_fund(const WalletArguments& arguments);
int wallet_consolidate(const WalletArguments& arguments);
int wallet_restore_running(const WalletArguments& arguments);
int mint_unfreeze(const WalletArguments& arguments);  // Our own, after a backup was restored.

// Of the owner's payouts over Lightning.
struct PayoutArguments {
    std::string data_dir = {};
    Output output = Output::Text;
    std::string request = {};      // As above. For status: empty is all of them.
    std::string target = {};       // An invoice, a Lightning address, an LNURL.
    std::int64_t amount_sats = 0;  // 0: an invoice's own; to an address all that there is.
    bool dry_run = false;
};
int payout_send(const PayoutArguments& arguments);
int payout_status(const PayoutArguments& arguments);

// Brings the ecash of a lost data dir back into a new one, from the words alone.
struct RestoreArguments {
    std::string config_file;
    std::string data_dir;    // Empty: as the file says.
    std::string words_file;  // Empty: standard input.
    Output output = Output::Text;
};
int wallet_restore(const RestoreArguments& arguments);

// Of the prices that others publish.
struct PricesArguments {
    std::string config_file = {};  // Empty: no models and upstreams are known.
    std::string data_dir = {};
    bool data_dir_given = false;  // And so goes before what the file says.
    Output output = Output::Text;
    std::string source = {};  // A file, for import also a URL or an upstream's name.
    std::string format = {};
    std::vector<std::string> models = {};  // "ours", or "ours=theirs".
    bool all = false;
    bool free_allowed = false;
    std::string margin = {};
    std::int64_t floor_msat = -1;  // -1: none.
    std::string output_file = {};  // Empty: standard output.
};
int prices_import(const PricesArguments& arguments);
int prices_diff(const PricesArguments& arguments);
int prices_apply(const PricesArguments& arguments);
int prices_reload(const PricesArguments& arguments);  // By the node that runs.

// What was sold, each charge by itself, or summed up. Read from the database at any time.
enum class UsageFormat { Text, Json, Csv };
struct UsageArguments {
    std::string data_dir = {};
    UsageFormat format = UsageFormat::Text;
    std::string by = {};     // "model", "key", "day", "upstream", "endpoint"; empty: each charge.
    std::string since = {};  // "2026-11-28" or unix seconds; empty: all that is kept.
    int limit = 100;         // Of charges.
};
int usage(const UsageArguments& arguments);

int mint_info(const std::string& data_dir, Output output);
int back_up(const std::string& data_dir, const std::string& target, Output output);
int version(Output output);

struct DoctorArguments {
    std::string config_file;
    std::string data_dir;
    Output output = Output::Text;
};
int doctor(const DoctorArguments& arguments);

// Says on stderr what went wrong.
int complain(const std::string& what, int code = kFailed);
int complain(const std::vector<Mistake>& mistakes);

}  // namespace nutgate::app
