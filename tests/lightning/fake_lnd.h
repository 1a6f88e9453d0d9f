// LND's REST interface, as far as the adapter uses it.
#pragma once

#include "fake_node.h"

namespace nutgate::test {

class FakeLnd : public FakeNode {
public:
    static constexpr std::string_view kInvoiceMacaroon = "0201036c6e64";
    static constexpr std::string_view kPayMacaroon = "0201036c6e65";

    FakeLnd() : FakeNode{1'013_msat} { start(); }
    ~FakeLnd() override { stop(); }
    FakeLnd(const FakeLnd&) = delete;
    FakeLnd& operator=(const FakeLnd&) = delete;

protected:
    explicit FakeLnd(std::nullptr_t) : FakeNode{1'013_msat} {}  // Whose server is another.

    void add_routes(httplib::Server& server) override {
        server.Post(
            "/v1/invoices", [this](const httplib::Request& request, httplib::Response& response) {
                if (!may(request, response, kInvoiceMacaroon)) return;
                const std::lock_guard lock{mutex_};
                note(request);
                const auto body = Json::parse(request.body);
                const auto preimage = from_base64(body.at("r_preimage").get<std::string>());
                const auto array = array_from_hex<32>(to_hex(*preimage));
                if (made(PaymentHash{crypto::sha256(*array)}) != nullptr) {
                    return error(response, 500, 2, "invoice with payment hash already exists");
                }
                const auto hash = make("", body.at("memo"), amount_of(body.at("value_msat")),
                                       Seconds{number(body.at("expiry"))}, array);
                answer(response, 200,
                       {{"r_hash", to_base64(hash.bytes())},
                        {"payment_request", shown(*made(hash))},
                        {"add_index", "1"},
                        {"payment_addr", ""}});
            });
        server.Get(R"(/v1/invoice/(.+))",
                   [this](const httplib::Request& request, httplib::Response& response) {
                       if (!may(request, response, kInvoiceMacaroon)) return;
                       const std::lock_guard lock{mutex_};
                       const Made* found = made(PaymentHash::parse(request.matches[1].str()));
                       if (found == nullptr)
                           return error(response, 404, 5, "unable to locate invoice");
                       constexpr std::array kStates{"OPEN", "SETTLED", "CANCELED"};
                       answer(response, 200,
                              {{"memo", found->memo},
                               {"r_preimage", to_base64(as_preimage(shown(found->preimage)))},
                               {"value_msat", std::to_string(found->amount.raw())},
                               {"payment_request", shown(*found)},
                               {"amt_paid_msat", std::to_string(found->received.raw())},
                               {"state", kStates.at(static_cast<std::size_t>(found->state))}});
                   });
        server.Post("/v2/router/send",
                    [this](const httplib::Request& request, httplib::Response& response) {
                        if (may(request, response, kPayMacaroon)) send(request, response);
                    });
        server.Get(R"(/v2/router/track/([^/]+))",
                   [this](const httplib::Request& request, httplib::Response& response) {
                       if (!may(request, response, kPayMacaroon)) return;
                       const std::lock_guard lock{mutex_};
                       // Its gateway takes base64 with its padding only.
                       const std::string text = request.matches[1].str();
                       const auto bytes = from_base64(text);
                       const Sent* found = nullptr;
                       if (bytes && text.size() == 44)
                           found = sent(PaymentHash::from_bytes(*bytes));
                       if (found == nullptr) {
                           return wrapped_error(response, 404, 5, "payment isn't initiated");
                       }
                       stream(response, line_of(*found), found->state == Sent::State::InFlight);
                   });
        server.Get("/v1/getinfo", [](const httplib::Request&, httplib::Response& response) {
            answer(response, 200,
                   {{"version", "0.20.3-beta"},
                    {"synced_to_chain", true},
                    {"chains", {{{"chain", "bitcoin"}, {"network", "regtest"}}}}});
        });
    }

private:
    void send(const httplib::Request& request, httplib::Response& response) {
        const std::lock_guard lock{mutex_};
        note(request);
        const auto body = Json::parse(request.body);
        const auto bolt11 = body.at("payment_request").get<std::string>();
        switch (tell(bolt11, amount_of(body.at("fee_limit_msat")))) {
            case Verdict::Begun:
                break;
            case Verdict::Malformed:
                return wrapped_error(response, 500, 2, "invalid payment request");
            case Verdict::Expired:
                return wrapped_error(response, 500, 2, "invoice expired");
            case Verdict::TooDear:
                note_failure(bolt11);
                break;
            case Verdict::AlreadyPaid:
                return wrapped_error(response, 409, 6, "invoice is already paid");
            case Verdict::UnderWay:
                return wrapped_error(response, 409, 6, "payment is in transition");
        }
        const Sent& now = *sent(parse_bolt11(bolt11)->payment_hash);
        // A payment that takes its time shows nothing here before it ends. The client would wait
        // for as long as it has patience; what it then sees is a stream that broke off.
        if (now.state == Sent::State::InFlight) return wrapped_error(response, 504, 4, "deadline");
        stream(response, line_of(now), false);
    }

    Json line_of(const Sent& payment) const {
        constexpr std::array kStates{"IN_FLIGHT", "SUCCEEDED", "FAILED"};
        return {{"payment_hash", parse_bolt11(payment.bolt11)->payment_hash.hex()},
                {"value_msat", std::to_string(payment.amount.raw())},
                {"fee_msat", std::to_string(payment.fee.raw())},
                {"payment_preimage",
                 payment.preimage ? shown(*payment.preimage) : std::string(64, '0')},
                {"status", kStates.at(static_cast<std::size_t>(payment.state))}};
    }

    // One line for each state; `open`: the next one is yet to come, and never does.
    static void stream(httplib::Response& response, const Json& payment, bool open) {
        const std::string line = Json{{"result", payment}}.dump() + "\n";
        response.set_chunked_content_provider(
            "application/json", [line, open](std::size_t offset, httplib::DataSink& sink) {
                if (offset == 0) return sink.write(line.data(), line.size());
                // The client leaves, and then this write fails: until then a space is no line.
                if (open) return sink.write(" ", 1);
                // httplib makes its last chunk at first use. Two threads may well come first, but
                // ThreadSanitizer does not see what a library that it did not build waits for.
                static std::mutex first_use;
                const std::lock_guard lock{first_use};
                sink.done();
                return true;
            });
    }

    static Bytes as_preimage(const std::string& hex) { return *from_hex(hex); }
    static std::int64_t number(const Json& text) {
        REQUIRE(text.is_string());  // As it writes 64 bits, and as it is to be told of them.
        return std::stoll(text.get<std::string>());
    }
    static Msat amount_of(const Json& text) { return *Msat::from_raw(number(text)); }

    static bool may(const httplib::Request& request, httplib::Response& response,
                    std::string_view macaroon) {
        if (request.get_header_value("Grpc-Metadata-Macaroon") == macaroon) return true;
        error(response, 403, 7, "permission denied");
        return false;
    }
    static void error(httplib::Response& response, int status, int code, const char* message) {
        answer(response, status,
               {{"code", code}, {"message", message}, {"details", Json::array()}});
    }
    static void wrapped_error(httplib::Response& response, int status, int code,
                              const char* message) {
        answer(response, status, {{"error", {{"code", code}, {"message", message}}}});
    }
};

}  // namespace nutgate::test
