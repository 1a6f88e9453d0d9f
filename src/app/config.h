// What an operator can set: one TOML file, each key also as NUTGATE_<SECTION>_<KEY>, a few on the
// command line. Read once, checked whole, handed to each module as its own Options.
//
// Every key is named once, in visit(): loading, `serve --check` and docs/configuration.md all walk
// it, so none of them can forget one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nutgate/base/clock.h"
#include "nutgate/base/result.h"
#include "nutgate/proxy/price_kind.h"

namespace nutgate::app {

// Prices as typed, of each kind: decimals stay text until proxy/pricing parses them exactly.
struct PriceLinesConfig {
    static constexpr proxy::ByKind<std::int64_t> nothing() {
        proxy::ByKind<std::int64_t> lines{};
        lines.fill(-1);
        return lines;
    }
    proxy::ByKind<std::string> usd;                // Empty: not given.
    proxy::ByKind<std::int64_t> msat = nothing();  // -1: not given.
};

// Other prices for long prompts, or for some hours.
struct PriceOverrideConfig {
    std::int64_t above_input_tokens = 0;
    std::string from_utc = {};
    std::string until_utc = {};
    PriceLinesConfig lines = {};
};

// The price of a model.
struct PriceConfig {
    PriceLinesConfig lines;
    std::vector<PriceOverrideConfig> overrides;
    std::string margin;
    std::int64_t floor_msat = -1;  // -1: not given.
    bool free = false;             // A price of zero must be meant.
};

// One of the file that `nutgate prices apply` writes.
struct PriceEntry {
    std::string model;
    std::string source;  // Whose list, and its name there.
    PriceConfig price;
};

// What an upstream takes of the seller for a model: for the margin, which nobody is charged by.
struct CostConfig {
    std::string upstream;  // Empty: any.
    std::string model;     // Empty: any.
    PriceConfig price;     // Of which lines and overrides are used.
};

// What is particular to one upstream of a model.
struct RouteConfig {
    std::string model;
    std::string upstream;
    std::string upstream_model;  // Empty: as the model says.
    PriceConfig price;           // Of which lines and overrides are used. None: as the model says.
};

struct UpstreamConfig {
    std::string name;
    std::string dialect = "openai";
    std::string thinking = "budget";
    std::string url;
    std::string api_key_env;
    std::string api_key_file;
    std::string ca_file;
    std::string on_disconnect = "usual";
    std::string limit_field = "usual";
    std::int64_t head_timeout_ms = 600'000;
    std::int64_t gap_timeout_ms = 120'000;
    std::int64_t drain_timeout_ms = 60'000;
    std::int64_t drain_bytes_max = 8 * 1024 * 1024;
    std::int64_t calls_max = 4'096;
    std::int64_t failures_max = 5;
    std::int64_t rest_ms_min = 1'000;
    std::int64_t rest_ms_max = 60'000;
    std::vector<std::string> endpoints;  // Empty: all that the dialect has.
};

struct ModelConfig {
    std::string id;
    std::string description;
    std::vector<std::string> upstreams;
    std::vector<std::string> weights;  // Of each of them. Empty: in order.
    std::string upstream_model;
    std::int64_t context = 0;
    std::int64_t output_max = 0;
    std::int64_t tokens_per_image_max = 0;  // 0: images are not taken.
    std::vector<std::string> endpoints;     // Empty: text.
    std::vector<std::string> extra_fields;
    bool elastic = true;
    PriceConfig price;
    // What was typed where a file of prices was laid under it: no price, but a margin and a floor.
    std::optional<PriceConfig> typed_price = std::nullopt;
};

// How a Lightning node is reached. Which keys name its secrets is the node's own affair.
struct LightningNodeConfig {
    std::string url;
    std::string cert_file;
    std::string receive_env;
    std::string receive_file;
    std::string pay_env;
    std::string pay_file;
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
    std::int64_t offers_max = 10'000;
    std::int64_t offers_per_key_max = 5;
    std::int64_t simulated_settle_ms = 500;
    LightningNodeConfig lnd;
    LightningNodeConfig cln;
    LightningNodeConfig phoenixd;
    LightningNodeConfig lnbits;
    LightningNodeConfig nwc;

    std::string payout_target;  // Empty: nothing is paid out by itself.
    std::int64_t payout_threshold_sat = 10'000;
    std::int64_t payout_interval_s = 86'400;

    bool mint_enabled = false;
    std::string mint_backend;
    std::string mint_name = "Nutgate mint";
    std::int64_t mint_input_fee_ppk = 0;
    std::int64_t mint_amount_max_sat = 1'000'000;

    bool demo_enabled = false;
    std::int64_t demo_token_ms = 5;

    std::vector<UpstreamConfig> upstreams;
    std::vector<ModelConfig> models;
    std::vector<RouteConfig> routes;
    std::vector<CostConfig> costs;
    std::string prices_file;
    std::string btc_usd;
    std::vector<std::string> rate_sources{"kraken", "coinbase", "bitstamp", "bitfinex"};
    std::int64_t rate_sources_min = 3;
    std::int64_t rate_refresh_s = 30;
    std::int64_t rate_age_max_s = 300;

    std::int64_t first_slice_tokens = 256;
    std::int64_t retries_max = 1;
    std::int64_t retry_wait_ms = 250;
    std::int64_t retry_after_max_ms = 2'000;
    std::int64_t usage_keep_days = 90;
    std::int64_t usage_page_rows_max = 1'000;

    std::int64_t data_threads = 0;
    std::int64_t control_threads = 8;
    std::int64_t connections_max = 8'000;
    std::int64_t body_bytes_max = 8 * 1024 * 1024;
    std::int64_t upload_bytes_max = 26 * 1024 * 1024;
    std::int64_t bodies_bytes_max = 256 * 1024 * 1024;
    std::int64_t choices_max = 8;
    std::int64_t drain_ms = 30'000;
    std::int64_t hold_ttl_s = 600;
    std::int64_t unposted_wait_ms = 50;
    std::int64_t unposted_age_max_ms = 1'000;
    std::int64_t unposted_charges_max = 65'536;
    std::int64_t keys_in_use_max = 100'000;
    std::int64_t invoices_per_client_per_minute = 30;
    std::int64_t creates_per_client_per_minute = 60;
    std::int64_t status_per_client_per_minute = 600;
    std::int64_t refunds_per_client_per_minute = 10;
    std::int64_t waits_per_client_max = 64;
    std::int64_t waits_max = 5'000;
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
    virtual void routes(std::vector<RouteConfig>& value) = 0;
    virtual void costs(std::vector<CostConfig>& value) = 0;
    // Prices under the names that they have in a [[model]], without "price.".
    virtual void bare_prices(const Key& key, PriceConfig& value) = 0;
    virtual void overrides(const Key& key, std::vector<PriceOverrideConfig>& value) = 0;
};
void visit(Config& config, ConfigVisitor& visitor);
void visit(UpstreamConfig& upstream, ConfigVisitor& visitor);
void visit(ModelConfig& model, ConfigVisitor& visitor);
void visit(PriceConfig& price, ConfigVisitor& visitor);
void visit(PriceOverrideConfig& change, ConfigVisitor& visitor);
void visit(RouteConfig& route, ConfigVisitor& visitor);
void visit(CostConfig& cost, ConfigVisitor& visitor);
void visit_bare(PriceConfig& price, ConfigVisitor& visitor);
void visit(PriceEntry& entry, ConfigVisitor& visitor);

// One mistake: the key it is at, and what is wrong with it.
struct Mistake {
    std::string key;  // "listen.public", "model[1].price"
    std::string what;
};

using Environment = std::vector<std::pair<std::string, std::string>>;
Environment process_environment();

// Lays the file (may be empty text) and then the environment over `config`. All mistakes at once.
std::vector<Mistake> load(std::string_view toml, const Environment& environment, Config& config);

// The file of prices, as text; entries are added.
std::vector<Mistake> load_prices(std::string_view toml, std::vector<PriceEntry>& entries);
std::string prices_to_toml(const std::vector<PriceEntry>& entries);

// What `--dev` embeds where the file says nothing.
void apply_dev_defaults(Config& config);

// What no single key can show to be wrong: names that match nothing, real money in --dev.
std::vector<Mistake> check(const Config& config, const Environment& environment);

// Its mints alone: all that ecash is restored with.
std::vector<Mistake> check_mints(const Config& config);

// The effective configuration as TOML, without secrets (there are none in it by construction).
std::string to_toml(const Config& config);

// docs/configuration.md, whole.
std::string reference_markdown();

// The secret that `api_key_env` or `api_key_file` names; empty if neither is given.
Result<std::string, std::string> read_api_key(const UpstreamConfig& upstream,
                                              const Environment& environment);

// Where an upstream lists its models, which is below its base and before its query.
std::string list_url(const UpstreamConfig& upstream);

// A weight as it is written: a whole number up to 1000.
std::optional<std::uint32_t> parse_weight(std::string_view text);

struct HostPort {
    std::string host;
    std::uint16_t port = 0;
};
std::optional<HostPort> parse_host_port(std::string_view text);

}  // namespace nutgate::app
