// Forms whose file goes on while it comes, over real connections.
#include <string>
#include <thread>

#include "endpoints_test.h"
#include "multipart.h"
#include "passing_world.h"

using namespace nutgate;
using namespace nutgate::test;
using nlohmann::json;
using proxy::Endpoint;
using proxy::PriceKind;

namespace {

proxy::Tariff price_of(PriceKind kind, const char* msat) {
    proxy::PriceTable table{.currency = proxy::Currency::Msat};
    table.lines[index_of(kind)] = proxy::parse_decimal(msat);
    return proxy::Tariff::make(table).value();
}
proxy::Tariff by_second() { return price_of(PriceKind::AudioSecond, "10"); }

std::string part(const std::string& name, const std::string& content, bool file = false) {
    return "--xYz\r\nContent-Disposition: form-data; name=\"" + name + '"' +
           (file ? "; filename=\"a.bin\"\r\nContent-Type: application/octet-stream" : "") +
           "\r\n\r\n" + content + "\r\n";
}
const std::string kEnd = "--xYz--\r\n";
constexpr std::string_view kPath = "/audio/transcriptions";

// Not a byte of it is like another's neighbours for long.
std::string sound(std::size_t size) {
    std::string made;
    made.reserve(size + 10);
    for (int i = 0; made.size() < size; ++i) made += std::to_string(i) + ";";
    made.resize(size);
    return made;
}

const std::string kModel = part("model", "media");
std::string renamed(std::string body) {
    const std::string mine = "\r\n\r\nmedia\r\n";
    return body.replace(body.find(mine), mine.size(), "\r\n\r\nVendor/Media\r\n");
}
constexpr std::size_t kLonger = std::string_view{"Vendor/Media"}.size() - 5;

const std::string kNineSeconds = R"({"text":"Hi","usage":{"type":"duration","seconds":9}})";

// Reads a request whole and answers it.
RawServer::Script answers(Told& seen,
                          const std::string& answer = RawServer::answer(200, kNineSeconds)) {
    return [&seen, answer](RawSocket& socket, std::size_t) {
        seen.tell(RawServer::read_request(socket));
        socket.send(answer);
        socket.read_to_end();
    };
}

std::string chunk(const std::string& bytes) {
    std::string size;
    for (auto n = bytes.size(); n > 0; n /= 16) size.insert(0, 1, "0123456789abcdef"[n % 16]);
    return size + "\r\n" + bytes + "\r\n";
}

std::string code_of(const std::string& answer) {
    const auto body = answer.substr(answer.find("\r\n\r\n") + 4);
    const auto read = json::parse(body, nullptr, false);
    return read.is_discarded() ? "" : read["error"]["code"].get<std::string>();
}
bool has_status(const std::string& answer, int status) {
    return answer.starts_with("HTTP/1.1 " + std::to_string(status) + " ");
}

}  // namespace

TEST_CASE("forms: what stands before the file goes out before the file has come") {
    const std::string body = part("language", "en") + kModel +
                             part("file", sound(3'000'000), true) + part("temperature", "0") + kEnd;
    const std::size_t first = 300'000;
    const std::size_t most = body.size() - 20;
    Told has_first;
    Told has_most;
    Told has_all;
    auto options = PassingWorld::small();
    options.bodies_bytes_max = 512 * 1024;  // So it can't be held, whoever wanted to.
    PassingWorld world{{[&](RawSocket& socket, std::size_t) {
                           const auto head = socket.read_until("\r\n\r\n");
                           auto got = socket.read_bytes(first + kLonger);
                           has_first.tell(head);
                           got += socket.read_bytes(most - first);
                           has_most.tell();
                           got += socket.read_bytes(body.size() - most);
                           has_all.tell(got);
                           socket.send(RawServer::answer(200, kNineSeconds));
                           socket.read_to_end();
                       }},
                       by_second(),
                       options};
    auto client = world.connect();
    client.send(world.head(kPath, body.size()) + body.substr(0, first));
    // Nothing more is sent before all of that is there.
    const auto head = has_first.wait();
    REQUIRE(head);
    CHECK(header_of(*head, "content-length") == std::to_string(body.size() + kLonger));
    CHECK(header_of(*head, "Content-Type") == "multipart/form-data; boundary=\"xYz\"");
    client.send(body.substr(first, most - first));
    REQUIRE(has_most.wait());
    // All that has come is there, so nothing but the last read can be here.
    CHECK(world.bytes_held() <= 32 * 1024);
    client.send(body.substr(most));
    const auto answer = client.read_answer();
    CHECK(has_status(answer, 200));
    CHECK(answer.find("connection: close") == std::string::npos);
    CHECK(has_all.wait() == renamed(body));
    CHECK(world.charged() == 90);
    CHECK(world.bytes_held() == 0);
}

TEST_CASE("forms: one in chunks goes on in chunks, and is charged by the bytes that passed") {
    const std::string body =
        part("response_format", "text") + kModel + part("file", sound(2'000'000), true) + kEnd;
    Told seen;
    PassingWorld world{{answers(seen, RawServer::answer(200, "Hi"))}, by_second()};
    auto client = world.connect();
    const std::jthread sender{[&] {
        client.send(world.head(kPath, std::nullopt));
        for (std::size_t at = 0; at < body.size(); at += 0x8000) {
            client.send(chunk(body.substr(at, 0x8000)));
        }
        client.send("0\r\n\r\n");
    }};
    CHECK(has_status(client.read_answer(), 200));
    const auto request = seen.wait();
    REQUIRE(request);
    const auto split = request->find("\r\n\r\n") + 4;
    CHECK(header_of(*request, "transfer-encoding") == "chunked");
    CHECK(header_of(*request, "content-length").empty());
    CHECK(dechunked(std::string_view{*request}.substr(split)) == renamed(body));
    CHECK(world.charged() == 5'000);  // 500 s, at 4,000 bytes each.
}

TEST_CASE(
    "forms: where the file stands before the model, and where all is small, it is read whole") {
    for (const bool is_small : {true, false}) {
        CAPTURE(is_small);
        const std::string body = part("file", sound(is_small ? 900'000 : 2'000'000), true) +
                                 kModel + part("response_format", "verbose_json") + kEnd;
        Told seen;
        PassingWorld world{{answers(seen)}, by_second()};
        auto client = world.connect();
        client.send(world.head(kPath, body.size()) + body.substr(0, body.size() - 1));
        const auto held = static_cast<std::int64_t>(body.size()) - 1;
        for (int i = 0; i < 2'000 && world.bytes_held() < held; ++i) {
            (void)client.read_bytes(1, std::chrono::milliseconds{10});
        }
        CHECK(world.bytes_held() >= held);
        CHECK(world.calls(0) == 0);
        client.send(body.substr(body.size() - 1));
        CHECK(has_status(client.read_answer(), 200));
        const auto request = seen.wait();
        REQUIRE(request);
        CHECK(request->substr(request->find("\r\n\r\n") + 4) == renamed(body));
        CHECK(world.charged() == 90);
    }
}

TEST_CASE("forms: an upstream that is not reached, or refuses at once, is replaced by another") {
    const std::string body = kModel + part("file", sound(2'000'000), true) + kEnd;
    for (const bool is_dead : {true, false}) {
        CAPTURE(is_dead);
        Told asked;
        Told seen;
        Told has_first;
        RawServer::Script busy = [](RawSocket& socket, std::size_t) {
            socket.read_bytes(1'000);
            socket.send(RawServer::answer(429, "{}"));
            socket.read_to_end();
        };
        if (is_dead) busy = nullptr;
        PassingWorld world{{busy,
                            [&](RawSocket& socket, std::size_t) {
                                std::string request = socket.read_until("\r\n\r\n");
                                request += socket.read_bytes(100'000);
                                has_first.tell();
                                request += socket.read_bytes(body.size() + kLonger - 100'000);
                                seen.tell(request.substr(request.find("\r\n\r\n") + 4));
                                socket.send(RawServer::answer(200, kNineSeconds));
                                socket.read_to_end();
                            }},
                           by_second()};
        auto client = world.connect();
        client.send(world.head(kPath, body.size()) + body.substr(0, 150'000));
        REQUIRE(has_first.wait());
        client.send(body.substr(150'000));
        CHECK(has_status(client.read_answer(), 200));
        CHECK(seen.wait() == renamed(body));
        CHECK(world.charged() == 90);
    }
}

TEST_CASE("forms: what has passed through is asked of nobody else, and costs nothing") {
    const std::string body = kModel + part("file", sound(3'000'000), true) + kEnd;
    Told seen;
    for (const std::string& last : {std::string{}, RawServer::answer(503, "{}")}) {
        CAPTURE(last);
        PassingWorld world{{[&](RawSocket& socket, std::size_t) {
                                socket.read_bytes(1'000'000);
                                socket.send(last);
                                if (!last.empty()) socket.read_to_end();
                            },
                            answers(seen)},
                           by_second()};
        auto client = world.connect();
        const std::jthread sender{[&] { client.send(world.head(kPath, body.size()) + body); }};
        CHECK(has_status(client.read_answer(), 502));
        CHECK(world.calls(1) == 0);
        CHECK(world.charged() == 0);
    }
}

TEST_CASE("forms: an upstream that answers before it has the form is heard, and paid nothing") {
    const std::string body = kModel + part("file", sound(3'000'000), true) + kEnd;
    const std::string no = R"({"error":{"message":"No.","code":"bad_sound"}})";
    for (const int status : {400, 200}) {
        CAPTURE(status);
        PassingWorld world{
            {[&](RawSocket& socket, std::size_t) {
                socket.read_bytes(10'000);
                socket.send(RawServer::answer(status, status == 400 ? no : kNineSeconds));
                socket.read_to_end();
            }},
            by_second()};
        auto client = world.connect();
        // The rest of it is never sent: the answer does not wait for it.
        client.send(world.head(kPath, body.size()) + body.substr(0, 600'000));
        const auto answer = client.read_answer();
        CHECK(has_status(answer, status == 400 ? 400 : 502));
        if (status == 400) CHECK(code_of(answer) == "bad_sound");
        CHECK(answer.find("connection: close") != std::string::npos);
        client.close();
        CHECK(world.charged() == 0);
    }
}

TEST_CASE(
    "forms: a client that leaves in the middle pays nothing, and its upstream is left alone") {
    const std::string body = kModel + part("file", sound(3'000'000), true) + kEnd;
    for (const bool resets : {true, false}) {
        CAPTURE(resets);
        Told has_some;
        Told saw;
        PassingWorld world{{[&](RawSocket& socket, std::size_t) {
                               std::string got = socket.read_bytes(900'000);
                               has_some.tell();
                               got += socket.read_to_end();
                               saw.tell(socket.was_closed() ? got : "still open");
                           }},
                           by_second()};
        auto client = world.connect();
        client.send(world.head(kPath, body.size()) + body.substr(0, 1'000'000));
        REQUIRE(has_some.wait());
        resets ? client.reset() : client.close();
        const auto got = saw.wait();
        REQUIRE(got);
        CHECK(got->size() > 900'000);
        CHECK(got->size() < body.size());
        CHECK(world.charged() == 0);
    }
}

TEST_CASE("forms: a client that is too slow is told so, and pays nothing") {
    const std::string body = kModel + part("file", sound(3'000'000), true) + kEnd;
    Told saw;
    auto options = PassingWorld::small();
    // And a second for each 16 KiB: so much less is sent.
    options.body_timeout = Milliseconds{300};
    PassingWorld world{{[&](RawSocket& socket, std::size_t) {
                           const auto got = socket.read_to_end();
                           saw.tell(socket.was_closed() ? got : "still open");
                       }},
                       by_second(),
                       options};
    auto client = world.connect();
    client.send(world.head(kPath, body.size()) + body.substr(0, 10'000));
    CHECK(has_status(client.read_answer(), 408));
    const auto got = saw.wait();
    REQUIRE(got);
    CHECK(got->find("Vendor/Media") != std::string::npos);
    CHECK(got->size() < 20'000);
    CHECK(world.charged() == 0);
}

TEST_CASE("forms: a node that stops while one passes through gives back what it held for it") {
    const std::string body = kModel + part("file", sound(3'000'000), true) + kEnd;
    Told has_some;
    PassingWorld world{{[&](RawSocket& socket, std::size_t) {
                           socket.read_bytes(900'000);
                           has_some.tell();
                           socket.read_to_end();
                       }},
                       by_second()};
    auto client = world.connect();
    client.send(world.head(kPath, body.size()) + body.substr(0, 1'000'000));
    REQUIRE(has_some.wait());
    CHECK(world.charged(Milliseconds{0}) == 0);
}

TEST_CASE("forms: what comes behind the file can't change what was settled, nor be no form") {
    std::string many;
    for (int i = 0; i < 64; ++i) many += part("include[]", "x");
    const std::string before = kModel + part("file", sound(1'200'000), true);
    for (const auto& [after, code] :
         {std::pair{part("model", "other") + kEnd, "duplicate_field"},
          {part("Model", "other") + kEnd, "duplicate_field"},
          {part("stream", "true") + kEnd, "field_after_file"},
          {part("response_format", "text") + kEnd, "field_after_file"},
          {part("prompt", "a very long one") + kEnd, "field_after_file"},
          {part("whatever", "x") + kEnd, "field_after_file"},
          {part("Language", "en") + kEnd, "unsupported_parameter"},
          {part("file", "x", true) + kEnd, "duplicate_field"},
          {part("language", "en", true) + kEnd, "invalid_value"},
          {part("language", std::string(70'000, 'x')) + kEnd, "invalid_value"},
          {many + kEnd, "invalid_form"},
          {std::string{"no boundary"}, "invalid_form"},
          {std::string{"--xYz-"}, "invalid_form"},
          {kEnd + "more", "invalid_form"},
          {std::string{"--xYz\r\n\r\nno head\r\n"} + kEnd, "invalid_form"}}) {
        CAPTURE(after.substr(0, 100));
        for (const bool is_chunked : {false, true}) {
            CAPTURE(is_chunked);
            const std::string body = before + after;
            Told saw;
            PassingWorld world{{[&](RawSocket& socket, std::size_t) {
                                   const auto got = socket.read_to_end();
                                   saw.tell(socket.was_closed() ? got : "still open");
                               }},
                               by_second()};
            auto client = world.connect();
            client.send(is_chunked ? world.head(kPath, std::nullopt) + chunk(body) + "0\r\n\r\n"
                                   : world.head(kPath, body.size()) + body);
            const auto answer = client.read_answer();
            CHECK(has_status(answer, 400));
            CHECK(code_of(answer) == code);
            const auto got = saw.wait();
            REQUIRE(got);
            // It saw the file, and neither an end of the form nor of the request.
            CHECK(got->size() > 1'000'000);
            CHECK(got->find("--xYz--") == std::string::npos);
            if (is_chunked) {
                CHECK_FALSE(got->ends_with("0\r\n\r\n"));
            } else {
                const auto length = std::stoul(header_of(*got, "content-length"));
                CHECK(length == body.size() + kLonger);
                CHECK(got->substr(got->find("\r\n\r\n") + 4).size() < length);
            }
            CHECK(world.charged() == 0);
        }
    }
}

TEST_CASE("forms: the files of pictures to be edited pass one after another") {
    const std::string body = kModel + part("prompt", "a hat") + part("n", "2") +
                             part("image[]", sound(700'000), true) +
                             part("image[]", sound(700'000), true) + part("user", "u") + kEnd;
    Told seen;
    PassingWorld world{
        {answers(seen,
                 RawServer::answer(200, R"({"data":[{"b64_json":"AA"},{"b64_json":"BB"}]})"))},
        price_of(PriceKind::Image, "40")};
    auto client = world.connect();
    const std::jthread sender{
        [&] { client.send(world.head("/images/edits", body.size()) + body); }};
    CHECK(has_status(client.read_answer(), 200));
    const auto request = seen.wait();
    REQUIRE(request);
    CHECK(request->substr(request->find("\r\n\r\n") + 4) == renamed(body));
    CHECK(world.charged() == 80);
}

TEST_CASE("forms: a file beyond 25 MiB is refused where it passes, too") {
    Told saw;
    PassingWorld world{{[&](RawSocket& socket, std::size_t) {
                           const auto got = socket.read_to_end();
                           saw.tell(got.ends_with("\r\n0\r\n\r\n") ? "whole" : "cut");
                       }},
                       by_second()};
    auto client = world.connect();
    const std::jthread sender{[&] {
        const std::string file = part("file", "", true);
        const std::string begin = kModel + file.substr(0, file.size() - 2);
        client.send(world.head(kPath, std::nullopt) + chunk(begin));
        for (int i = 0; i < 25; ++i) {
            if (!client.send(chunk(std::string(0x100000, 'x')))) return;
        }
        client.send(chunk("x"));
    }};
    const auto answer = client.read_answer();
    CHECK(has_status(answer, 400));
    CHECK(code_of(answer) == "invalid_value");
    CHECK(saw.wait() == "cut");
    CHECK(world.charged() == 0);
}

TEST_CASE("forms: who can't pay for a file of that size is told so before it has come") {
    const std::string body = kModel + part("file", sound(3'000'000), true) + kEnd;
    PassingWorld world{{nullptr}, by_second(), PassingWorld::small(), *Msat::from_raw(20'000)};
    auto client = world.connect();
    client.send(world.head(kPath, body.size()) + body.substr(0, 5'000));
    const auto answer = client.read_answer();
    CHECK(has_status(answer, 402));
    // 3,000,138 bytes less the fields, at 750 bytes a second, at 10 msat.
    CHECK(answer.find("40.0") != std::string::npos);
}

TEST_CASE("open door: a stranger's large body is refused before it is read") {
    PassingWorld world{{nullptr}, by_second()};
    const KeyId unknown = Keyring::random_id(world.node.random);
    const KeyId revoked = world.node.make_key(*Msat::from_raw(1'000));
    REQUIRE(world.node.database->transact([&](store::Tx& tx) -> Result<bool, store::StoreFailure> {
        REQUIRE(world.node.keyring.revoke(tx, revoked));
        return true;
    }));
    std::string forged = world.node.keyring.text_of(world.key);
    forged.back() = forged.back() == '0' ? '1' : '0';
    for (const std::string& authorization :
         {std::string{}, std::string{"Basic abc"}, std::string{"Bearer sk-123"}, "Bearer " + forged,
          "Bearer " + world.node.keyring.text_of(unknown),
          "Bearer " + world.node.keyring.text_of(revoked)}) {
        CAPTURE(authorization);
        for (const auto path : {kPath, std::string_view{"/chat/completions"}}) {
            for (const std::string& expect :
                 {std::string{}, std::string{"Expect: 100-continue\r\n"}}) {
                auto client = world.connect();
                // Not a byte of the body is sent, so nobody can have read it.
                client.send(PassingWorld::head_with(path, 5'000'000, authorization, expect));
                const auto answer = client.read_answer();
                CHECK(has_status(answer, 401));
                CHECK(answer.find("connection: close") != std::string::npos);
                CHECK(client.ends());
            }
        }
    }
    CHECK(world.bytes_held() == 0);
    // Who has a key is asked for it.
    auto client = world.connect();
    client.send(PassingWorld::head_with(kPath, 5'000'000,
                                        "Bearer " + world.node.keyring.text_of(world.key),
                                        "Expect: 100-continue\r\n"));
    CHECK(client.read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
}

TEST_CASE("forms: a form is the same however it is cut") {
    const std::string file = "--xYz\r\n-\r\n--xY\r\n\r\n--xYy\r\r\n--\r\n";
    const std::string good = kModel + part("file", file.substr(1), true) + part("empty", "") + kEnd;
    for (const std::string& body :
         {good, good.substr(0, good.size() - 2), good + "x", good.substr(0, good.size() - 5),
          kModel + part("file", file, true) + kEnd, "x" + good, std::string{"--xYz--\r\n"}}) {
        CAPTURE(body);
        const auto whole = proxy::parse_form(body, "multipart/form-data; boundary=xYz");
        for (std::size_t size = 1; size < body.size(); ++size) {
            proxy::FormScanner scanner{"xYz"};
            std::vector<proxy::FormPart> parts;
            bool is_good = true;
            for (std::size_t at = 0; at < body.size() && is_good; at += size) {
                for (auto piece = std::string_view{body}.substr(at, size); !piece.empty();) {
                    const auto step = scanner.next(piece);
                    is_good = step.has_value();
                    if (!is_good) break;
                    piece.remove_prefix(step->taken);
                    if (step->event == proxy::FormScanner::Event::Part) {
                        parts.push_back(scanner.part());
                        CHECK(scanner.content_bytes() == 0);
                    }
                    if (step->event == proxy::FormScanner::Event::PartEnd) {
                        parts.back() = scanner.part();
                        const auto& place = parts.back().place;
                        CHECK(scanner.content_bytes() == place.end - place.begin);
                    }
                }
            }
            is_good = is_good && scanner.finish().has_value();
            REQUIRE(is_good == whole.has_value());
            if (!whole) continue;
            REQUIRE(parts.size() == whole->parts.size());
            for (std::size_t i = 0; i < parts.size(); ++i) {
                CHECK(parts[i].name == whole->parts[i].name);
                CHECK(parts[i].content(body) == whole->parts[i].content(body));
            }
        }
    }
}
