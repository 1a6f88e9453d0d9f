#include "nostr_event.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <fstream>

#include "nostr_message.h"
#include "support/seeded_random.h"

using namespace nutgate;
using namespace nutgate::lightning;
using Error = NostrEventError;

namespace {

// Events of every escape, signed by another library.
const Json& vectors() {
    static const Json kVectors = [] {
        std::ifstream file{NUTGATE_VECTORS "/nip01.json"};
        return Json::parse(file).at("events");
    }();
    return kVectors;
}

Json good() { return vectors().at(1).at("event"); }

Error refused(const Json& json) {
    const auto event = read_event(json);
    REQUIRE_FALSE(event.has_value());
    return event.error();
}

}  // namespace

TEST_CASE("nostr: what others signed is read, verified and written the same") {
    REQUIRE_EQ(vectors().size(), 5);
    for (const Json& vector : vectors()) {
        const auto event = read_event(vector.at("event"));
        REQUIRE(event.has_value());
        CHECK(verify_event(*event).has_value());
        CHECK_EQ(to_json(*event), vector.at("event"));
    }
}

TEST_CASE("nostr: what we sign has the author and the id that another library gives it") {
    test::SeededRandom random;
    for (const Json& vector : vectors()) {
        const auto theirs = read_event(vector.at("event"));
        REQUIRE(theirs.has_value());
        const auto key = crypto::Scalar::from_hex(vector.at("secret").get<std::string>());
        const auto ours = sign_event({.created_at = theirs->created_at,
                                      .kind = theirs->kind,
                                      .tags = theirs->tags,
                                      .content = theirs->content},
                                     *key, random);
        CHECK_EQ(ours.author, theirs->author);
        CHECK_EQ(ours.id, theirs->id);
        CHECK(verify_event(ours).has_value());
    }
}

TEST_CASE("nostr: an event that was changed is not true, wherever it was changed") {
    const auto event = *read_event(good());
    auto changed = event;
    changed.content += "x";
    CHECK_EQ(verify_event(changed).error(), Error::WrongId);
    changed = event;
    changed.created_at += 1;
    CHECK_EQ(verify_event(changed).error(), Error::WrongId);
    changed = event;
    changed.kind += 1;
    CHECK_EQ(verify_event(changed).error(), Error::WrongId);
    changed = event;
    changed.tags.front().back() = "x";
    CHECK_EQ(verify_event(changed).error(), Error::WrongId);
    changed = event;
    changed.id.front() ^= std::byte{1};
    CHECK_EQ(verify_event(changed).error(), Error::WrongId);
    changed = event;
    changed.signature.back() ^= std::byte{1};
    CHECK_EQ(verify_event(changed).error(), Error::WrongSignature);
    // Another's name under it, with the hash that belongs to that.
    test::SeededRandom random;
    changed = sign_event(event, *crypto::Scalar::from_hex(std::string(64, '7')), random);
    changed.signature = event.signature;
    CHECK_EQ(verify_event(changed).error(), Error::WrongSignature);
}

TEST_CASE("nostr: what has not an event's form is none") {
    for (const char* name : {"id", "pubkey", "created_at", "kind", "tags", "content", "sig"}) {
        CAPTURE(name);
        auto json = good();
        json.erase(name);
        CHECK_EQ(refused(json), Error::Malformed);
        json[name] = nullptr;
        CHECK_EQ(refused(json), Error::Malformed);
        json[name] = true;
        CHECK_EQ(refused(json), Error::Malformed);
    }
    const auto with = [](const char* name, const Json& value) {
        auto json = good();
        json[name] = value;
        return json;
    };
    CHECK_EQ(refused(with("id", std::string(64, 'A'))), Error::Malformed);  // Not its only form.
    CHECK_EQ(refused(with("pubkey", std::string(62, 'a'))), Error::Malformed);
    CHECK_EQ(refused(with("created_at", -1)), Error::Malformed);
    CHECK_EQ(refused(with("created_at", "1790000000")), Error::Malformed);
    CHECK_EQ(refused(with("created_at", 1790000000.5)), Error::Malformed);
    CHECK_EQ(refused(with("kind", 65'536)), Error::Malformed);
    CHECK_EQ(refused(with("kind", -1)), Error::Malformed);
    CHECK_EQ(refused(with("tags", Json::array({"p"}))), Error::Malformed);
    CHECK_EQ(refused(with("tags", Json::array({Json::array({1})}))), Error::Malformed);
    CHECK_EQ(refused(Json::array()), Error::Malformed);
}

TEST_CASE("nostr: beyond each limit an event is refused, and at it taken") {
    const auto with_tags = [](const Json& tags) {
        auto json = good();
        json["tags"] = tags;
        return json;
    };
    const auto many = [](std::size_t n, const Json& item) {
        return Json(std::vector<Json>(n, item));
    };
    const Json tag = Json::array({"t"});
    CHECK(read_event(with_tags(many(kEventTagsMax, tag))).has_value());
    CHECK_EQ(refused(with_tags(many(kEventTagsMax + 1, tag))), Error::TooLarge);
    CHECK(read_event(with_tags(Json::array({many(kEventTagItemsMax, "t")}))).has_value());
    CHECK_EQ(refused(with_tags(Json::array({many(kEventTagItemsMax + 1, "t")}))), Error::TooLarge);
    const auto item = [](std::size_t n) {
        return Json::array({Json::array({std::string(n, 't')})});
    };
    CHECK(read_event(with_tags(item(kEventTagItemBytesMax))).has_value());
    CHECK_EQ(refused(with_tags(item(kEventTagItemBytesMax + 1))), Error::TooLarge);
    auto json = good();
    json["content"] = std::string(kEventContentMax, 'c');
    CHECK(read_event(json).has_value());
    json["content"] = std::string(kEventContentMax + 1, 'c');
    CHECK_EQ(refused(json), Error::TooLarge);
}

TEST_CASE("nostr: of a tag given twice the first one counts") {
    const NostrEvent event{.tags = {{"e"}, {"p", "one", "wss://r"}, {"p", "two"}}, .content = {}};
    CHECK_EQ(event.tag("p"), "one");
    CHECK_FALSE(event.tag("e").has_value());
    CHECK_FALSE(event.tag("x").has_value());
}

TEST_CASE("nostr: each message of a relay is read") {
    const auto event = parse_relay_message(R"(["EVENT","s",)" + good().dump() + "]");
    REQUIRE(event.has_value());
    CHECK_EQ(std::get<RelayEvent>(*event).subscription, "s");
    CHECK_EQ(to_json(std::get<RelayEvent>(*event).event), good());
    const std::string id(64, 'a');
    const auto taken = parse_relay_message(R"(["OK",")" + id + R"(",true,""])");
    REQUIRE(taken.has_value());
    CHECK(std::get<RelayAnswer>(*taken).accepted);
    const auto refused = parse_relay_message(R"(["OK",")" + id + R"(",false,"auth-required: x"])");
    REQUIRE(refused.has_value());
    CHECK_FALSE(std::get<RelayAnswer>(*refused).accepted);
    CHECK(asks_for_authentication(std::get<RelayAnswer>(*refused).reason));
    CHECK_EQ(std::get<RelayStored>(*parse_relay_message(R"(["EOSE","s"])")).subscription, "s");
    CHECK_EQ(std::get<RelayClosed>(*parse_relay_message(R"(["CLOSED","s","why"])")).reason, "why");
    CHECK_EQ(std::get<RelayClosed>(*parse_relay_message(R"(["CLOSED","s"])")).subscription, "s");
    CHECK_EQ(std::get<RelayNotice>(*parse_relay_message(R"(["NOTICE","hm"])")).text, "hm");
    CHECK_EQ(std::get<RelayChallenge>(*parse_relay_message(R"(["AUTH","c"])")).challenge, "c");
}

TEST_CASE("nostr: what is no message of a relay is none") {
    for (const std::string& text :
         {std::string{}, std::string{"[]"}, std::string{"{}"}, std::string{"[\"EOSE\"]"},
          std::string{R"(["EOSE",5])"}, std::string{R"(["OK","00",true,""])"},
          std::string{R"(["OK",")" + std::string(64, 'a') + R"(","true",""])"},
          std::string{R"(["EVENT","s",{}])"}, std::string{R"(["EVENT",{}])"},
          std::string{R"(["COUNT","s",{}])"}, std::string{R"(["NOTICE",")"},
          R"(["NOTICE",")" + std::string(kRelayTextMax + 1, 'n') + "\"]",
          R"(["AUTH",")" + std::string(kRelayMessageMax, 'n') + "\"]"}) {
        CAPTURE(text.substr(0, 80));
        CHECK_FALSE(parse_relay_message(text).has_value());
    }
}
