#include <limits>

#include "config.h"

namespace nutgate::app {
namespace {

constexpr std::int64_t kMillisecondsMax = 24LL * 3600 * 1000;
constexpr std::int64_t kMsatPriceMax = 1'000'000'000'000;

void visit_node(Config& c, ConfigVisitor& v) {
    v.section("node", "The node and where it keeps what it must not lose.");
    v.text({"name", "What buyers see as the node's name."}, c.node_name);
    v.text({"description", "One sentence about it, for /v1/info."}, c.node_description);
    v.text({"data_dir", "Folder of the database, the seed and the operator's token."}, c.data_dir);
    v.choice({"database", "The store."}, c.database, {"sqlite"});
    v.choice({"log_level", "Events below it are not written."}, c.log_level,
             {"debug", "info", "warn", "error"});
}

void visit_listen(Config& c, ConfigVisitor& v) {
    v.section("listen", "The two faces: buyers use the public one, the operator the other.");
    v.text({"public", "HOST:PORT of the public face."}, c.public_listen);
    v.text({"operator", "HOST:PORT of /admin and /metrics. Keep it on loopback."},
           c.operator_listen);
    v.text({"public_url",
            "What tokens, requests and pages call this node; TLS by a proxy that is listed in "
            "trusted_proxies. Default: http:// and the public face."},
           c.public_url);
    v.list({"trusted_proxies", "Addresses whose X-Forwarded-For is believed."}, c.trusted_proxies);
    v.text({"cors_origin", "Origin that browsers' scripts may call from; * for any."},
           c.cors_origin);
}

void visit_money(Config& c, ConfigVisitor& v) {
    v.section("wallet", "Whose ecash the node takes and pays refunds with.");
    v.list({"mints", "URLs of mints, the first is primary; \"embedded\" is the mint below."},
           c.mints);
    v.choice({"foreign_mints",
              "What to do with tokens of other mints: \"refuse\", or \"swap\" (they pay a quote of "
              "ours over Lightning, and what arrives is credited)."},
             c.foreign_mints, {"refuse", "swap"});
    v.integer({"guest_mints_max", "Mints whose tokens are swapped, in all; others are refused.", 1,
               100'000},
              c.guest_mints_max);
    v.integer({"exposure_max_sat",
               "Most that is held at each outside mint, in sat; 0: no limit. `nutgate wallet mints "
               "add` sets another for one mint.",
               0, 2'100'000'000'000'000},
              c.exposure_max_sat);
    v.integer({"reserve_sat",
               "Ecash that is kept at each mint for refunds, in sat, where a Lightning backend of "
               "ours can pay for it; 0: none.",
               0, 2'100'000'000'000},
              c.reserve_sat);

    v.section("lightning", "How invoices are received and paid.");
    v.list({"receive",
            "One of: \"mint\" (quotes of the primary mint), \"simulated\" (the node of --dev)."},
           c.lightning_receive);
    v.list(
        {"pay",
         "Who pays for ecash at mints: \"mint\" (nobody: our own mints' ecash is what there is), "
         "\"simulated\"."},
        c.lightning_pay);
    v.choice({"network", "Whose invoices are taken; those of other networks are refused."},
             c.lightning_network, {"bitcoin", "testnet", "signet", "regtest"});

    v.section("lightning.simulated", "The simulated network of --dev. Play money only.");
    v.integer({"settle_ms", "Milliseconds until an invoice pays itself; 0: at once.", 0,
               kMillisecondsMax},
              c.simulated_settle_ms);

    v.section("mint", "The embedded Cashu mint, served at /mint.");
    v.flag({"enabled", "Whether there is one."}, c.mint_enabled);
    v.choice({"backend",
              "Its Lightning backend, one of our own, never \"mint\"; \"simulated\" with --dev "
              "only."},
             c.mint_backend, {"", "simulated"});
    v.text({"name", "What wallets see as the mint's name."}, c.mint_name);
    v.integer({"input_fee_ppk", "Fee per thousand inputs of a swap or melt (NUT-02), in the unit.",
               0, 10'000},
              c.mint_input_fee_ppk);
    v.integer({"amount_max_sat", "Most that one quote may mint or melt, in sat.", 1, 100'000'000},
              c.mint_amount_max_sat);
}

void visit_sales(Config& c, ConfigVisitor& v) {
    v.section("demo", "The model \"demo\": deterministic text that says what it is.");
    v.flag({"enabled", "Whether it is sold; with --dev it is."}, c.demo_enabled);
    v.integer({"token_ms", "Milliseconds between two words of a stream.", 0, 10'000},
              c.demo_token_ms);
    v.upstreams(c.upstreams);
    v.models(c.models);
    v.section("rates", "What a bitcoin is worth.");
    v.text({"btc_usd", "USD per bitcoin, fixed. Needed by models that are priced in USD."},
           c.btc_usd);
}

void visit_limits(Config& c, ConfigVisitor& v) {
    v.section("limits", "Bounds. Beyond one: 413, 429 or 503, and nothing is changed.");
    v.integer({"data_threads", "Threads of the data plane; 0: one per core.", 0, 256},
              c.data_threads);
    v.integer(
        {"control_threads", "Threads for balance, Lightning, mint and operator calls.", 1, 256},
        c.control_threads);
    v.integer({"connections_max", "Open connections of the public face.", 16, 1'000'000},
              c.connections_max);
    v.integer({"body_bytes_max", "Bytes of a request's body.", 1024, 256 * 1024 * 1024},
              c.body_bytes_max);
    v.integer({"choices_max", "Largest n of a chat completion.", 1, 128}, c.choices_max);
    v.integer(
        {"drain_ms", "Milliseconds that running requests have after SIGTERM.", 0, kMillisecondsMax},
        c.drain_ms);
    v.integer(
        {"hold_ttl_s", "Seconds after which money held for a dead request is freed.", 10, 86'400},
        c.hold_ttl_s);
    v.integer(
        {"invoices_per_client_per_minute", "Invoices that one address may ask for.", 1, 1'000'000},
        c.invoices_per_client_per_minute);
    v.integer(
        {"creates_per_client_per_minute", "Tokens that one address may hand in.", 1, 1'000'000},
        c.creates_per_client_per_minute);
    v.integer({"status_per_client_per_minute", "Invoice look-ups of one address.", 1, 1'000'000},
              c.status_per_client_per_minute);
    v.integer({"open_invoices_max", "Unpaid invoices of all clients together.", 1, 10'000'000},
              c.open_invoices_max);
    v.integer({"invoice_expiry_s", "Seconds an invoice can be paid.", 60, 86'400},
              c.invoice_expiry_s);
}

}  // namespace

void visit(Config& config, ConfigVisitor& visitor) {
    visit_node(config, visitor);
    visit_listen(config, visitor);
    visit_money(config, visitor);
    visit_sales(config, visitor);
    visit_limits(config, visitor);
}

void visit(UpstreamConfig& u, ConfigVisitor& v) {
    v.text({"name", "How models and metrics call it."}, u.name);
    v.choice({"dialect", "The wire format it speaks."}, u.dialect, {"openai"});
    v.text({"url", "Its base, up to and with /v1."}, u.url);
    v.text({"api_key_env", "Environment variable that holds its API key."}, u.api_key_env);
    v.text({"api_key_file", "File that holds its API key."}, u.api_key_file);
    v.text({"ca_file", "PEM file to verify its certificate with; without it the system's."},
           u.ca_file);
    v.choice({"on_disconnect",
              "When a client leaves: \"cancel\" (it stops billing too) or \"drain\" (it bills the "
              "whole answer, so read it to its end)."},
             u.on_disconnect, {"cancel", "drain"});
    v.integer(
        {"head_timeout_ms", "Milliseconds until an answer must begin.", 100, kMillisecondsMax},
        u.head_timeout_ms);
    v.integer(
        {"gap_timeout_ms", "Milliseconds between two pieces of an answer.", 100, kMillisecondsMax},
        u.gap_timeout_ms);
    v.integer({"drain_timeout_ms",
               "Milliseconds that an answer is still awaited when its client has left: a buffered "
               "one, or a stream that is drained.",
               1, kMillisecondsMax},
              u.drain_timeout_ms);
    v.integer(
        {"drain_bytes_max", "Bytes of such an answer that are still read.", 0, 256 * 1024 * 1024},
        u.drain_bytes_max);
}

void visit(ModelConfig& m, ConfigVisitor& v) {
    v.text({"id", "What buyers ask for."}, m.id);
    v.text({"description", "One sentence, for /v1/models."}, m.description);
    v.list({"upstreams", "Names of upstreams, tried in this order."}, m.upstreams);
    v.text({"upstream_model", "What the upstream calls it. Default: the id."}, m.upstream_model);
    v.integer({"context", "Tokens of prompt and answer together.", 1, 100'000'000}, m.context);
    v.integer({"output_max", "Most tokens of one answer.", 1, 100'000'000}, m.output_max);
    visit(m.price, v);
}

void visit(PriceConfig& p, ConfigVisitor& v) {
    v.text({"price.input_usd", "USD per million input tokens, a decimal in quotes."}, p.input_usd);
    v.text({"price.output_usd", "USD per million output tokens."}, p.output_usd);
    v.text({"price.cached_input_usd", "USD per million cached input tokens. Default: as input."},
           p.cached_input_usd);
    v.text({"price.margin", "Factor on the USD prices, a decimal in quotes. Default \"1\"."},
           p.margin);
    v.integer(
        {"price.input_msat_per_1k", "Millisatoshi per thousand input tokens.", -1, kMsatPriceMax},
        p.input_msat_per_1k);
    v.integer(
        {"price.output_msat_per_1k", "Millisatoshi per thousand output tokens.", -1, kMsatPriceMax},
        p.output_msat_per_1k);
    v.integer({"price.cached_input_msat_per_1k", "Millisatoshi per thousand cached input tokens.",
               -1, kMsatPriceMax},
              p.cached_input_msat_per_1k);
    v.flag({"price.free", "Says that a price of zero is meant."}, p.free);
}

}  // namespace nutgate::app
