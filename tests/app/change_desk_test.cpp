#include "change_desk.h"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <semaphore>
#include <thread>
#include <vector>

using namespace nutgate;
using app::ChangeDesk;

namespace {

using Given = Result<std::string, http::ApiError>;
const KeyId kKey{ByteArray<KeyId::kSize>{}};
constexpr Milliseconds kLong{3'600'000};

Given ask(ChangeDesk& desk) {
    std::promise<Given> given;
    desk.give(kKey, [&given](Given result) { given.set_value(std::move(result)); });
    return given.get_future().get();
}

}  // namespace

TEST_CASE("change desk: what the refund says is what is answered") {
    Scheduler scheduler;
    Given refund{std::string{"cashuB"}};
    ChangeDesk desk{[&](const KeyId& key) {
                        CHECK(key == kKey);
                        return refund;
                    },
                    scheduler, kLong};
    CHECK(ask(desk).value() == "cashuB");
    refund = std::string{};
    CHECK(ask(desk).value().empty());
    refund = fail(http::ApiError{.status = 503, .code = "mint_insufficient", .message = "No."});
    CHECK(ask(desk).error().code == "mint_insufficient");
}

TEST_CASE("change desk: a mint that hangs keeps no answer back, and its refund goes on") {
    std::binary_semaphore mint_answers{0};
    std::atomic<int> refunds = 0;
    std::atomic<int> answers = 0;
    Scheduler scheduler;
    {
        ChangeDesk desk{[&](const KeyId&) -> Given {
                            mint_answers.acquire();
                            ++refunds;
                            return std::string{"cashuB"};
                        },
                        scheduler, Milliseconds{1}};
        std::promise<Given> given;
        desk.give(kKey, [&](Given result) {
            ++answers;
            given.set_value(std::move(result));
        });
        CHECK(given.get_future().get().error().code == "change_late");
        CHECK(refunds == 0);
        mint_answers.release();
    }
    CHECK(refunds == 1);
    CHECK(answers == 1);
}

TEST_CASE("change desk: beyond its bound it answers at once, and at its end everybody") {
    constexpr std::size_t kAsked = ChangeDesk::kThreads + ChangeDesk::kWaitingMax + 8;
    std::counting_semaphore<> mint_answers{0};
    std::counting_semaphore<> begun{0};
    std::atomic<std::size_t> answers = 0;
    std::atomic<std::size_t> refused = 0;
    Scheduler scheduler;
    {
        ChangeDesk desk{[&](const KeyId&) -> Given {
                            begun.release();
                            mint_answers.acquire();
                            return std::string{"cashuB"};
                        },
                        scheduler, kLong};
        const auto count = [&](const Given& result) {
            ++answers;
            if (!result && result.error().code == "overloaded") ++refused;
        };
        for (std::size_t i = 0; i < ChangeDesk::kThreads; ++i) desk.give(kKey, count);
        for (std::size_t i = 0; i < ChangeDesk::kThreads; ++i) begun.acquire();
        for (std::size_t i = ChangeDesk::kThreads; i < kAsked; ++i) desk.give(kKey, count);
        CHECK(refused == 8);
        CHECK(answers == 8);
        mint_answers.release(kAsked);
    }
    CHECK(answers == kAsked);
}
