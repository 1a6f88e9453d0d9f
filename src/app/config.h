// What an operator can set: one TOML file, each key also as NUTGATE_<SECTION>_<KEY>, a few on the
// command line. Read once, checked whole, handed to each module as its own Options.
//
// Every key is named once, in visit(): loading, `serve --check` and docs/configuration.md all walk
// it, so none of them can forget one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/clock.h"
#include "nutgate/base/result.h"

namespace nutgate::app {

// The price of a model, as typed: decimals stay text until proxy/pricing parses them exactly.
struct PriceConfig {
    std::string input_usd;  // USD per million tokens.
    std::string output_usd;
    std::string cached_input_usd;
    std::string margin;
    std::int64_t input_msat_per_1k = -1;  // -1: not given.
    std::int64_t output_msat_per_1k = -1;
    std::int64_t cached_input_msat_per_1k = -1;
    bool free = false;  // A price of zero must be meant.
};

struct UpstreamConfig {
    std::string name;
    std::string dialect = "openai";
    std::string url;
    std::string api_key_env;
    std::string api_key_file;
    std::string ca_file;
    std::string on_disconnect = "cancel";
    std::int64_t head_timeout_ms = 600'000;
    std::int64_t gap_timeout_ms = 120'000;
    std::int64_t drain_timeout_ms = 60'000;
    std::int64_t drain_bytes_max = 8 * 1024 * 1024;
};

struct ModelConfig {
    std::string id;
    std::string description;
    std::vector<std::string> upstreams;
    std::string upstream_model;
    std::int64_t context = 0;
    std::int64_t output_max = 0;
    PriceConfig price;
};

struct Config {
    std::string node_name = "Nutgate node";
    std::string node_description = "AI capacity for sats";
    std::string data_dir = "nutgate-data";
    std::string database = "sqlite";
    std::string log_level = "info";

    std::string public_listen = "127.0.0.1:8402";
    std::string operator_listen = "127.0.0.1:8403";
    std::string public_url;
    std::vector<std::string> trusted_proxies;
    std::string cors_origin = "*";

    std::vector<std::string> mints;
    std::string foreign_mints = "refuse";
    std::int64_t guest_mints_max = 200;
    std::int64_t exposure_max_sat = 0;
    std::int64_t reserve_sat = 0;

    std::vector<std::string> lightning_receive{"mint"};
    std::vector<std::string> lightning_pay{"mint"};
    std::string lightning_network = "bitcoin";
    std::int64_t simulated_settle_ms = 500;

    bool mint_enabled = false;
    std::string mint_backend;
    std::string mint_name = "Nutgate mint";
    std::int64_t mint_input_fee_ppk = 0;
    std::int64_t mint_amount_max_sat = 1'000'000;

    bool demo_enabled = false;
    std::int64_t demo_token_ms = 5;

    std::vector<UpstreamConfig> upstreams;
    std::vector<ModelConfig> models;
    std::string btc_usd;

    std::int64_t data_threads = 0;
    std::int64_t control_threads = 8;
    std::int64_t connections_max = 8'000;
    std::int64_t body_bytes_max = 8 * 1024 * 1024;
    std::int64_t choices_max = 8;
    std::int64_t drain_ms = 30'000;
    std::int64_t hold_ttl_s = 600;
    std::int64_t invoices_per_client_per_minute = 30;
    std::int64_t creates_per_client_per_minute = 60;
    std::int64_t status_per_client_per_minute = 600;
    std::int64_t open_invoices_max = 10'000;
    std::int64_t invoice_expiry_s = 3'600;

    // Only on the command line.
    bool dev = false;
    bool dev_allow_upstream = false;
};

// How a key is written down. Units are in the key's name or in `what`.
struct Key {
    std::string_view name;  // "settle_ms"
    std::string_view what;  // One sentence for the reference.
    std::int64_t min = 0;   // Of integers.
    std::int64_t max = 0;
};

// Walks all keys of a Config, in the order of the file.
class ConfigVisitor {
public:
    virtual ~ConfigVisitor() = default;
    virtual void section(std::string_view name, std::string_view what) = 0;
    virtual void text(const Key& key, std::string& value) = 0;
    virtual void choice(const Key& key, std::string& value,
                        const std::vector<std::string_view>& allowed) = 0;
    virtual void integer(const Key& key, std::int64_t& value) = 0;
    virtual void flag(const Key& key, bool& value) = 0;
    virtual void list(const Key& key, std::vector<std::string>& value) = 0;
    // Tables that occur many times: the visitor decides how many there are.
    virtual void upstreams(std::vector<UpstreamConfig>& value) = 0;
    virtual void models(std::vector<ModelConfig>& value) = 0;
};
void visit(Config& config, ConfigVisitor& visitor);
void visit(UpstreamConfig& upstream, ConfigVisitor& visitor);
void visit(ModelConfig& model, ConfigVisitor& visitor);
void visit(PriceConfig& price, ConfigVisitor& visitor);

// One mistake: the key it is at, and what is wrong with it.
struct Mistake {
    std::string key;  // "listen.public", "model[1].price"
    std::string what;
};

using Environment = std::vector<std::pair<std::string, std::string>>;
Environment process_environment();

// Lays the file (may be empty text) and then the environment over `config`. All mistakes at once.
std::vector<Mistake> load(std::string_view toml, const Environment& environment, Config& config);

// What `--dev` embeds where the file says nothing.
void apply_dev_defaults(Config& config);

// What no single key can show to be wrong: names that match nothing, real money in --dev.
std::vector<Mistake> check(const Config& config, const Environment& environment);

// The effective configuration as TOML, without secrets (there are none in it by construction).
std::string to_toml(const Config& config);

// docs/configuration.md, whole.
std::string reference_markdown();

// The secret that `api_key_env` or `api_key_file` names; empty if neither is given.
Result<std::string, std::string> read_api_key(const UpstreamConfig& upstream,
                                              const Environment& environment);

struct HostPort {
    std::string host;
    std::uint16_t port = 0;
};
std::optional<HostPort> parse_host_port(std::string_view text);

}  // namespace nutgate::app
