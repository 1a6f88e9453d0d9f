#include <limits>

#include "config.h"

namespace nutgate::app {
namespace {

constexpr std::int64_t kMillisecondsMax = 24LL * 3600 * 1000;
constexpr std::int64_t kMsatPriceMax = 1'000'000'000'000;
constexpr std::int64_t kTokensMax = 100'000'000;

struct PriceKey {
    Key usd;
    Key msat;
};
// With the prefix that they have in a [[model]].
constexpr proxy::ByKind<PriceKey> kPriceKeys{{
    {{"price.input_usd", "USD per million input tokens, a decimal in quotes."},
     {"price.input_msat_per_1k", "Millisatoshi per thousand input tokens."}},
    {{"price.cached_input_usd", "USD per million cached input tokens. Default: as input."},
     {"price.cached_input_msat_per_1k", "Millisatoshi per thousand cached input tokens."}},
    {{"price.cache_write_usd",
      "USD per million tokens written to a cache for five minutes. Default: as input."},
     {"price.cache_write_msat_per_1k",
      "Millisatoshi per thousand tokens written to a cache for five minutes."}},
    {{"price.cache_write_1h_usd",
      "USD per million tokens written to a cache for an hour. Default: as for five minutes."},
     {"price.cache_write_1h_msat_per_1k",
      "Millisatoshi per thousand tokens written to a cache for an hour."}},
    {{"price.audio_input_usd", "USD per million audio tokens of a prompt. Default: as input."},
     {"price.audio_input_msat_per_1k", "Millisatoshi per thousand audio tokens of a prompt."}},
    {{"price.image_input_usd", "USD per million image tokens of a prompt. Default: as input."},
     {"price.image_input_msat_per_1k", "Millisatoshi per thousand image tokens of a prompt."}},
    {{"price.output_usd", "USD per million output tokens."},
     {"price.output_msat_per_1k", "Millisatoshi per thousand output tokens."}},
    {{"price.reasoning_usd", "USD per million reasoning tokens. Default: as output."},
     {"price.reasoning_msat_per_1k", "Millisatoshi per thousand reasoning tokens."}},
    {{"price.audio_output_usd", "USD per million audio tokens of an answer. Default: as output."},
     {"price.audio_output_msat_per_1k", "Millisatoshi per thousand audio tokens of an answer."}},
    {{"price.image_output_usd", "USD per million image tokens of an answer. Default: as output."},
     {"price.image_output_msat_per_1k", "Millisatoshi per thousand image tokens of an answer."}},
    {{"price.request_usd", "USD per request. Default: \"0\"."},
     {"price.request_msat", "Millisatoshi per request."}},
    {{"price.image_usd", "USD per image made. Without it none is sold by the piece."},
     {"price.image_msat", "Millisatoshi per image made."}},
    {{"price.search_usd", "USD per search on the web. Without it none is sold."},
     {"price.search_msat", "Millisatoshi per search."}},
    {{"price.characters_usd", "USD per million characters spoken. Without it none are sold."},
     {"price.characters_msat_per_1k", "Millisatoshi per thousand characters spoken."}},
    {{"price.audio_second_usd", "USD per second of audio heard. Without it none is sold."},
     {"price.audio_second_msat", "Millisatoshi per second of audio heard."}},
}};
constexpr std::size_t kPrefixSize = std::string_view{"price."}.size();

// Without so many bytes of the keys' names.
void visit_lines(PriceLinesConfig& lines, std::size_t skip, ConfigVisitor& v) {
    const auto named = [skip](Key key) {
        key.name.remove_prefix(skip);
        return key;
    };
    for (std::size_t i = 0; i < proxy::kPriceKinds; ++i) {
        v.text(named(kPriceKeys[i].usd), lines.usd[i]);
    }
    for (std::size_t i = 0; i < proxy::kPriceKinds; ++i) {
        Key key = named(kPriceKeys[i].msat);
        key.min = -1;
        key.max = kMsatPriceMax;
        v.integer(key, lines.msat[i]);
    }
}

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

// A secret is named by a variable or a file; nodes call theirs by different names.
struct SecretNames {
    Key receive_env;
    Key receive_file;
    Key pay_env;
    Key pay_file;
};

void visit_node_at(std::string_view section, std::string_view what, std::string_view url,
                   const SecretNames& names, LightningNodeConfig& node, ConfigVisitor& v) {
    v.section(section, what);
    v.text({"url", url}, node.url);
    v.text({"cert_file",
            "PEM file to verify its certificate with, such as the one it signed itself; without it "
            "the system's."},
           node.cert_file);
    v.text(names.receive_env, node.receive_env);
    v.text(names.receive_file, node.receive_file);
    v.text(names.pay_env, node.pay_env);
    v.text(names.pay_file, node.pay_file);
}

void visit_nodes(Config& c, ConfigVisitor& v) {
    visit_node_at("lightning.lnd", "LND, over REST.", "Its restlisten: \"https://127.0.0.1:8080\".",
                  {{"invoice_macaroon_env", "Variable with the macaroon for invoices, in hex."},
                   {"invoice_macaroon_file", "File of it, as LND writes it, or hex."},
                   {"pay_macaroon_env", "Variable with a macaroon that may pay and track."},
                   {"pay_macaroon_file", "File of it."}},
                  c.lnd, v);
    visit_node_at("lightning.cln", "Core Lightning, over clnrest.",
                  "Its clnrest-port: \"https://127.0.0.1:3010\".",
                  {{"invoice_rune_env",
                    "Variable with a rune for invoice and listinvoices; for offers, offer, "
                    "listoffers and disableoffer, too."},
                   {"invoice_rune_file", "File of it."},
                   {"pay_rune_env", "Variable with a rune for xpay, pay and listpays."},
                   {"pay_rune_file", "File of it."}},
                  c.cln, v);
    visit_node_at("lightning.phoenixd", "phoenixd. It takes no limit of a fee.",
                  "Its address: \"http://127.0.0.1:9740\".",
                  {{"limited_password_env", "Variable with http-password-limited-access."},
                   {"limited_password_file", "File of it."},
                   {"password_env", "Variable with http-password, to pay."},
                   {"password_file", "File of it."}},
                  c.phoenixd, v);
    visit_node_at("lightning.lnbits", "A wallet of an LNbits. It takes no limit of a fee.",
                  "Its base: \"https://lnbits.example.com\".",
                  {{"invoice_key_env", "Variable with the wallet's invoice key."},
                   {"invoice_key_file", "File of it."},
                   {"admin_key_env", "Variable with the wallet's admin key, to pay."},
                   {"admin_key_file", "File of it."}},
                  c.lnbits, v);
    v.section("lightning.nwc",
              "A wallet by Nostr Wallet Connect. It takes no limit of a fee. Its addresses "
              "(nostr+walletconnect://…) are secrets.");
    v.text({"receive_uri_env", "Variable with the address that invoices are made by."},
           c.nwc.receive_env);
    v.text({"receive_uri_file", "File of it."}, c.nwc.receive_file);
    v.text({"pay_uri_env",
            "Variable with the address that is paid by: another one, or the same if that may pay."},
           c.nwc.pay_env);
    v.text({"pay_uri_file", "File of it."}, c.nwc.pay_file);
}

void visit_money(Config& c, ConfigVisitor& v) {
    v.section("wallet", "Whose ecash the node takes and pays refunds with.");
    v.list({"mints", "URLs of mints, the first is primary; \"embedded\" is the mint below."},
           c.mints);
    v.choice({"foreign_mints",
              "What to do with tokens of other mints: \"refuse\", or \"swap\" (they pay a quote of "
              "ours over Lightning, and what arrives is credited)."},
             c.foreign_mints, {"refuse", "swap"});
    v.integer({"guest_mints_max",
               "Mints whose tokens are swapped, at a time. One with nothing of ours and nothing "
               "under way makes room for the next; beyond that, others are refused.",
               1, 100'000},
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
    v.list(
        {"receive",
         "Who makes invoices: \"mint\" (quotes of the primary mint), \"simulated\" (the node of "
         "--dev), or nodes in order of preference: \"lnd\", \"cln\", \"phoenixd\", \"lnbits\", "
         "\"nwc\". One that is away is passed over for new invoices. What an earlier setting "
         "made is still credited: the primary mint's, and a node's as long as it is named here or, "
         "where this is \"mint\", in pay or mint.backend. The node behind our own mint receives by "
         "\"mint\": it can't pay "
         "itself for the ecash that refunds need."},
        c.lightning_receive);
    v.list(
        {"pay",
         "Who pays for ecash at mints, and refunds and payouts over Lightning before ecash does: "
         "\"mint\" (nobody: our own mints' ecash is what there is), \"simulated\", or nodes."},
        c.lightning_pay);
    v.choice({"network", "Whose invoices are taken; those of other networks are refused."},
             c.lightning_network, {"bitcoin", "testnet", "signet", "regtest"});
    v.integer(
        {"offers_max",
         "Open offers (BOLT12, by \"cln\", \"simulated\" or a mint) of all clients together. One "
         "that nobody pays within 30 days is closed.",
         1, 1'000'000},
        c.offers_max);
    v.integer({"offers_per_key_max", "The same of one key.", 1, 1'000}, c.offers_per_key_max);

    v.section("lightning.simulated", "The simulated network of --dev. Play money only.");
    v.integer({"settle_ms", "Milliseconds until an invoice pays itself; 0: at once.", 0,
               kMillisecondsMax},
              c.simulated_settle_ms);

    visit_nodes(c, v);

    v.section("payout", "Revenue that goes to the owner over Lightning by itself.");
    v.text({"target", "A Lightning address or LNURL; without it nothing is sent."},
           c.payout_target);
    v.integer({"threshold_sat", "Revenue, in sat, from which on all of it is sent.", 1,
               2'100'000'000'000},
              c.payout_threshold_sat);
    v.integer({"interval_s", "Seconds between two looks at it.", 60, 31'536'000},
              c.payout_interval_s);

    v.section("mint", "The embedded Cashu mint, served at /mint.");
    v.flag({"enabled", "Whether there is one."}, c.mint_enabled);
    v.choice({"backend",
              "Its Lightning backend, one of our own, never \"mint\"; \"simulated\" with --dev "
              "only."},
             c.mint_backend, {"", "simulated", "lnd", "cln", "phoenixd", "lnbits", "nwc"});
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
    v.routes(c.routes);
    v.costs(c.costs);
    v.section("proxy", "How what is sold is held for, and asked for again.");
    v.integer({"first_slice_tokens",
               "Tokens of output, of each choice, that are held for at the beginning of a stream "
               "and ahead of it from there on; 0: all that it can cost is held at once.",
               0, 1'000'000},
              c.first_slice_tokens);
    v.integer(
        {"retries_max",
         "Times that the upstreams of a model are asked once more for what none of them took: "
         "not reached, 502, 503, 504, 529, or 429 with a time to wait. Before the first byte "
         "only, and after every other upstream; 0: never.",
         0, 5},
        c.retries_max);
    v.integer({"retry_wait_ms",
               "Milliseconds before the first of these times; twice as long before each next.", 0,
               10'000},
              c.retry_wait_ms);
    v.integer({"retry_after_max_ms",
               "Longest Retry-After that is waited for; one that asks for more is not asked again.",
               0, 60'000},
              c.retry_after_max_ms);
    v.section("usage", "Rows of what each charge was for: /v1/balance/usage and nutgate usage.");
    v.integer({"keep_days", "Days after which they are dropped; 0: none are kept.", 0, 3'650},
              c.usage_keep_days);
    v.integer(
        {"page_rows_max", "Rows that one answer of /v1/balance/usage has at most.", 1, 10'000},
        c.usage_page_rows_max);
    v.section("prices",
              "The file that `nutgate prices apply` writes. A running node reads it again at "
              "`nutgate prices reload` and at SIGHUP.");
    v.text({"file",
            "Prices of models that have none of their own here. Default: prices.toml in the data "
            "dir, if there is one."},
           c.prices_file);
    v.section("rates", "What a bitcoin is worth. Asked for only if a model is priced in USD.");
    v.text({"btc_usd", "USD per bitcoin, fixed; nobody is asked. Default: the median of sources."},
           c.btc_usd);
    v.list({"sources",
            "Public tickers, of: kraken, coinbase, bitstamp, bitfinex; \"kraken=URL\" for one in "
            "that form at another address."},
           c.rate_sources);
    v.integer({"sources_min", "Sources that must agree within 2 percent.", 1, 16},
              c.rate_sources_min);
    v.integer({"refresh_s", "Seconds between two rounds.", 5, 3'600}, c.rate_refresh_s);
    v.integer({"age_max_s",
               "Seconds after which a rate is too old to sell by: models priced in USD are then "
               "answered 503, and what runs ends at its own price.",
               10, 86'400},
              c.rate_age_max_s);
}

void visit_charges(Config& c, ConfigVisitor& v) {
    v.integer({"unposted_wait_ms",
               "Milliseconds that a charge may be on its way to the database before new requests "
               "wait for it: with a commit, what a crash costs the seller at most.",
               1, 60'000},
              c.unposted_wait_ms);
    v.integer({"unposted_age_max_ms",
               "The same, before they are refused: the database takes nothing.", 1, 60'000},
              c.unposted_age_max_ms);
    v.integer({"unposted_charges_max",
               "Charges on their way to the database, beyond which new requests are refused.", 1,
               10'000'000},
              c.unposted_charges_max);
    v.integer({"keys_in_use_max", "Keys that buy at a time.", 1, 10'000'000}, c.keys_in_use_max);
}

void visit_limits(Config& c, ConfigVisitor& v) {
    constexpr std::int64_t kBodiesBytesMax = 1'099'511'627'776;
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
    v.integer(
        {"upload_bytes_max",
         "Bytes of a form with files: audio, of which no file may have more than 25 MiB, and "
         "images to be edited. One that has its fields before its first file is sent on while "
         "it comes; any other of up to that size is in memory first.",
         1024, 256 * 1024 * 1024},
        c.upload_bytes_max);
    v.integer({"bodies_bytes_max",
               "Bytes of all bodies that the public face holds at a time, but for those that came "
               "in one read with their heads. What is sent on is there once more. Beyond it 503 "
               "with Retry-After, for whoever needs more then.",
               1024 * 1024, kBodiesBytesMax},
              c.bodies_bytes_max);
    v.integer({"choices_max", "Largest n of a chat completion.", 1, 128}, c.choices_max);
    v.integer(
        {"drain_ms", "Milliseconds that running requests have after SIGTERM.", 0, kMillisecondsMax},
        c.drain_ms);
    v.integer(
        {"hold_ttl_s", "Seconds after which money held for a dead request is freed.", 10, 86'400},
        c.hold_ttl_s);
    visit_charges(c, v);
    v.integer(
        {"invoices_per_client_per_minute", "Invoices that one address may ask for.", 1, 1'000'000},
        c.invoices_per_client_per_minute);
    v.integer(
        {"creates_per_client_per_minute", "Tokens that one address may hand in.", 1, 1'000'000},
        c.creates_per_client_per_minute);
    v.integer({"status_per_client_per_minute", "Invoice look-ups of one address.", 1, 1'000'000},
              c.status_per_client_per_minute);
    v.integer({"refunds_per_client_per_minute",
               "Refunds over Lightning, and estimates of them, of one address.", 1, 1'000'000},
              c.refunds_per_client_per_minute);
    v.integer({"waits_per_client_max",
               "Requests of one address that wait for an invoice, at a time.", 1, 100'000},
              c.waits_per_client_max);
    v.integer({"waits_max", "The same of all clients together.", 1, 1'000'000}, c.waits_max);
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
    v.choice(
        {"dialect",
         "The wire format it speaks. All but \"anthropic\" are OpenAI's; who has no name "
         "here is \"openai\"."},
        u.dialect,
        {"openai", "anthropic", "azure", "gemini", "llama.cpp", "ollama", "openrouter", "vllm"});
    v.choice(
        {"thinking",
         "With dialect \"anthropic\", what becomes of reasoning_effort: \"budget\" (a share of "
         "max_tokens, as models up to 2025 take it) or \"adaptive\" (an effort, as later ones "
         "do)."},
        u.thinking, {"budget", "adaptive"});
    v.text({"url",
            "Its base, up to and with /v1; a query (Azure's api-version) is sent with each call."},
           u.url);
    v.text({"api_key_env", "Environment variable that holds its API key."}, u.api_key_env);
    v.text({"api_key_file", "File that holds its API key."}, u.api_key_file);
    v.text({"ca_file", "PEM file to verify its certificate with; without it the system's."},
           u.ca_file);
    v.choice({"on_disconnect",
              "When a client leaves: \"cancel\" (it stops billing too), \"drain\" (it bills the "
              "whole answer, so read it to its end), or \"usual\": drain with dialects "
              "\"gemini\" and \"openrouter\", cancel with the others."},
             u.on_disconnect, {"usual", "cancel", "drain"});
    v.choice(
        {"limit_field",
         "The name under which a chat's limit is sent, the client's or the model's: \"usual\" is "
         "max_completion_tokens with dialect \"azure\" and at api.openai.com, max_tokens "
         "with the others."},
        u.limit_field, {"usual", "max_tokens", "max_completion_tokens"});
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
    v.integer(
        {"calls_max", "Calls at a time; more go to the model's next upstream, or are answered 503.",
         1, 1'000'000},
        u.calls_max);
    v.integer({"failures_max", "Failures in a row after which it is left alone for a while.", 1,
               1'000'000},
              u.failures_max);
    v.integer({"rest_ms_min",
               "Milliseconds of that while; twice as long each time that the one call which is "
               "tried afterwards fails too.",
               1, kMillisecondsMax},
              u.rest_ms_min);
    v.integer({"rest_ms_max",
               "Milliseconds that it is left alone at most, also where it asks for more "
               "(Retry-After).",
               1, kMillisecondsMax},
              u.rest_ms_max);
    v.list(
        {"endpoints",
         "What it serves, of the names that a model's endpoints has. Default: all of its dialect. "
         "Chats and messages are translated into each other; name \"messages\" where an "
         "upstream of OpenAI's dialect speaks them itself."},
        u.endpoints);
}

void visit(ModelConfig& m, ConfigVisitor& v) {
    v.text({"id", "What buyers ask for."}, m.id);
    v.text({"description", "One sentence, for /v1/models."}, m.description);
    v.list({"upstreams", "Names of upstreams, tried in this order."}, m.upstreams);
    v.list({"weights",
            "A whole number from 0 to 1000 for each of them: its share of the requests that try it "
            "first; the others follow in their order. Default: none, the first is always first."},
           m.weights);
    v.text({"upstream_model", "What the upstream calls it. Default: the id."}, m.upstream_model);
    v.integer({"context", "Tokens of prompt and answer together.", 1, 100'000'000}, m.context);
    v.integer({"output_max", "Most tokens of one answer.", 1, 100'000'000}, m.output_max);
    v.integer(
        {"tokens_per_image_max",
         "Most tokens that an image in a request costs; 0: images are not taken.", 0, 100'000'000},
        m.tokens_per_image_max);
    v.list(
        {"endpoints",
         "Where it is sold: \"chat\", \"completions\", \"responses\", \"messages\", "
         "\"embeddings\", \"image_generations\", \"image_edits\", \"speech\", "
         "\"transcriptions\", \"translations\", \"moderations\". Default: the first four, as far "
         "as an upstream of it serves them."},
        m.endpoints);
    v.list({"extra_fields",
            "Fields of requests that pass though it is not known here what they cost."},
           m.extra_fields);
    v.flag({"elastic",
            "Whether streams begin before all that they can cost is held. false for a model that "
            "thinks unseen: what it costs by then shows at the end only."},
           m.elastic);
    visit(m.price, v);
}

void visit(PriceConfig& p, ConfigVisitor& v) {
    visit_lines(p.lines, 0, v);
    v.overrides({"price.overrides",
                 "Tables with other prices for prompts of more than above_input_tokens tokens, for "
                 "the hours from_utc to until_utc (\"16:30\", \"00:30\"), or for both: any of the "
                 "keys above, without \"price.\". All of such a request costs so much. Where "
                 "several apply, the later wins."},
                p.overrides);
    v.text({"price.margin", "Factor on the USD prices, a decimal in quotes. Default \"1\"."},
           p.margin);
    v.integer({"price.floor_msat", "Least that a request costs that is charged, in msat.", -1,
               kMsatPriceMax},
              p.floor_msat);
    v.flag({"price.free", "Says that a price of zero is meant."}, p.free);
}

void visit(PriceOverrideConfig& c, ConfigVisitor& v) {
    v.integer({"above_input_tokens", "Of prompts with more tokens.", 0, kTokensMax},
              c.above_input_tokens);
    v.text({"from_utc", "From this time of the day, HH:MM."}, c.from_utc);
    v.text({"until_utc", "Until this one, which is not within."}, c.until_utc);
    visit_lines(c.lines, kPrefixSize, v);
}

void visit(RouteConfig& r, ConfigVisitor& v) {
    v.text({"model", "The id of a [[model]]."}, r.model);
    v.text({"upstream", "The name of an [[upstream]] of that model."}, r.upstream);
    v.text(
        {"upstream_model", "What this one calls the model. Default: the model's upstream_model."},
        r.upstream_model);
    v.bare_prices(
        {"input_usd, …",
         "What is charged where this one serves: prices and overrides as a [[model]] has them, "
         "without \"price.\". The model's own price is what is advertised and held; where that "
         "comes "
         "to less, it is charged. Default: the model's."},
        r.price);
}

void visit(CostConfig& c, ConfigVisitor& v) {
    v.text({"upstream", "The name of an [[upstream]]. Default: any."}, c.upstream);
    v.text({"model", "The id of a [[model]]. Default: any."}, c.model);
    v.bare_prices(
        {"input_usd, …",
         "What it takes: prices and overrides as a [[model]] has them, without "
         "\"price.\". What of them is left out follows from the others as it does there."},
        c.price);
}

void visit_bare(PriceConfig& p, ConfigVisitor& v) {
    visit_lines(p.lines, kPrefixSize, v);
    v.overrides({"overrides", "Other prices for long prompts, or for some hours."}, p.overrides);
}

void visit(PriceEntry& e, ConfigVisitor& v) {
    v.text({"model", "The id of a [[model]]."}, e.model);
    v.text({"source", "Whose list it is from, and its name there."}, e.source);
    visit(e.price, v);
}

}  // namespace nutgate::app
