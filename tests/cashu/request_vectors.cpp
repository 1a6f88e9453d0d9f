// Payment requests: NUT-18, NUT-26, their amendments, and those of cashu-ts.
#include <algorithm>

#include "cashu/vector_cases.h"
#include "nutgate/cashu/payment_request.h"
#include "protocol/nostr_name.h"

namespace nutgate::test {
namespace {

using namespace cashu;

using Tags = std::vector<std::vector<std::string>>;

// A request as the vectors print it.
PaymentRequest request_of(const Json& json) {
    PaymentRequest request;
    const auto maybe = [&]<class T>(const char* key, std::optional<T>& place) {
        if (json.contains(key)) place = json[key].get<T>();
    };
    maybe("i", request.id);
    maybe("a", request.amount);
    maybe("u", request.unit);
    maybe("s", request.single_use);
    maybe("d", request.description);
    maybe("mp", request.mints_are_preferred);
    maybe("fr", request.fee_reserve);
    for (const Json& mint : json.value("m", Json::array())) {
        request.mints.push_back(MintUrl::parse(mint.get<std::string>()).value());
    }
    for (const Json& item : json.value("t", Json::array())) {
        request.transports.push_back({item["t"], item["a"], item.value("g", Tags{})});
    }
    for (const Json& item : json.value("sm", Json::array())) {
        request.methods.push_back({item["mn"], {}});
        if (item.contains("mf")) request.methods.back().fee = item["mf"].get<Amount>();
    }
    if (json.contains("nut10")) {
        const Json& lock = json["nut10"];
        request.lock = LockTerms{lock["k"], lock["d"], lock.value("t", Tags{})};
    }
    return request;
}

// As NUT-26 gives Nostr's names back: the shortest for the same key and relays.
PaymentRequest with_short_names(PaymentRequest request) {
    for (Transport& transport : request.transports) {
        if (transport.kind != "nostr") continue;
        transport.target = write_nostr_name(parse_nostr_name(transport.target).value());
    }
    return request;
}

void check_both_ways(const PaymentRequest& request) {
    const auto from_a = parse_payment_request(write_creq_a(request));
    REQUIRE(from_a);
    CHECK(*from_a == request);
    const auto creq_b = write_creq_b(request);
    // The npub of one vector fails its own checksum, so there is no key in it to be written.
    const bool has_no_key = std::ranges::any_of(request.transports, [](const Transport& transport) {
        return transport.kind == "nostr" && !parse_nostr_name(transport.target);
    });
    REQUIRE(creq_b.has_value() != has_no_key);
    if (has_no_key) return;
    const auto from_b = parse_payment_request(*creq_b);
    REQUIRE(from_b);
    CHECK(*from_b == with_short_names(request));
}

void creq_a_is_read(const Json&, const Json& vector) {
    const auto request = parse_payment_request(vector["encoded"].get<std::string>());
    REQUIRE(request);
    CHECK(*request == request_of(vector["decoded"]));
    // One of the vectors is not what it is printed as.
    CHECK((*request == request_of(vector["request"])) ==
          vector["json_matches_encoded"].get<bool>());
    check_both_ways(*request);
}

void creq_b_is_read_and_written(const Json&, const Json& vector) {
    const PaymentRequest wanted = request_of(vector["request"]);
    const auto request = parse_payment_request(vector["encoded"].get<std::string>());
    REQUIRE(request);
    CHECK(*request == with_short_names(wanted));
    CHECK(write_creq_b(wanted).value() == text(vector["encoded"]));
    CHECK(write_creq_b(*request).value() == text(vector["encoded"]));
    check_both_ways(wanted);
}

// Such a URI is taken apart by whoever takes Bitcoin addresses; we are given what is behind
// "creq=".
void uri_holds_creq(const Json& file, const Json& vector) {
    const std::string uri = text(vector["uri"]);
    const auto start = uri.find("creq=");
    REQUIRE(start != std::string::npos);
    const std::string creq = uri.substr(start + 5, uri.find('&', start) - start - 5);
    CHECK(creq == text(vector["creq"]));
    const auto request = parse_payment_request(creq);
    REQUIRE(request);
    CHECK(*request == request_of(file["spec_body_example"][0]["request"]));
}

void request_of_cashu_ts(const Json&, const Json& vector) {
    const PaymentRequest wanted = request_of(vector["raw"]);
    const auto from_a = parse_payment_request(vector["creqA"].get<std::string>());
    REQUIRE(from_a);
    CHECK(*from_a == wanted);
    auto from_b = parse_payment_request(vector["creqB"].get<std::string>());
    REQUIRE(from_b);
    CHECK(write_creq_b(*from_b).value() == text(vector["creqB"]));
    // It always writes whether a request is for one use.
    if (!wanted.single_use) {
        CHECK(from_b->single_use == false);
        from_b->single_use.reset();
    }
    CHECK(*from_b == wanted);
    check_both_ways(wanted);
}

}  // namespace

std::vector<VectorSection> request_vectors() {
    return {
        {"nut18", "/vectors", creq_a_is_read},
        {"nut18", "/spec_body_example", creq_a_is_read},
        {"nut18_amended", "/vectors", creq_a_is_read},
        {"nut26", "/vectors", creq_b_is_read_and_written},
        {"nut26", "/spec_body_example", creq_b_is_read_and_written},
        {"nut26", "/bip321_uris", uri_holds_creq},
        {"nut26_amended", "/vectors", creq_b_is_read_and_written},
        {"interop_cashu_ts", "/payment_requests", request_of_cashu_ts},
    };
}

}  // namespace nutgate::test
