// Rows of usage: one for each charge, with what it was for, and none for what was not charged.
#include "nutgate/proxy/usage_rows.h"

#include <doctest/doctest.h>

#include "dialogue.h"
#include "support/crash_database.h"
#include "till_customer.h"

using namespace nutgate;
using namespace nutgate::test;
using namespace nutgate::literals;
using proxy::UsageBy;
using proxy::UsageEntry;
using proxy::UsageItem;
using proxy::UsagePage;
using proxy::UsageQuery;
using proxy::UsageTotal;

namespace {

UsagePage page_of(Node& node, const UsageQuery& query) {
    return node.database
        ->read([&](store::Reader& reader) -> Result<UsagePage, store::StoreFailure> {
            return proxy::list_usage(reader, query);
        })
        .value();
}
std::vector<UsageEntry> list(Node& node, const UsageQuery& query) {
    return page_of(node, query).entries;
}
std::vector<UsageTotal> totals(Node& node, UsageBy by, Time since = {}) {
    return node.database
        ->read([&](store::Reader& reader) -> Result<std::vector<UsageTotal>, store::StoreFailure> {
            return proxy::total_usage(reader, by, since);
        })
        .value();
}
std::int64_t prune(Node& node, Time before, int limit) {
    std::int64_t pruned = 0;
    REQUIRE(node.database->transact([&](store::Tx& tx) -> Result<bool, Node::LedgerOrStore> {
        pruned = proxy::prune_usage(tx, before, limit);
        return true;
    }));
    return pruned;
}
void execute(Node& node, const std::string& sql) {
    REQUIRE(node.database->transact([&](store::Tx& tx) -> Result<bool, Node::LedgerOrStore> {
        tx.execute(sql);
        return true;
    }));
}

// A charge, and a row for it.
void charge(Node& node, const KeyId& key, Msat cost, proxy::UsageRow work = {}) {
    work.model = node.row_names.number("small");
    auto drawn = draw(node, key, cost);
    REQUIRE(drawn.has_value());
    (void)drawn->settle(cost, work);
}

// The first upstream of the model "small" takes so much.
void sell_at_cost(Node& node, const proxy::Price& cost) {
    std::vector<proxy::Model> all = node.models->all();
    all[0].upstreams[0].cost = cost;
    node.close();
    node.models.emplace(proxy::Models::make(std::move(all), std::nullopt).value());
}

// A price of its own for each kind: the first costs 0.001 msat, the next 0.003 and so on; the last
// is of a second, which is counted in thousandths.
proxy::Price price_of_all() {
    proxy::PriceTable table{.currency = proxy::Currency::Msat};
    std::uint64_t units = 1;
    for (const proxy::PriceKind kind : proxy::kAllPriceKinds) {
        table.lines[index_of(kind)] = proxy::Decimal{.units = units, .places = 3};
        units += 2;
    }
    return proxy::Tariff::make(table).value().at({}, std::nullopt).value();
}
constexpr proxy::Usage kAllUsed{.in_uncached = 1001,
                                .in_cached = 1002,
                                .cache_write_5m = 1003,
                                .cache_write_1h = 1004,
                                .out_text = 1005,
                                .out_reasoning = 1006,
                                .in_audio = 1007,
                                .in_image = 1008,
                                .out_audio = 1009,
                                .out_image = 1010,
                                .images = 1011,
                                .searches = 1012,
                                .characters = 1013,
                                .audio_ms = 1014};

}  // namespace

TEST_CASE("usage: each charge is a row that says what it was for, and what it cost the seller") {
    Node node;
    node.upstream.script = json_script(kAnswer);
    std::optional<Msat> cost;
    SUBCASE("whose price is not known") {}
    SUBCASE("whose price is known") {
        sell_at_cost(
            node, proxy::Price::make(proxy::MsatPrices{.input_per_1k = 100, .output_per_1k = 300})
                      .value());
        cost = 8_msat;  // 4 + 3.6
    }
    node.keep_usage();
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, kAsk)};
    node.serve(client);
    const auto rows = list(node, {.payer = key});
    REQUIRE(rows.size() == 1);
    CHECK(rows[0].at == node.clock.now());
    CHECK(rows[0].payer == key);
    CHECK_FALSE(rows[0].child.has_value());
    CHECK(rows[0].model == "small");
    CHECK(rows[0].upstream == "fake");
    CHECK(rows[0].endpoint == "chat/completions");
    CHECK(rows[0].source == proxy::UsageSource::UpstreamFinal);
    CHECK(rows[0].input == 40);
    CHECK(rows[0].output == 12);
    const std::vector<UsageItem> items{{"input", 40, 200'000}, {"output", 12, 600'000}};
    CHECK(rows[0].items == items);
    CHECK(rows[0].charged == 16_msat);
    CHECK(rows[0].upstream_cost == cost);
}

TEST_CASE("usage: the row names the upstream that answered, and counts what is priced by itself") {
    Node node;
    node.keep_usage();
    node.upstream.script.failure = http::UpstreamFailure::Unreachable;
    node.second.script =
        json_script(R"({"choices":[{"message":{"content":"Hi"}}],"usage":{"prompt_tokens":40,)"
                    R"("completion_tokens":12,"prompt_tokens_details":{"cached_tokens":10},)"
                    R"("completion_tokens_details":{"reasoning_tokens":4}}})");
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, kAsk)};
    node.serve(client);
    const auto rows = list(node, {});
    REQUIRE(rows.size() == 1);
    CHECK(rows[0].upstream == "second");
    CHECK(rows[0].input == 40);
    CHECK(rows[0].output == 12);
    const std::vector<UsageItem> items{{"input", 30, 200'000},
                                       {"cached_input", 10, 200'000},
                                       {"output", 8, 600'000},
                                       {"reasoning", 4, 600'000}};
    CHECK(rows[0].items == items);
}

TEST_CASE("usage: the cost is of the upstream that answered, not of the one that was tried") {
    Node node;
    sell_at_cost(
        node,
        proxy::Price::make(proxy::MsatPrices{.input_per_1k = 100, .output_per_1k = 300}).value());
    node.keep_usage();
    node.upstream.script.failure = http::UpstreamFailure::Unreachable;
    node.second.script = json_script(kAnswer);
    const KeyId key = node.make_key(10'000_msat);
    FakeExchange client{node.request(key, kAsk)};
    node.serve(client);
    const auto rows = list(node, {});
    REQUIRE(rows.size() == 1);
    CHECK(rows[0].upstream == "second");
    CHECK_FALSE(rows[0].upstream_cost.has_value());
}

TEST_CASE("usage: a row says what was sold") {
    Node node;
    node.keep_usage();
    const KeyId key = node.make_key(10'000_msat);
    const auto sold = [&](proxy::Endpoint endpoint, std::string ask, std::string answer) {
        node.upstream.script = json_script(answer);
        FakeExchange client{node.request(key, std::move(ask))};
        node.serve(client, endpoint);
        CHECK(client.status == 200);
        return list(node, {.limit = 1}).at(0);
    };
    const auto completion =
        sold(proxy::Endpoint::Completions, R"({"model":"small","prompt":"Hi","max_tokens":20})",
             R"({"choices":[{"text":"Ho"}],"usage":{"prompt_tokens":4,"completion_tokens":2}})");
    CHECK(completion.endpoint == "completions");
    CHECK(completion.input == 4);
    const auto response =
        sold(proxy::Endpoint::Responses,
             R"({"model":"small","input":"Hi","max_output_tokens":20,"store":false})",
             R"({"status":"completed","output":[],"usage":{"input_tokens":5,"output_tokens":3}})");
    CHECK(response.endpoint == "responses");
    CHECK(response.output == 3);
    const auto embedding = sold(proxy::Endpoint::Embeddings, R"({"model":"vectors","input":"Hi"})",
                                R"({"data":[],"usage":{"prompt_tokens":6,"total_tokens":6}})");
    CHECK(embedding.endpoint == "embeddings");
    CHECK(embedding.model == "vectors");
    CHECK(totals(node, UsageBy::Endpoint).size() == 3);
}

TEST_CASE("usage: all kinds of work stand in a row, each with what it cost") {
    const proxy::Price price = price_of_all();
    const Msat cost = cost_of(price, kAllUsed)->total;
    Node node;
    node.keep_usage();
    const KeyId key = node.make_key(1'000'000_msat);
    charge(node, key, cost,
           {.metered = {kAllUsed, proxy::UsageSource::UpstreamFinal},
            .rates = price.rates_for(kAllUsed.input()),
            .denominator = price.denominator()});
    node.settle();
    const auto rows = list(node, {});
    REQUIRE(rows.size() == 1);
    CHECK(rows[0].input == kAllUsed.input());
    CHECK(rows[0].output == kAllUsed.output());
    REQUIRE(rows[0].items.size() == proxy::kPriceKinds);
    // By its lines alone a buyer comes to the same amount.
    std::int64_t millionths = 0;
    std::int64_t msat_per_million = 1'000;
    for (const UsageItem& item : rows[0].items) {
        CHECK(item.msat_per_million == (item.kind == "audio_ms" ? 29 : msat_per_million));
        msat_per_million += 2'000;
        millionths += item.count * item.msat_per_million;
    }
    CHECK((millionths + 999'999) / 1'000'000 == cost.raw());
    CHECK(rows[0].charged == cost);
    const UsageItem audio{"audio_ms", 1014, 29};
    CHECK(rows[0].items.back() == audio);
    const UsageItem request{"request", 1, 21'000};
    CHECK(rows[0].items[index_of(proxy::PriceKind::Request)] == request);
}

TEST_CASE("usage: what is not charged has no row, and an estimate says that it is one") {
    Node node;
    node.keep_usage();
    const KeyId key = node.make_key(10'000_msat);
    node.upstream.script.failure = http::UpstreamFailure::Timeout;
    FakeExchange unanswered{node.request(key, kAsk)};
    node.serve(unanswered);
    CHECK(list(node, {}).empty());
    node.upstream.script = sse_script({delta("Hello"), kFinish, kDone});
    FakeExchange client{node.request(key, kAskStream)};
    node.serve(client);
    const auto rows = list(node, {});
    REQUIRE(rows.size() == 1);
    CHECK(rows[0].source == proxy::UsageSource::Estimate);
    CHECK(rows[0].charged == *subtract(10'000_msat, node.balance(key).posted));
}

TEST_CASE("usage: a balance's rows are its children's, too; a child's are its own") {
    Node node;
    node.keep_usage();
    const KeyId parent = node.make_key(10'000_msat);
    const KeyId child = node.make_key(0_msat, {}, parent);
    const KeyId other = node.make_key(10'000_msat);
    charge(node, parent, 1_msat);
    charge(node, child, 2_msat);
    charge(node, other, 3_msat);
    node.settle();
    const auto rows = list(node, {.payer = parent});
    REQUIRE(rows.size() == 2);
    CHECK(rows[0].payer == parent);
    CHECK(rows[1].payer == parent);
    const auto own = list(node, {.child = child});
    REQUIRE(own.size() == 1);
    CHECK(own[0].charged == 2_msat);
    CHECK(own[0].child == child);
    CHECK(list(node, {.child = parent}).empty());
    CHECK(list(node, {}).size() == 3);
}

TEST_CASE("usage: rows come newest first, page by page, each of them once") {
    Node node;
    node.keep_usage();
    const KeyId key = node.make_key(10'000_msat);
    for (int i = 1; i <= 25; ++i) {
        charge(node, key, *Msat::from_raw(i));
        if (i % 7 == 0) {
            node.settle();
            node.clock.advance(Seconds{1});
        }
    }
    node.settle();
    UsageQuery query{.payer = key, .limit = 10};
    std::vector<std::int64_t> seen;
    for (const std::size_t size : {10U, 10U, 5U}) {
        const auto page = page_of(node, query);
        CHECK(page.entries.size() == size);
        CHECK(page.next.has_value() == (size == 10));
        for (const UsageEntry& entry : page.entries) seen.push_back(entry.charged.raw());
        query.before = page.next;
    }
    REQUIRE(seen.size() == 25);
    for (std::size_t i = 0; i < seen.size(); ++i) {
        CHECK(seen[i] == 25 - static_cast<std::int64_t>(i));
    }
    CHECK(list(node, {.payer = key, .since = node.clock.now()}).size() == 4);
    CHECK(list(node, {.payer = key, .model = "small"}).size() == 25);
    CHECK(list(node, {.payer = key, .model = "fake"}).empty());
    CHECK(list(node, {.payer = key, .model = "none"}).empty());
}

TEST_CASE("usage: a page that finds little looks at so many rows only, and says where it stopped") {
    Node node;
    node.keep_usage();
    const KeyId key = node.make_key(10'000_msat);
    for (int i = 1; i <= 9; ++i) charge(node, key, *Msat::from_raw(i));
    node.settle();
    UsageQuery query{.payer = key, .model = "vectors", .looked_at_max = 4};
    for (int page = 0; page < 2; ++page) {
        const auto found = page_of(node, query);
        CHECK(found.entries.empty());
        REQUIRE(found.next.has_value());
        query.before = found.next;
    }
    CHECK_FALSE(page_of(node, query).next.has_value());
    CHECK(list(node, {.payer = key, .before = query.before}).size() == 1);
}

TEST_CASE("usage: a charge that seems to fail and is told again has one row") {
    Node node;
    node.till_options.retry_delay = Milliseconds{1};
    node.till_options.pause_timeout = Milliseconds{500};
    node.keep_usage();
    const KeyId key = node.make_key(10'000_msat);
    charge(node, key, 1_msat);
    REQUIRE(node.till->pause(key).has_value());
    charge(node, key, 2_msat);
    node.faulty.lying = true;
    charge(node, key, 3_msat);
    CHECK_FALSE(node.till->pause(key).has_value());
    node.faulty.lying = false;
    REQUIRE(node.till->pause(key).has_value());
    CHECK(list(node, {}).size() == 3);
}

TEST_CASE("usage: what could not be had of a charge is in no row either") {
    Node node;
    node.keep_usage();
    const KeyId key = node.make_key(1000_msat);
    auto open = draw(node, key, 600_msat);
    auto late = draw(node, key, 400_msat);
    node.clock.advance(Seconds{700});
    REQUIRE(node.database->transact([&](store::Tx& tx) -> Result<int, Node::LedgerOrStore> {
        return node.ledger.expire_holds(tx, 100);
    }));
    REQUIRE(node.database->transact([&](store::Tx& tx) -> Result<bool, Node::LedgerOrStore> {
        TRY_VOID(node.ledger.transfer(tx, {.id = TransferId{node.random.bytes<32>()},
                                           .debit = key_account(key),
                                           .credit = {AccountKind::Ecash, "test:sat"},
                                           .amount = 700_msat}));
        return true;
    }));
    (void)open->settle(250_msat);
    (void)late->settle(100_msat);
    node.settle();
    Msat sum;
    for (const UsageEntry& entry : list(node, {})) sum = *add(sum, entry.charged);
    CHECK(sum == 300_msat);
    CHECK(node.balance(key).posted == 0_msat);
}

TEST_CASE("usage: old rows are dropped in steps, and what is left still proves itself") {
    Node node;
    node.keep_usage();
    const KeyId key = node.make_key(10'000_msat);
    for (int i = 0; i < 6; ++i) {
        for (int n = 0; n < 5; ++n) charge(node, key, 1_msat);
        node.settle();
        node.clock.advance(Seconds{60});
    }
    const Time before = node.clock.now() - Seconds{150};  // Four of six.
    while (const std::int64_t transfers = prune(node, before, 3)) CHECK(transfers <= 3);
    CHECK(list(node, {}).size() == 10);
    CHECK(node.usage_faults().empty());
}

TEST_CASE("usage: rows that do not say what was charged are found") {
    Node node;
    node.keep_usage();
    const KeyId key = node.make_key(10'000_msat);
    for (int i = 0; i < 3; ++i) {
        charge(node, key, 10_msat);
        node.settle();
    }
    CHECK(node.usage_faults().empty());
    const std::string newest = " WHERE transfer = (SELECT MAX(transfer) FROM usage_batch)";
    const auto fault = [&](const std::string& sql) {
        execute(node, sql);
        const auto faults = node.usage_faults();
        REQUIRE(faults.size() == 1);
        return faults[0].substr(faults[0].find("charged"));
    };
    SUBCASE("they say more") {
        CHECK(fault("UPDATE usage_batch SET packed = CAST(packed || packed AS BLOB)" + newest) ==
              "charged 10 msat, its rows say 20");
        execute(node,
                "UPDATE usage_batch SET packed = substr(packed, 1, length(packed) / 2)" + newest);
    }
    SUBCASE("they are cut") {
        execute(node, "CREATE TABLE whole AS SELECT transfer, packed FROM usage_batch");
        CHECK(fault("UPDATE usage_batch SET packed = substr(packed, 1, length(packed) - 1)" +
                    newest) == "charged 10 msat, its rows cannot be read");
        execute(node,
                "UPDATE usage_batch SET packed = (SELECT packed FROM whole "
                "WHERE whole.transfer = usage_batch.transfer)");
    }
    SUBCASE("they are of a format that is not known") {
        execute(node, "CREATE TABLE whole AS SELECT transfer, packed FROM usage_batch");
        CHECK(fault("UPDATE usage_batch SET packed = CAST(x'02' || substr(packed, 2) AS BLOB)" +
                    newest) == "charged 10 msat, its rows cannot be read");
        execute(node,
                "UPDATE usage_batch SET packed = (SELECT packed FROM whole "
                "WHERE whole.transfer = usage_batch.transfer)");
    }
    SUBCASE("one is missing, and one is for what was no charge") {
        // The other one is beyond the newest transfer.
        CHECK(fault("UPDATE usage_batch SET transfer = transfer + 1" + newest) ==
              "charged 10 msat, its rows say 0");
        execute(node, "UPDATE usage_batch SET transfer = transfer - 1" + newest);
    }
    CHECK(node.usage_faults().empty());
}

TEST_CASE("usage: rows are kept from when they are wanted, and none is missed before") {
    Node node;
    const KeyId key = node.make_key(10'000_msat);
    charge(node, key, 1_msat);
    node.settle();
    CHECK(list(node, {}).empty());
    node.keep_usage();
    charge(node, key, 2_msat);
    node.keep_usage();  // Another start.
    CHECK(list(node, {}).size() == 1);
    CHECK(node.usage_faults().empty());
    node.keep_usage(false);
    charge(node, key, 3_msat);
    node.keep_usage();
    charge(node, key, 4_msat);
    node.settle();
    CHECK(list(node, {.limit = 1})[0].charged == 4_msat);
    CHECK(node.usage_faults().empty());
}

TEST_CASE("usage: sums by model, key, upstream and day, with the margin where a cost is known") {
    Node node;
    node.keep_usage();
    const KeyId rich = node.make_key(10'000_msat);
    const KeyId poor = node.make_key(10'000_msat);
    const auto work = [&node](std::int64_t input, std::optional<Msat> cost) {
        proxy::UsageRow row;
        row.metered.usage.in_uncached = input;
        row.metered.source = proxy::UsageSource::UpstreamFinal;
        row.upstream = node.row_names.number("second");
        row.upstream_cost = cost;
        return row;
    };
    charge(node, rich, 100_msat, work(7, 60_msat));
    charge(node, rich, 50_msat, work(5, std::nullopt));
    node.settle();
    node.clock.advance(Seconds{86'400});
    charge(node, poor, 30_msat, work(1, 40_msat));
    node.settle();

    const auto models = totals(node, UsageBy::Model);
    REQUIRE(models.size() == 1);
    CHECK(models[0].name == "small");
    CHECK(models[0].requests == 3);
    CHECK(models[0].estimated == 0);
    CHECK(models[0].input == 13);
    CHECK(models[0].charged == 180_msat);
    CHECK(models[0].costed == 2);
    CHECK(models[0].margin() == 30);  // 100 - 60 + 30 - 40

    const auto keys = totals(node, UsageBy::Key);
    REQUIRE(keys.size() == 2);
    CHECK(keys[0].name == rich.hex());
    CHECK(keys[0].charged == 150_msat);
    CHECK(keys[1].name == poor.hex());
    CHECK(keys[1].margin() == -10);

    const auto upstreams = totals(node, UsageBy::Upstream);
    REQUIRE(upstreams.size() == 1);
    CHECK(upstreams[0].name == "second");
    CHECK(upstreams[0].margin() == 30);

    const auto days = totals(node, UsageBy::Day);
    REQUIRE(days.size() == 2);
    CHECK(days[0].name < days[1].name);
    CHECK(days[0].name.size() == 10);
    CHECK(days[1].charged == 30_msat);
    CHECK(totals(node, UsageBy::Day, node.clock.now()).size() == 1);
}

TEST_CASE("usage: names keep their numbers, whatever is sold later") {
    Node node;
    node.keep_usage();
    const std::int64_t small = node.row_names.number("small");
    CHECK(small > 0);
    const std::vector<std::string> more{"large", "small"};
    const auto names = proxy::UsageRowNames::intern(*node.database, more).value();
    CHECK(names.number("small") == small);
    CHECK(names.number("large") != small);
    CHECK(names.number("never") == 0);
}

TEST_CASE("usage: wherever a till dies, each charge that is in the books has its row") {
    int died = 0;
    for (std::int64_t n = 1;; ++n) {
        CAPTURE(n);
        Node node{"sqlite::memory:"};
        node.till_options.post_delay = Milliseconds{60'000};
        node.till_options.retry_delay = Milliseconds{1};
        node.till_options.pause_timeout = Milliseconds{100};
        node.keep_usage();
        const KeyId key = node.make_key(10'000_msat);
        node.close();
        CrashDatabase dying{*node.database};
        node.till_database = &dying;
        node.open();
        dying.crash_at(n);
        for (int i = 0; i < 6; ++i) {
            if (auto drawn = draw(node, key, 100_msat)) (void)drawn->settle(7_msat);
            if (i % 2 == 1 && !dying.crashed()) (void)node.till->pause(key);
        }
        node.close();
        node.till_database = &node.faulty;
        REQUIRE(node.database->transact([&](store::Tx& tx) -> Result<bool, Node::LedgerOrStore> {
            node.ledger.release_holds_of_requests(tx);
            node.keyring.release_admissions(tx);
            return true;
        }));
        node.open();
        CHECK(list(node, {}).size() == static_cast<std::size_t>(node.record(key).total_requests));
        CHECK(node.usage_faults().empty());
        if (!dying.crashed()) break;
        ++died;
    }
    CHECK(died > 30);
}
