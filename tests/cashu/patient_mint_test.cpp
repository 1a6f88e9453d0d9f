// The manners of our calls: never too many at once, and none while a mint wants to be left alone.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <latch>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "contract/mint_client_contract.h"
#include "nutgate/http/client.h"
#include "support/fixed_clock.h"
#include "support/scripted_http.h"
#include "support/seeded_random.h"

using namespace nutgate;
using namespace nutgate::cashu;
using test::FixedClock;
using test::MintWorld;

namespace {

using Answer = Result<MintAnswer, MintFailure>;

// Answers 200, or what it is told to.
class CountingMint final : public MintClient {
public:
    using Work = std::function<Answer()>;

    void then(Answer answer) {
        const std::lock_guard lock{mutex_};
        next_.push_back(std::move(answer));
    }
    void set_work(Work work) { work_ = std::move(work); }
    int calls() const {
        const std::lock_guard lock{mutex_};
        return calls_;
    }

    Answer call(MintMethod, std::string_view, std::string_view) override {
        {
            const std::lock_guard lock{mutex_};
            ++calls_;
            if (!next_.empty()) {
                auto answer = std::move(next_.front());
                next_.pop_front();
                return answer;
            }
        }
        return work_ ? work_() : MintAnswer{200, "{}"};
    }

private:
    mutable std::mutex mutex_;
    std::deque<Answer> next_;  // Guarded by mutex_, as is calls_.
    int calls_ = 0;
    Work work_;
};

struct Patience {
    explicit Patience(PatientMintOptions options = {}) {
        options.name = "https://mint.example";
        client = make_patient_mint(mint, options, clock, random, metrics);
    }
    Answer get() { return client->call(MintMethod::Get, "/v1/keysets", ""); }
    Answer post(std::string_view path) { return client->call(MintMethod::Post, path, "{}"); }
    bool is_withheld() {
        const int before = mint.calls();
        const auto answer = get();
        if (answer) return false;
        CHECK_EQ(answer.error(), MintFailure::NotSent);
        CHECK_EQ(mint.calls(), before);
        return true;
    }
    // Whole seconds until a call goes out again, which it then does.
    int seconds_of_silence() {
        int seconds = 0;
        while (is_withheld()) {
            clock.advance(Seconds{1});
            ++seconds;
        }
        return seconds;
    }
    bool shows(const std::string& line) const {
        return metrics.text().find(line) != std::string::npos;
    }

    CountingMint mint;
    FixedClock clock;
    test::SeededRandom random;
    metrics::Registry metrics;
    std::unique_ptr<MintClient> client;
};

MintAnswer too_many(std::optional<Seconds> wait = std::nullopt) {
    return {429, R"({"detail":"slow down"})", wait};
}

}  // namespace

TEST_CASE("patient mint: it keeps the contract of a mint client") {
    MintWorld world;
    const auto local = make_local_mint(*world.mint);
    FixedClock clock;
    test::SeededRandom random;
    metrics::Registry metrics;
    const auto client = make_patient_mint(*local, {.name = "local"}, clock, random, metrics);
    test::contract::mint_client(*client, world);
}

TEST_CASE("patient mint: of 200 callers at once, calls_max are at the mint, and all get there") {
    constexpr std::size_t kCallers = 200;
    constexpr std::size_t kAtOnce = 16;
    Patience patience{{.calls_max = kAtOnce}};
    // Each round is let go once it is full, or all that are left are in it: were fewer let in than
    // may be, no round would be full, and the test would not end.
    std::mutex mutex;
    std::condition_variable changed;
    std::size_t inside = 0;
    std::size_t most = 0;
    std::size_t entered = 0;
    std::size_t rounds = 0;
    patience.mint.set_work([&]() -> Answer {
        std::unique_lock lock{mutex};
        most = std::max(most, ++inside);
        ++entered;
        const auto round = (entered - 1) / kAtOnce;
        if (entered % kAtOnce == 0 || entered == kCallers) {
            ++rounds;
            changed.notify_all();
        }
        changed.wait(lock, [&] { return rounds > round; });
        --inside;
        return MintAnswer{200, "{}"};
    });
    std::latch start{kCallers};
    std::vector<std::jthread> callers;
    std::atomic<int> answered = 0;
    for (std::size_t i = 0; i < kCallers; ++i) {
        callers.emplace_back([&] {
            start.arrive_and_wait();
            if (patience.post("/v1/swap")) ++answered;
        });
    }
    callers.clear();
    CHECK_EQ(answered.load(), static_cast<int>(kCallers));
    CHECK_EQ(patience.mint.calls(), static_cast<int>(kCallers));
    CHECK_EQ(most, kAtOnce);
    CHECK_EQ(rounds, (kCallers + kAtOnce - 1) / kAtOnce);
    CHECK(patience.shows(R"(nutgate_mint_calls_total{mint="https://mint.example"} 200)"));
    CHECK(patience.shows(R"(nutgate_mint_calls_in_flight{mint="https://mint.example"} 0)"));
}

TEST_CASE("patient mint: who waits in vain for a turn was not sent, and takes no turn with him") {
    Patience patience{{.calls_max = 1, .turn_timeout = Milliseconds{30}}};
    std::latch is_inside{1};
    std::latch may_leave{1};
    patience.mint.set_work([&]() -> Answer {
        is_inside.count_down();
        may_leave.wait();
        return MintAnswer{200, "{}"};
    });
    std::jthread first{[&] { CHECK(patience.get()); }};
    is_inside.wait();
    CHECK(patience.is_withheld());
    CHECK(patience.is_withheld());
    CHECK(patience.shows(R"(nutgate_mint_calls_withheld_total{mint="https://mint.example"} 2)"));
    may_leave.count_down();
    first.join();
    patience.mint.set_work({});
    CHECK(patience.get());
}

TEST_CASE("patient mint: after a 429 nothing is sent, of no kind, until the back-off ends") {
    Patience patience;
    patience.mint.then(too_many());
    const auto refused = patience.post("/v1/swap");
    REQUIRE(refused);
    CHECK_EQ(refused->status, 429);
    for (const char* path : {"/v1/swap", "/v1/checkstate", "/v1/restore", "/v1/mint/bolt11"}) {
        const auto answer = patience.post(path);
        REQUIRE_FALSE(answer);
        CHECK_EQ(answer.error(), MintFailure::NotSent);
    }
    CHECK(patience.is_withheld());
    CHECK_EQ(patience.mint.calls(), 1);
    CHECK(patience.shows(R"(nutgate_mint_rate_limited_total{mint="https://mint.example"} 1)"));
    patience.clock.advance(Milliseconds{999});
    CHECK(patience.is_withheld());
    patience.clock.advance(Milliseconds{251});  // And a quarter of a second, by chance.
    CHECK(patience.get());
}

TEST_CASE("patient mint: the back-off doubles up to a minute, and a success ends that") {
    Patience patience;
    for (const int seconds : {1, 2, 4, 8, 16, 32, 60, 60}) {
        CAPTURE(seconds);
        patience.mint.then(too_many());
        REQUIRE(patience.get());
        // The call that ends the silence is answered as the next round wants it.
        int silence = 0;
        while (patience.clock.advance(Seconds{1}), silence + 1 < seconds) {
            ++silence;
            CHECK(patience.is_withheld());
        }
        patience.clock.advance(Milliseconds{seconds * 250});
    }
    CHECK(patience.get());  // A success.
    patience.mint.then(too_many());
    REQUIRE(patience.get());
    const int silence = patience.seconds_of_silence();
    CHECK(silence >= 1);
    CHECK(silence <= 2);
}

TEST_CASE("patient mint: what a mint asks for is kept to, up to ten minutes") {
    Patience patience;
    patience.mint.then(too_many(Seconds{90}));
    REQUIRE(patience.get());
    CHECK_EQ(patience.seconds_of_silence(), 90);
    patience.mint.then(too_many(Seconds{86'400}));
    REQUIRE(patience.get());
    CHECK_EQ(patience.seconds_of_silence(), 600);
    // Less than our own back-off does not shorten it.
    patience.mint.then(too_many(Seconds{0}));
    REQUIRE(patience.get());
    CHECK(patience.is_withheld());
}

TEST_CASE("patient mint: a 503 that says until when counts as a 429; one that does not, does not") {
    Patience patience;
    patience.mint.then(MintAnswer{503, "maintenance", Seconds{30}});
    REQUIRE(patience.get());
    CHECK_EQ(patience.seconds_of_silence(), 30);
    patience.mint.then(MintAnswer{503, "oops"});
    REQUIRE(patience.get());
    CHECK_FALSE(patience.is_withheld());
    patience.mint.then(fail(MintFailure::Ambiguous));
    CHECK_EQ(patience.get().error(), MintFailure::Ambiguous);
    CHECK_FALSE(patience.is_withheld());
    CHECK(patience.shows(R"(nutgate_mint_call_failures_total{mint="https://mint.example"} 3)"));
}

TEST_CASE(
    "patient mint: many calls refused at once are one refusal, and a late success ends none") {
    Patience patience{{.calls_max = 8}};
    std::latch are_inside{8};
    std::atomic<int> number = 0;
    patience.mint.set_work([&]() -> Answer {
        const int mine = number++;
        are_inside.arrive_and_wait();
        return mine == 0 ? MintAnswer{200, "{}"} : too_many();
    });
    {
        std::vector<std::jthread> callers;
        for (int i = 0; i < 8; ++i) callers.emplace_back([&] { CHECK(patience.get()); });
    }
    patience.mint.set_work({});
    // One second, and not 2^6; and not none.
    const int silence = patience.seconds_of_silence();
    CHECK(silence >= 1);
    CHECK(silence <= 2);
}

TEST_CASE("patient mint: a refusal reaches those that wait for a turn") {
    Patience patience{{.calls_max = 1}};
    std::latch is_inside{1};
    std::latch may_leave{1};
    patience.mint.set_work([&]() -> Answer {
        is_inside.count_down();
        may_leave.wait();
        return too_many();
    });
    std::jthread first{[&] { CHECK_EQ(patience.get()->status, 429); }};
    is_inside.wait();
    std::vector<std::jthread> others;
    std::atomic<int> withheld = 0;
    for (int i = 0; i < 10; ++i) {
        others.emplace_back([&] { withheld += patience.get() ? 0 : 1; });
    }
    may_leave.count_down();
    first.join();
    others.clear();
    CHECK_EQ(withheld.load(), 10);
    CHECK_EQ(patience.mint.calls(), 1);
}

TEST_CASE("patient mint: a clock that is set back keeps no mint waiting for ever") {
    Patience patience;
    patience.mint.then(too_many());
    REQUIRE(patience.get());
    patience.clock.set(patience.clock.now() - Seconds{86'400});
    CHECK_FALSE(patience.is_withheld());
}

TEST_CASE("mint client: Retry-After is read, as seconds or as a date by the mint's own clock") {
    test::ScriptedHttp http;
    const auto client = make_remote_mint(*MintUrl::parse("https://mint.example"), http);
    const auto wait_of = [&](http::Headers headers) {
        http.then([headers](const http::ClientRequest&) -> test::ScriptedHttp::Outcome {
            return http::Response{.status = 429, .headers = headers, .body = "{}"};
        });
        const auto answer = client->call(MintMethod::Get, "/v1/keys", "");
        REQUIRE(answer);
        return answer->retry_after;
    };
    CHECK_FALSE(wait_of({}));
    CHECK_EQ(wait_of({{"Retry-After", "17"}}), Seconds{17});
    CHECK_EQ(wait_of({{"retry-after", "0"}}), Seconds{0});
    const char* const date = "Fri, 20 Nov 2026 15:40:01 GMT";
    CHECK_EQ(wait_of({{"Date", date}, {"Retry-After", "Fri, 20 Nov 2026 15:42:01 GMT"}}),
             Seconds{120});
    CHECK_EQ(wait_of({{"Date", date}, {"Retry-After", "Fri, 20 Nov 2026 15:30:00 GMT"}}),
             Seconds{0});
    CHECK_FALSE(wait_of({{"Retry-After", "Fri, 20 Nov 2026 15:42:01 GMT"}}));
    for (const char* odd : {"-1", "1.5", "soon", "", "99999999999999999999", "12 s"}) {
        CAPTURE(odd);
        CHECK_FALSE(wait_of({{"Date", date}, {"Retry-After", odd}}));
    }
}
