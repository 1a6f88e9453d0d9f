#include "mint_ways.h"

#include <doctest/doctest.h>

using namespace nutgate;
using namespace nutgate::app;
using cashu::MintRole;
using cashu::MintUrl;

namespace {

// Remembers how far the last call may have gone, and goes nowhere.
class NoClient final : public http::Client {
public:
    Result<http::Response, http::ClientError> call(const http::ClientRequest& request) override {
        reach = request.reach;
        return fail(http::ClientError{http::ClientError::Kind::NotSent, "no network here"});
    }
    http::Reach reach = http::Reach::Anywhere;
};

http::Reach reach_of(Roads roads, const char* url, MintRole role) {
    NoClient client;
    const auto way = MintWays{client, roads}.connect(*MintUrl::parse(url), role);
    REQUIRE(way != nullptr);
    CHECK_FALSE(way->call(cashu::MintMethod::Get, "/v1/info", ""));
    return client.reach;
}

bool goes(Roads roads, const char* url, MintRole role) {
    NoClient client;
    return MintWays{client, roads}.connect(*MintUrl::parse(url), role) != nullptr;
}

}  // namespace

TEST_CASE("mint ways: a stranger's URL leads to public addresses only, the operator's anywhere") {
    CHECK(reach_of(Roads::Real, "https://mint.example.com", MintRole::Guest) ==
          http::Reach::PublicOnly);
    CHECK(reach_of(Roads::Real, "https://10.0.0.7", MintRole::Guest) == http::Reach::PublicOnly);
    CHECK(reach_of(Roads::Real, "https://10.0.0.7", MintRole::Trusted) == http::Reach::Anywhere);
    CHECK(reach_of(Roads::Play, "http://127.0.0.1:3338", MintRole::Guest) == http::Reach::Anywhere);
    CHECK(goes(Roads::Real, "http://127.0.0.1:3338", MintRole::Trusted));
    // Tokens are money: not in the clear.
    CHECK_FALSE(goes(Roads::Real, "http://mint.example.com", MintRole::Trusted));
    CHECK_FALSE(goes(Roads::Real, "http://mint.example.com", MintRole::Guest));
}

TEST_CASE("mint ways: play money stays on this machine") {
    for (const auto role : {MintRole::Trusted, MintRole::Guest}) {
        CHECK(goes(Roads::Play, "http://127.0.0.1:3338", role));
        CHECK_FALSE(goes(Roads::Play, "https://mint.example.com", role));
        CHECK_FALSE(goes(Roads::Play, "https://10.0.0.7", role));
    }
}
