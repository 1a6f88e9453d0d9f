#include "nostr_relays.h"

#include <doctest/doctest.h>

#include <atomic>
#include <deque>
#include <future>
#include <list>
#include <mutex>
#include <semaphore>
#include <vector>

#include "fake_relay.h"
#include "support/fixed_clock.h"

using namespace nutgate;
using namespace nutgate::lightning;
using namespace nutgate::test;
using Verdict = FakeRelay::Verdict;

namespace {

constexpr int kProfile = 10'001;
constexpr int kRequest = 20'001;
constexpr int kAnswer = 20'002;
constexpr int kNote = 20'003;
constexpr Milliseconds kTimeout{60'000};  // Longer than any of these tests: it is the clock's.

const crypto::Scalar kOurs = *crypto::Scalar::from_hex(std::string(64, '3'));
const crypto::Scalar kPeer = *crypto::Scalar::from_hex(std::string(64, '5'));
const crypto::Scalar kStranger = *crypto::Scalar::from_hex(std::string(64, '7'));

ByteArray<32> x_of(const crypto::Scalar& key) { return crypto::generator_times(key).x_only(); }

// A client at some relays, and whom it speaks with.
struct World {
    explicit World(std::size_t relay_count = 1) : relays(relay_count) {}
    ~World() { client.reset(); }
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    FakeRelay& relay(std::size_t i = 0) { return *std::next(relays.begin(), static_cast<int>(i)); }

    void open(Milliseconds patience = Milliseconds{20}) {
        RelayOptions options;
        options.name = "test";
        for (const auto& one : relays) options.urls.push_back(one.url());
        options.peer = x_of(kPeer);
        options.profile_kind = kProfile;
        options.answer_kind = kAnswer;
        options.note_kinds = {kNote};
        options.patience = patience;
        options.backoff_first = Milliseconds{5};
        options.backoff_max = Milliseconds{20};
        client = std::make_unique<NostrRelays>(std::move(options), kOurs, sockets, clock, random,
                                               [this](const NostrEvent& event) {
                                                   const std::lock_guard lock{mutex};
                                                   ++notes;
                                                   heard_notes.push_back(event.content);
                                                   noted.release();
                                               });
    }
    Json signed_by(const crypto::Scalar& key, int kind, std::vector<NostrTag> tags,
                   std::string content, Seconds later = Seconds{0}) {
        return to_json(sign_event({.created_at = to_unix_seconds(clock.now() + later),
                                   .kind = kind,
                                   .tags = std::move(tags),
                                   .content = std::move(content)},
                                  key, random));
    }
    NostrEvent request() {
        return *read_event(signed_by(kOurs, kRequest, {{"p", to_hex(x_of(kPeer))}},
                                     "question " + std::to_string(++questions)));
    }
    Json answer_to(const Json& request, const std::string& content = "answer") {
        return signed_by(kPeer, kAnswer,
                         {{"p", to_hex(x_of(kOurs))}, {"e", request.at("id").get<std::string>()}},
                         content);
    }
    Json note(const std::string& content) {
        return signed_by(kPeer, kNote, {{"p", to_hex(x_of(kOurs))}}, content);
    }
    std::string next_note() {
        noted.acquire();
        const std::lock_guard lock{mutex};
        auto note = heard_notes.front();
        heard_notes.pop_front();
        return note;
    }
    // Time passes for who waits.
    void end_of_time(FakeRelay& at) {
        clock.advance(kTimeout + Seconds{1});
        at.send(R"(["NOTICE","it is late"])");
    }

    FixedClock clock;
    crypto::SystemRandom random;
    metrics::Registry metrics;
    std::list<FakeRelay> relays;
    http::WebSockets sockets{{}, metrics};
    std::atomic<int> notes = 0;
    std::atomic<int> questions = 0;
    std::mutex mutex;
    std::deque<std::string> heard_notes;  // Guarded by mutex.
    std::counting_semaphore<1024> noted{0};
    std::unique_ptr<NostrRelays> client;
};

}  // namespace

TEST_CASE("relays: nothing is published where nothing was subscribed at before") {
    World world;
    world.relay().on_publish([&](const Json& event) {
        world.relay().publish(world.answer_to(event));
        return Verdict::Taken;
    });
    world.open();
    const auto answer = world.client->ask(world.request(), Repeat::No, kTimeout);
    REQUIRE(answer.has_value());
    CHECK_EQ(answer->content, "answer");
    auto log = world.relay().log();
    log.resize(4);  // What was subscribed is given back afterwards.
    CHECK_EQ(log, (std::vector<std::string>{"REQ", "REQ", "REQ", "EVENT"}));
}

TEST_CASE("relays: an event counts once, however many relays bring it, and one is enough") {
    World world{3};
    // The first takes what it is given and hands it to nobody; the third has everything twice.
    for (std::size_t i = 1; i < 3; ++i) {
        world.relay(i).on_publish([&world, i](const Json& event) {
            const auto answer = world.answer_to(event);
            world.relay(i).publish(answer);
            if (i == 2) world.relay(i).publish(answer);
            return Verdict::Taken;
        });
    }
    world.open();
    for (std::size_t i = 0; i < 3; ++i) world.relay(i).wait_for_subscribed(1);
    CHECK(world.client->ask(world.request(), Repeat::Yes, kTimeout).has_value());
    const auto note = world.note("once");
    for (int round = 0; round < 2; ++round) {
        for (std::size_t i = 0; i < 3; ++i) world.relay(i).publish(note);
    }
    for (std::size_t i = 0; i < 3; ++i) {
        world.relay(i).publish(world.note("last of " + std::to_string(i)));
        if (i == 0) CHECK_EQ(world.next_note(), "once");
        CHECK_EQ(world.next_note(), "last of " + std::to_string(i));
    }
    CHECK_EQ(world.notes, 4);
}

TEST_CASE("relays: what a hostile one makes up changes nothing") {
    World world;
    world.relay().on_publish([&](const Json& event) {
        FakeRelay& relay = world.relay();
        const std::string ours = to_hex(x_of(kOurs));
        const auto id = event.at("id").get<std::string>();
        const std::string asked = "ask-" + id.substr(0, 32);
        auto forged = world.answer_to(event, "forged");
        forged["content"] = "another";
        relay.send(Json::array({"EVENT", asked, forged}).dump());
        forged = world.answer_to(event, "forged");
        forged["sig"] = std::string(128, '0');
        relay.send(Json::array({"EVENT", asked, forged}).dump());
        for (const Json& other :
             {world.signed_by(kStranger, kAnswer, {{"p", ours}, {"e", id}}, "stranger's"),
              world.signed_by(kPeer, kAnswer, {{"p", ours}, {"e", std::string(64, 'a')}}, "else's"),
              world.signed_by(kPeer, kAnswer, {{"p", ours}}, "nobody's"),
              world.signed_by(kPeer, kAnswer, {{"p", to_hex(x_of(kStranger))}, {"e", id}},
                              "theirs"),
              world.signed_by(kPeer, kNote + 7, {{"p", ours}, {"e", id}}, "of another kind")}) {
            relay.send(Json::array({"EVENT", asked, other}).dump());
        }
        relay.send(Json::array({"EVENT", "another subscription", world.answer_to(event)}).dump());
        relay.send("no JSON");
        relay.send(R"(["EOSE","what?"])");
        relay.send(R"(["OK",")" + id + R"(",5])");
        relay.publish(world.answer_to(event, "true"));
        return Verdict::Taken;
    });
    world.open();
    const auto answer = world.client->ask(world.request(), Repeat::No, kTimeout);
    REQUIRE(answer.has_value());
    CHECK_EQ(answer->content, "true");
    CHECK_EQ(world.notes, 0);
}

TEST_CASE("relays: a forged note does not make us deaf for the true one of the same id") {
    World world;
    world.open();
    world.relay().wait_for_subscribed(1);
    const auto note = world.note("true");
    auto forged = note;
    forged["sig"] = std::string(128, '1');
    world.relay().publish(forged);
    world.relay().publish(note);
    CHECK_EQ(world.next_note(), "true");
    CHECK_EQ(world.notes, 1);
}

TEST_CASE("relays: one that sends without end is left alone, and another serves meanwhile") {
    const auto check = [](const std::string& flood) {
        World world{2};
        world.relay(1).on_publish([&](const Json& event) {
            world.relay(1).publish(world.answer_to(event));
            return Verdict::Taken;
        });
        world.open();
        world.relay(0).wait_for_subscribed(1);
        world.relay(1).wait_for_subscribed(1);
        world.relay(0).flood(flood);
        world.relay(0).wait_for_departures(1);
        CHECK(world.client->ask(world.request(), Repeat::No, kTimeout).has_value());
        CHECK_EQ(world.client->ready(), 1);
        CHECK_EQ(world.notes, 0);
    };
    SUBCASE("with what is wrong") { check(R"(["EVENT","notes",{"id":"no"}])"); }
    SUBCASE("with what is right") { check(R"(["NOTICE","hello"])"); }
}

TEST_CASE("relays: what may be repeated is told to a relay that comes back, the rest is not") {
    World world;
    std::atomic<int> heard = 0;
    world.relay().on_publish([&](const Json& event) {
        if (++heard == 2) world.relay().publish(world.answer_to(event));
        return Verdict::Silence;
    });
    world.open(kTimeout);
    auto asked = std::async(std::launch::async, [&] {
        return world.client->ask(world.request(), Repeat::Yes, kTimeout);
    });
    world.relay().wait_for("EVENT", 1);
    world.relay().stop();
    world.relay().start();
    CHECK(asked.get().has_value());
    CHECK_EQ(heard, 2);
    // As with a payment: nobody knows whether it was heard.
    auto once = std::async(std::launch::async, [&] {
        return world.client->ask(world.request(), Repeat::No, kTimeout);
    });
    world.relay().wait_for("EVENT", 3);
    world.relay().stop();
    world.relay().start();
    world.relay().wait_for_subscribed(1);
    world.end_of_time(world.relay());
    CHECK_EQ(once.get().error(), RelayError::NoAnswer);
    CHECK_EQ(heard, 3);
}

TEST_CASE("relays: what may not be repeated is given to one relay alone") {
    World world{3};
    std::atomic<int> heard = 0;
    for (std::size_t i = 0; i < 3; ++i) {
        world.relay(i).on_publish([&](const Json&) {
            ++heard;
            return Verdict::Refused;
        });
    }
    world.open();
    for (std::size_t i = 0; i < 3; ++i) world.relay(i).wait_for_subscribed(1);
    while (world.client->ready() < 3) std::this_thread::yield();
    CHECK_EQ(world.client->ask(world.request(), Repeat::No, kTimeout).error(),
             RelayError::NotTaken);
    for (std::size_t i = 0; i < 3; ++i) world.relay(i).wait_for("CLOSE", 1);
    CHECK_EQ(heard, 1);
    CHECK_EQ(world.client->ask(world.request(), Repeat::Yes, kTimeout).error(),
             RelayError::NotTaken);
    CHECK_EQ(heard, 4);
}

TEST_CASE("relays: an answer that comes late finds nobody, and the next one its own") {
    World world;
    std::vector<Json> heard;
    world.relay().on_publish([&](const Json& event) {
        heard.push_back(event);
        if (heard.size() == 1) {
            world.end_of_time(world.relay());
        } else {
            world.relay().publish(world.answer_to(heard.front(), "late"));
            world.relay().publish(world.answer_to(event, "in time"));
        }
        return Verdict::Taken;
    });
    world.open();
    CHECK_EQ(world.client->ask(world.request(), Repeat::No, kTimeout).error(),
             RelayError::NoAnswer);
    CHECK_EQ(world.client->ask(world.request(), Repeat::No, kTimeout)->content, "in time");
}

TEST_CASE("relays: not sent, not taken and not answered are told apart") {
    World world{2};
    world.relay(0).on_publish([](const Json&) { return Verdict::Refused; });
    world.relay(1).on_publish([](const Json&) { return Verdict::Refused; });
    world.open();
    world.relay(0).wait_for_subscribed(1);
    world.relay(1).wait_for_subscribed(1);
    CHECK_EQ(world.client->ask(world.request(), Repeat::No, kTimeout).error(),
             RelayError::NotTaken);
    world.relay(0).stop();
    world.relay(1).stop();
    // Until it has seen that they are gone, it may think that it sent something.
    auto error = RelayError::NoAnswer;
    while (error != RelayError::NotSent) {
        error = world.client->ask(world.request(), Repeat::No, kTimeout).error();
        CHECK_NE(error, RelayError::NotTaken);
    }
    CHECK_EQ(world.client->ready(), 0);
}

TEST_CASE("relays: one that wants to know who we are is told, and then given what it refused") {
    World world;
    world.relay().require_authentication();
    world.relay().on_publish([&](const Json& event) {
        world.relay().publish(world.answer_to(event));
        return Verdict::Taken;
    });
    world.open();
    CHECK(world.client->ask(world.request(), Repeat::No, kTimeout).has_value());
    CHECK_EQ(world.client->ready(), 1);
}

TEST_CASE("relays: challenges without end are not answered without end") {
    World world;
    world.open();
    world.relay().wait_for_subscribed(1);
    for (int i = 0; i < 3 * kChallengesMax; ++i) {
        world.relay().send(Json::array({"AUTH", std::to_string(i)}).dump());
    }
    world.relay().publish(world.note("after them"));
    CHECK_EQ(world.next_note(), "after them");
    world.relay().wait_for("AUTH", kChallengesMax);
    CHECK_EQ(std::ranges::count(world.relay().log(), "AUTH"), kChallengesMax);
}

TEST_CASE("relays: of profiles the newest counts, whoever brings it") {
    World world{2};
    const auto old = world.signed_by(kPeer, kProfile, {}, "old");
    const auto recent = world.signed_by(kPeer, kProfile, {}, "new", Seconds{5});
    world.relay(0).keep(recent);
    world.relay(1).keep(old);
    world.relay(1).keep(world.signed_by(kStranger, kProfile, {}, "stranger's", Seconds{9}));
    world.open();
    world.relay(0).wait_for_subscribed(1);
    world.relay(1).wait_for_subscribed(1);
    while (world.client->ready() < 2) std::this_thread::yield();
    CHECK_EQ(world.client->profile(kTimeout)->content, "new");
    world.relay(1).publish(world.signed_by(kPeer, kProfile, {}, "newest", Seconds{7}));
    world.relay(1).publish(world.note("after it"));
    CHECK_EQ(world.next_note(), "after it");
    CHECK_EQ(world.client->profile(kTimeout)->content, "newest");
}

TEST_CASE("relays: where nobody has a profile that is said, and not waited for") {
    World world;
    world.open();
    CHECK_EQ(world.client->profile(kTimeout).error(), RelayError::NoAnswer);
}

TEST_CASE("relays: beyond so many at once nothing is asked, and none waits after the end") {
    World world;
    world.open();
    world.relay().wait_for_subscribed(1);
    std::vector<std::future<Result<NostrEvent, RelayError>>> asked;
    for (std::size_t i = 0; i < kAsksMax; ++i) {
        asked.push_back(std::async(std::launch::async, [&, request = world.request()] {
            return world.client->ask(request, Repeat::No, kTimeout);
        }));
    }
    world.relay().wait_for("EVENT", kAsksMax);
    CHECK_EQ(world.client->ask(world.request(), Repeat::No, kTimeout).error(), RelayError::NotSent);
    world.client->cease();
    for (auto& one : asked) CHECK_EQ(one.get().error(), RelayError::NoAnswer);
    CHECK_EQ(world.client->ask(world.request(), Repeat::No, kTimeout).error(), RelayError::NotSent);
}
