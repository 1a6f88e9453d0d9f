#include "contract/mint_client_contract.h"
#include "nutgate/cashu/wallet.h"
#include "nutgate/http/client.h"
#include "nutgate/http/server.h"
#include "support/dies.h"
#include "support/recording_settler.h"
#include "support/scripted_http.h"

using namespace nutgate;
using namespace nutgate::cashu;
using test::MintWorld;
using test::RecordingSettler;

namespace {

// The mint of a world behind the real server, below a base path, as the public face has it.
class ServedMint {
public:
    explicit ServedMint(MintWorld& world) : server_{options(), metrics_} {
        for (const auto method : {http::Method::Get, http::Method::Post}) {
            server_.route_blocking(
                {.method = method, .pattern = "/mint/{rest*}", .body_bytes_max = 0},
                [&world, method](const http::Request& request) {
                    const auto answer = world.mint->handle(
                        method == http::Method::Get ? MintMethod::Get : MintMethod::Post,
                        request.path.substr(std::string_view{"/mint"}.size()), request.body);
                    return http::json_response(answer.status, answer.body);
                });
        }
        REQUIRE(server_.start());
        client_ = http::make_client({.connections_per_host_max = 4,
                                     .ca_file = "",
                                     .open_transactions = store::open_on_this_thread});
        mint_ = make_remote_mint(
            *MintUrl::parse("http://127.0.0.1:" + std::to_string(server_.port()) + "/mint"),
            *client_);
    }
    MintClient& client() { return *mint_; }

private:
    static http::Server::Options options() {
        http::Server::Options options;
        options.data_threads = 1;
        return options;
    }

    metrics::Registry metrics_;
    http::Server server_;
    std::unique_ptr<http::Client> client_;
    std::unique_ptr<MintClient> mint_;
};

constexpr const char* kPublicUrl = "http://127.0.0.1:8402/mint";

// A wallet on the mint's own database, as the embedded one is.
struct Home {
    Home(MintWorld& world, MintClient& client) : world_{world} {
        REQUIRE(Wallet::migrate(*world.database));
        RecordingSettler::migrate(*world.database);
        wallet = std::make_unique<Wallet>(*world.database,
                                          std::vector{WalletMint{.url = MintUrl::embedded(),
                                                                 .also_known_as = {},
                                                                 .token_url = kPublicUrl,
                                                                 .client = &client}},
                                          Secret{Bytes(64, std::byte{9})}, settler, world.clock,
                                          world.random, world.metrics);
    }
    nutgate::Msat available() {
        const auto balances = world_.database->read(
            [](store::Reader& reader) -> Result<std::vector<MintBalance>, store::StoreFailure> {
                return Wallet::balances(reader);
            });
        REQUIRE(balances);
        return balances->empty() ? nutgate::Msat{} : balances->front().available;
    }
    using Id = Result<OperationId, WalletError>;
    Result<void, WalletError> receive(const Token& token, const std::string& reference) {
        TRY(const auto prepared, wallet->prepare_receive(token));
        TRY(const auto id, world_.database->transact([&](store::Tx& tx) -> Id {
            return wallet->begin_receive(tx, *prepared, reference);
        }));
        return wallet->execute(id);
    }
    Result<void, WalletError> send(nutgate::Msat amount, const std::string& reference) {
        TRY(const auto prepared, wallet->prepare_send(amount, std::nullopt));
        TRY(const auto id, world_.database->transact([&](store::Tx& tx) -> Id {
            return wallet->begin_send(tx, *prepared, reference);
        }));
        return wallet->execute(id);
    }

    MintWorld& world_;
    RecordingSettler settler;
    std::unique_ptr<Wallet> wallet;
};

// All three operations against a real mint; its world audits itself when it goes.
void a_day_in_the_life(MintWorld& world, MintClient& client) {
    Home home{world, client};
    const auto quote = home.wallet->request_quote(MintUrl::embedded(), 100'000_msat, "top-up");
    REQUIRE(quote);
    const auto payment = parse_bolt11(quote->bolt11)->payment_hash;
    CHECK_EQ(home.wallet->settle_quote(payment)->state, PaymentState::Pending);
    world.lightning.mark_paid(payment, 100'000_msat);
    world.clock.advance(Milliseconds{500});
    CHECK_EQ(home.wallet->settle_quote(payment)->state, PaymentState::Settled);
    CHECK_EQ(home.available(), 100'000_msat);

    // A customer's token, which names the mint by an address that we never heard of.
    Token token{*MintUrl::parse("http://nutgate.local/mint"), "sat", std::nullopt,
                world.buy({32, 8, 1})};
    const auto read = home.wallet->read_token(write_token(token));
    REQUIRE(read);
    CHECK(read->mint.is_embedded());
    CHECK(home.receive(*read, "a"));
    CHECK_FALSE(home.receive(*read, "b"));

    CHECK(home.send(7'000_msat, "s"));
    CHECK(home.send(60'000_msat, "t"));
    const auto sent = RecordingSettler::told(*world.database, "sent");
    REQUIRE_EQ(sent.size(), 2);
    auto held = home.available();
    for (const auto& event : sent) {
        const auto given = parse_token(event.token);
        REQUIRE(given);
        CHECK_EQ(given->mint.text(), kPublicUrl);
        for (const auto& proof : given->proofs) {
            CHECK_EQ(world.state(proof), wire::ProofState::Unspent);
        }
        held = add(held, event.amount).value();
    }
    CHECK_EQ(held, test::audit(*world.database));
    CHECK_EQ(home.wallet->recover()->waiting, 0);
}

}  // namespace

TEST_CASE("mint client: local") {
    MintWorld world;
    const auto client = make_local_mint(*world.mint);
    test::contract::mint_client(*client, world);
}

TEST_CASE("mint client: remote, below a base path") {
    MintWorld world;
    ServedMint served{world};
    test::contract::mint_client(served.client(), world);
}

TEST_CASE("wallet: it issues, receives and sends at the mint in this process") {
    for (const std::uint64_t ppk : {0U, 250U}) {
        MintWorld world{{.input_fee_ppk = ppk}};
        const auto client = make_local_mint(*world.mint);
        a_day_in_the_life(world, *client);
    }
}

TEST_CASE("wallet: it issues, receives and sends at a mint behind HTTP") {
    MintWorld world{{.input_fee_ppk = 100}};
    ServedMint served{world};
    a_day_in_the_life(world, served.client());
}

TEST_CASE("mint client: what the network did is told as what is known of it") {
    using Kind = http::ClientError::Kind;
    test::ScriptedHttp http;
    const auto client = make_remote_mint(*MintUrl::parse("https://Mint.Example/base/"), http);
    const auto ask = [&] { return client->call(MintMethod::Post, "/v1/swap", "{}"); };
    http.then(http.failure(Kind::NotSent));
    CHECK_EQ(ask().error(), MintFailure::NotSent);
    http.then(http.failure(Kind::Invalid));
    CHECK_EQ(ask().error(), MintFailure::NotSent);
    http.then(http.failure(Kind::Ambiguous));
    CHECK_EQ(ask().error(), MintFailure::Ambiguous);
    http.then(http.failure(Kind::TooLarge));
    CHECK_EQ(ask().error(), MintFailure::Ambiguous);
    for (const int status : {200, 302, 400, 429, 502}) {
        http.then(http.answer(status, "body"));
        CHECK_EQ(ask()->status, status);
    }
    for (const auto& call : http.calls()) CHECK_EQ(call.url, "https://mint.example/base/v1/swap");
}

TEST_CASE("mint client: a call within a transaction is a bug that ends the process") {
    CHECK(test::dies([] {
        MintWorld world;
        const auto client = make_local_mint(*world.mint);
        using Done = Result<bool, store::StoreFailure>;
        const auto done = world.database->transact([&](store::Tx&) -> Done {
            return client->call(MintMethod::Get, "/v1/keysets", "").has_value();
        });
        static_cast<void>(done);
    }));
}
