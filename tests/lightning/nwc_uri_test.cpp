#include "nutgate/lightning/nwc_uri.h"

#include <doctest/doctest.h>

#include <string>

using namespace nutgate;
using Error = NwcUriError;

namespace {

// As the specification's example has it.
const std::string kService = "b889ff5b1513b641e2a139f661a661364979c5beee91842f8f0ef42ab558e9d4";
const std::string kSecret = "71a8c14c1407c113601079c4302dab36460f0ccd0ad506f1f2dc73b5100e4f3c";
const std::string kRest = "?relay=wss%3A%2F%2Frelay.damus.io&secret=" + kSecret;

Error refused(const std::string& text) {
    const auto uri = parse_nwc_uri(text);
    REQUIRE_FALSE(uri.has_value());
    CHECK_FALSE(to_text(uri.error()).empty());
    return uri.error();
}

std::string with(const std::string& rest) { return "nostr+walletconnect://" + kService + rest; }

}  // namespace

TEST_CASE("nwc: the specification's address is read") {
    const auto uri = parse_nwc_uri(with(kRest));
    REQUIRE(uri.has_value());
    CHECK_EQ(to_hex(uri->service), kService);
    CHECK_EQ(uri->relays, std::vector<std::string>{"wss://relay.damus.io"});
    CHECK_EQ(to_hex(uri->secret.reveal()), kSecret);
    CHECK(uri->lud16.empty());
}

TEST_CASE("nwc: an address may name several relays, each once, and a Lightning address") {
    const auto uri = parse_nwc_uri(with("?relay=wss%3A%2F%2Fone.example%2Fv1&secret=" + kSecret +
                                        "&relay=ws://127.0.0.1:7000&lud16=me%40example.com"
                                        "&relay=wss://one.example/v1&more=what&other"));
    REQUIRE(uri.has_value());
    CHECK_EQ(uri->relays, std::vector<std::string>{"wss://one.example/v1", "ws://127.0.0.1:7000"});
    CHECK_EQ(uri->lud16, "me@example.com");
}

TEST_CASE("nwc: the scheme may be in either case and without its slashes") {
    CHECK(parse_nwc_uri("nostr+walletconnect:" + kService + kRest).has_value());
    CHECK(parse_nwc_uri("NOSTR+WalletConnect://" + kService + kRest).has_value());
}

TEST_CASE("nwc: what is no address is refused, and by its own name") {
    CHECK_EQ(refused(""), Error::NotAnAddress);
    CHECK_EQ(refused("https://" + kService + kRest), Error::NotAnAddress);
    CHECK_EQ(refused(with(kRest + "&x=" + std::string(kNwcUriBytesMax, 'x'))), Error::NotAnAddress);
    CHECK_EQ(refused("nostr+walletconnect://" + kService.substr(1) + kRest),
             Error::ServiceMalformed);
    CHECK_EQ(refused("nostr+walletconnect://" + std::string(64, 'f') + kRest),
             Error::ServiceMalformed);  // No point of the curve has that x.
    CHECK_EQ(refused(with("")), Error::RelayMissing);
    CHECK_EQ(refused(with("?secret=" + kSecret)), Error::RelayMissing);
    CHECK_EQ(refused(with("?relay=wss%3A%2F%2Fr.example")), Error::SecretMissing);
    CHECK_EQ(refused(with("?relay=https%3A%2F%2Fr.example&secret=" + kSecret)),
             Error::RelayMalformed);
    CHECK_EQ(refused(with("?relay=wss%3A%2F%2F&secret=" + kSecret)), Error::RelayMalformed);
    CHECK_EQ(refused(with("?relay&secret=" + kSecret)), Error::RelayMalformed);
    CHECK_EQ(refused(with("?relay=wss%3A%2%2Fr.example&secret=" + kSecret)),
             Error::EscapeMalformed);
    CHECK_EQ(refused(with("?relay=wss://r.example&secret=" + kSecret.substr(2))),
             Error::SecretMalformed);
    CHECK_EQ(refused(with("?relay=wss://r.example&secret=" + std::string(64, '0'))),
             Error::SecretMalformed);
    CHECK_EQ(refused(with("?relay=wss://r.example&secret=" + std::string(64, 'f'))),
             Error::SecretMalformed);  // Beyond the group's order.
    CHECK_EQ(refused(with(kRest + "&secret=" + kSecret)), Error::Repeated);
    CHECK_EQ(refused(with(kRest + "&lud16=a@b.c&lud16=d@e.f")), Error::Repeated);
    std::string many = "?secret=" + kSecret;
    for (std::size_t i = 0; i < kNwcRelaysMax; ++i) {
        many += "&relay=wss://r" + std::to_string(i) + ".example";
    }
    CHECK(parse_nwc_uri(with(many)).has_value());
    CHECK_EQ(refused(with(many + "&relay=wss://more.example")), Error::TooManyRelays);
}
