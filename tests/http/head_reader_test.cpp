#include <doctest/doctest.h>

#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "head_checks.h"
#include "support/beast_head.h"
#include "upstream_answer.h"

using namespace nutgate;
using namespace nutgate::http;
using test::BeastHead;

namespace {

struct Read {
    bool is_whole = false;
    std::string start;
    std::vector<std::pair<std::string, std::string>> headers;
    HeadFacts facts;
};

Read read(std::string_view head) {
    Read read;
    HeadReader reader{head};
    std::string_view line;
    if (!reader.start_line(line)) return read;
    read.start = line;
    read.is_whole = reader.headers(read.facts, [&](std::string_view name, std::string_view value) {
        read.headers.emplace_back(name, value);
        return true;
    });
    return read;
}

bool is_read(std::string_view lines) {
    return read("GET / HTTP/1.1\r\n" + std::string{lines} + "\r\n\r\n").is_whole;
}

// Bytes at which readers are known to part.
char odd_byte(std::mt19937& random) {
    constexpr std::string_view kOdd =
        std::string_view{"\0\t\n\r \x0b\x7f\x80\xff:;,\"/\\()Aa0", 21};
    return kOdd[random() % kOdd.size()];
}

// A head with some of its bytes changed, left out or doubled; its end stays as it is.
std::string spoiled(std::string head, std::mt19937& random) {
    head.resize(head.size() - 4);
    for (std::size_t changes = 1 + random() % 3; changes > 0 && !head.empty(); --changes) {
        const std::size_t at = random() % head.size();
        switch (random() % 4) {
            case 0:
                head[at] = odd_byte(random);
                break;
            case 1:
                head.erase(at, 1 + random() % 3);
                break;
            case 2:
                head.insert(at, 1, odd_byte(random));
                break;
            default:
                head.insert(at, head.substr(random() % head.size(), random() % 24));
                break;
        }
    }
    return head + "\r\n\r\n";
}

std::vector<std::pair<std::string, std::string>> as_pairs(const Headers& headers) {
    std::vector<std::pair<std::string, std::string>> pairs;
    for (const auto& [name, value] : headers.entries()) pairs.emplace_back(name, value);
    return pairs;
}

constexpr int kSpoiledHeads = 60'000;

}  // namespace

TEST_CASE("head: names, values without their spaces, in their order") {
    const auto head =
        read("POST /v1 HTTP/1.1\r\nHost:a\r\nX-One: \t b c \t\r\nX-Two:\r\nx-one: d\r\n\r\n");
    CHECK(head.is_whole);
    CHECK(head.start == "POST /v1 HTTP/1.1");
    const std::vector<std::pair<std::string, std::string>> wanted{
        {"Host", "a"}, {"X-One", "b c"}, {"X-Two", ""}, {"x-one", "d"}};
    CHECK(head.headers == wanted);
}

TEST_CASE("head: what another reader may split or join is not read") {
    for (const std::string_view lines :
         {"A", "A b", "A : b", " A: b", "A: b\r\n c: d", "A: b\r\n\tc", ": b", "A\t: b",
          "A: b\rc: d", "A: b\nc: d", "A: b\r\r\nc: d", "A(: b", "A: \x01", "A: \x7f",
          "\xc3\xa9: b"}) {
        CAPTURE(lines);
        CHECK_FALSE(is_read(lines));
    }
    using namespace std::string_view_literals;
    CHECK_FALSE(is_read("A: \0"sv));
    CHECK_FALSE(is_read("A\0: b"sv));
}

TEST_CASE("head: names and values of every length are looked at to their last byte") {
    for (std::size_t size = 1; size < 40; ++size) {
        const std::string text(size, 'a');
        CHECK(is_read(text + ": " + text));
        for (std::size_t at = 0; at < size; ++at) {
            std::string spoiled = text;
            spoiled[at] = '\x1f';
            CHECK_FALSE(is_read(text + ": " + spoiled));
            CHECK_FALSE(is_read(spoiled + ": " + text));
            spoiled[at] = '\x80';
            CHECK(is_read(text + ": " + spoiled));
            CHECK_FALSE(is_read(spoiled + ": " + text));
            spoiled[at] = '(';
            CHECK(is_read(text + ": " + spoiled));
            CHECK_FALSE(is_read(spoiled + ": " + text));
            spoiled[at] = '_';
            CHECK(is_read(spoiled + ": " + text));
        }
    }
}

TEST_CASE("head: a connection closes when any of its options says so, and only then") {
    const auto closes = [](std::string_view lines) {
        return read("GET / HTTP/1.1\r\n" + std::string{lines} + "\r\n\r\n").facts.closes;
    };
    for (const std::string_view lines :
         {"Connection: close", "connection: CLOSE", "Connection: keep-alive, close",
          "Connection:close ,x", "Proxy-Connection: close", "Connection: a\r\nConnection: close"}) {
        CHECK(closes(lines));
    }
    for (const std::string_view lines : {"Connection: keep-alive", "Connection: closed",
                                         "Connection:", "Connection: ,", "X: close"}) {
        CHECK_FALSE(closes(lines));
    }
    CHECK_FALSE(is_read("Connection: close;x"));
    CHECK_FALSE(is_read("Connection: \"close\""));
}

TEST_CASE("head: framing is plain if it can be read in one way") {
    const auto is_plain = [](std::string_view lines) {
        const std::string head = "GET / HTTP/1.1\r\n" + std::string{lines} + "\r\n\r\n";
        return read(head).facts.is_plain();
    };
    CHECK(is_plain("A: b"));
    CHECK(is_plain("Transfer-Encoding: Chunked"));
    CHECK_FALSE(is_plain("Transfer-Encoding: gzip"));
    CHECK_FALSE(is_plain("Content-Length: 1\r\nContent-Length: 1"));
    CHECK_FALSE(is_plain("Content-Length: 1\r\ntransfer-encoding: chunked"));
}

TEST_CASE("head: a length is digits, and so few that no sum of them wraps") {
    const auto length_of = [](std::string_view text) -> std::optional<std::uint64_t> {
        const std::string head =
            "GET / HTTP/1.1\r\nContent-Length: " + std::string{text} + "\r\n\r\n";
        std::uint64_t bytes = 0;
        if (!read(head).facts.length_of_body(bytes)) return std::nullopt;
        return bytes;
    };
    CHECK(length_of("42") == 42);
    CHECK(length_of("0") == 0);
    CHECK(length_of("999999999999999999") == 999999999999999999);
    for (const std::string_view text :
         {"", "-1", "+1", "1 1", "0x1", "1e1", "9999999999999999999"}) {
        CHECK_FALSE(length_of(text));
    }
}

TEST_CASE("head: what is taken of a request another reader takes, too, and reads the same") {
    const std::vector<std::string> sound{
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8402\r\nAuthorization: Bearer "
        "sk-1\r\n"
        "Content-Type: application/json\r\nContent-Length: 205\r\nConnection: keep-alive\r\n\r\n",
        "POST /x?y=z HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: "
        "100-continue\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\nX-Empty:\r\nConnection: close, x\r\n\r\n"};
    std::mt19937 random{20261130};
    const HeadLimits limits;
    int taken = 0;
    for (int i = 0; i < kSpoiledHeads; ++i) {
        const std::string head = spoiled(sound[random() % sound.size()], random);
        if (scan_head(head, 0).size != head.size()) continue;
        Request request;
        RequestParser parser{request, limits};
        if (!parser.head(head)) continue;
        ++taken;
        CAPTURE(head);
        const BeastHead<true> other{head};
        REQUIRE(other.is_taken);
        CHECK(other.target == request.target);
        CHECK(other.headers == as_pairs(request.headers));
        CHECK(other.chunked() == parser.is_chunked());
        CHECK(other.content_length().value_or(0) == parser.body_bytes());
        CHECK((other.version == 11 && other.keep_alive()) == parser.keeps_alive());
    }
    CHECK(taken > kSpoiledHeads / 20);  // Not all of them were refused.
}

TEST_CASE("head: what is taken of an answer another reader takes, too, and reads the same") {
    const std::vector<std::string> sound{
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        "HTTP/1.0 503 \r\nRetry-After: 3\r\nX-Empty:\r\n\r\n"};
    std::mt19937 random{20261130};
    int taken = 0;
    for (int i = 0; i < kSpoiledHeads; ++i) {
        const std::string head = spoiled(sound[random() % sound.size()], random);
        ResponseParser parser{Method::Post};
        if (head.find("\r\n\r\n") + 4 != head.size() || !parser.head(head)) continue;
        ++taken;
        CAPTURE(head);
        const BeastHead<false> other{head};
        REQUIRE(other.is_taken);
        CHECK(other.status == parser.status());
        CHECK(other.headers == as_pairs(parser.headers()));
        using Framing = ResponseParser::Framing;
        if (parser.framing() != Framing::None) {
            CHECK(other.chunked() == (parser.framing() == Framing::Chunked));
            CHECK(other.content_length().has_value() == (parser.framing() == Framing::Length));
            CHECK(other.content_length().value_or(0) == parser.length());
        }
        CHECK((other.version == 11 && !other.need_eof() && other.keep_alive()) ==
              (parser.keeps_alive() && parser.framing() != Framing::UntilClose));
    }
    CHECK(taken > kSpoiledHeads / 20);
}
