// One wallet of an LNbits, as far as the adapter uses it.
#pragma once

#include "fake_node.h"

namespace nutgate::test {

class FakeLnBits final : public FakeNode {
public:
    static constexpr std::string_view kInvoiceKey = "invoice-key";
    static constexpr std::string_view kAdminKey = "admin-key";

    FakeLnBits() : FakeNode{2'000_msat} { start(); }
    ~FakeLnBits() override { stop(); }
    FakeLnBits(const FakeLnBits&) = delete;
    FakeLnBits& operator=(const FakeLnBits&) = delete;

protected:
    void add_routes(httplib::Server& server) override {
        server.Post("/api/v1/payments", [this](const httplib::Request& request,
                                               httplib::Response& response) {
            const std::lock_guard lock{mutex_};
            note(request);
            const auto body = Json::parse(request.body);
            const bool out = body.at("out");
            if (!may(request, response, out ? kAdminKey : kInvoiceKey)) return;
            if (out) return pay(body.at("bolt11"), response);
            const auto amount = to_msat(*Sat::from_raw(body.at("amount").get<int>()));
            const auto hash = make("", body.at("memo"), amount,
                                   Seconds{body.at("expiry").get<std::int64_t>()}, std::nullopt);
            answer(response, 201,
                   {{"payment_hash", hash.hex()},
                    {"bolt11", shown(*made(hash))},
                    {"checking_id", hash.hex()},
                    {"amount", amount.raw()},
                    {"status", "pending"}});
        });
        server.Get("/api/v1/payments/fee-reserve",
                   [this](const httplib::Request&, httplib::Response& response) {
                       answer(response, 200, {{"fee_reserve", fee_.raw()}});
                   });
        server.Get(R"(/api/v1/payments/([0-9a-f]{64}))",
                   [this](const httplib::Request& request, httplib::Response& response) {
                       const std::lock_guard lock{mutex_};
                       look(request, response);
                   });
        server.Get("/api/v1/wallet",
                   [](const httplib::Request& request, httplib::Response& response) {
                       if (!may(request, response, kInvoiceKey)) return;
                       answer(response, 200, {{"name", "nutgate"}, {"balance", 1'000'000}});
                   });
    }

private:
    void pay(const std::string& bolt11, httplib::Response& response) {
        const auto failed = [&](const char* status, const char* detail) {
            answer(response, 520, {{"detail", detail}, {"status", status}});
        };
        switch (tell(bolt11, std::nullopt)) {
            case Verdict::Begun:
                break;
            case Verdict::Malformed:
            case Verdict::TooDear:
                return answer(response, 400, {{"detail", "Bolt11 decoding failed."}});
            case Verdict::Expired:
                return failed("failed", "Invoice is expired.");
            case Verdict::AlreadyPaid:
                return failed("failed", "Internal invoice already paid.");
            case Verdict::UnderWay:
                return failed("pending", "Payment is pending.");
        }
        const auto hash = parse_bolt11(bolt11)->payment_hash;
        if (sent(hash)->state == Sent::State::Failed) return failed("failed", "Payment failed.");
        answer(response, 201, {{"payment_hash", hash.hex()}, {"checking_id", hash.hex()}});
    }

    // Without a key of the wallet it answers all the same, but for the details.
    void look(const httplib::Request& request, httplib::Response& response) {
        const auto hash = PaymentHash::parse(request.matches[1].str());
        const auto key = request.get_header_value("X-Api-Key");
        const bool known_key = key == kInvoiceKey || key == kAdminKey;
        Json found;
        if (const Made* in = made(hash)) {
            constexpr std::array kStates{"pending", "success", "pending"};
            const bool paid = in->state == Made::State::Paid;
            found = {{"paid", paid},
                     {"preimage", paid ? Json(shown(in->preimage)) : Json()},
                     {"details",
                      {{"amount", (paid ? in->received : in->amount).raw()},
                       {"fee", 0},
                       {"status", kStates.at(static_cast<std::size_t>(in->state))}}}};
        } else if (const Sent* out = sent(hash)) {
            constexpr std::array kStates{"pending", "success", "failed"};
            found = {{"paid", out->state == Sent::State::Succeeded},
                     {"preimage", out->preimage ? Json(shown(*out->preimage)) : Json()},
                     {"details",
                      {{"amount", -out->amount.raw()},
                       {"fee", -out->fee.raw()},
                       {"status", kStates.at(static_cast<std::size_t>(out->state))}}}};
        } else {
            return answer(response, 404, {{"detail", "Payment does not exist."}});
        }
        if (!known_key) found.erase("details");
        answer(response, 200, found);
    }

    static bool may(const httplib::Request& request, httplib::Response& response,
                    std::string_view wanted) {
        const auto key = request.get_header_value("X-Api-Key");
        if (key == wanted || key == kAdminKey) return true;
        answer(response, 401, {{"detail", "Invoice (or Admin) key required."}});
        return false;
    }
};

}  // namespace nutgate::test
