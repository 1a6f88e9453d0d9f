// phoenixd's interface, as far as the adapter uses it.
#pragma once

#include "fake_node.h"

namespace nutgate::test {

class FakePhoenixd : public FakeNode {
public:
    static constexpr std::string_view kLimitedPassword = "limited";
    static constexpr std::string_view kPassword = "full";

    enum class Release { Current, WithoutLookUps };  // One that can't be asked by hash.

    // 4 sat and 0.4 percent of the contract's 21 sat.
    explicit FakePhoenixd(Release release = Release::Current)
        : FakeNode{4'084_msat}, release_{release} {
        start();
    }
    ~FakePhoenixd() override { stop(); }
    FakePhoenixd(const FakePhoenixd&) = delete;
    FakePhoenixd& operator=(const FakePhoenixd&) = delete;

    // What opening a channel costs comes off what arrives.
    void charge_for_liquidity(Msat fee) {
        const std::lock_guard lock{mutex_};
        liquidity_ = fee;
    }

protected:
    void add_routes(httplib::Server& server) override {
        server.Post(
            "/createinvoice", [this](const httplib::Request& request, httplib::Response& response) {
                if (!may(request, response, Access::Limited)) return;
                const std::lock_guard lock{mutex_};
                note(request);
                const auto amount =
                    to_msat(*Sat::from_raw(std::stoll(request.get_param_value("amountSat"))));
                const auto hash = make(
                    request.get_param_value("externalId"), request.get_param_value("description"),
                    amount, Seconds{std::stoll(request.get_param_value("expirySeconds"))},
                    std::nullopt);
                answer(response, 200,
                       {{"amountSat", to_sat_floor(amount).raw()},
                        {"paymentHash", hash.hex()},
                        {"serialized", shown(*made(hash))}});
            });
        server.Get(R"(/payments/incoming/(.+))", [this](const httplib::Request& request,
                                                        httplib::Response& response) {
            if (!may(request, response, Access::Limited)) return;
            const std::lock_guard lock{mutex_};
            const Made* found = made(PaymentHash::parse(request.matches[1].str()));
            if (found == nullptr) return not_found(response);
            const bool paid = found->state == Made::State::Paid;
            answer(response, 200,
                   {{"type", "incoming_payment"},
                    {"paymentHash", request.matches[1].str()},
                    {"preimage", shown(found->preimage)},
                    {"externalId", found->label},
                    {"invoice", found->bolt11},
                    {"isPaid", paid},
                    {"isExpired", found->state == Made::State::Expired},
                    {"requestedSat", to_sat_floor(found->amount).raw()},
                    {"receivedSat",
                     paid ? to_sat_floor(*subtract(found->received, liquidity_)).raw() : 0},
                    {"fees", paid ? liquidity_.raw() : 0},
                    {"completedAt", paid ? Json(1'790'000'000'000) : Json()}});
        });
        server.Post("/payinvoice",
                    [this](const httplib::Request& request, httplib::Response& response) {
                        if (may(request, response, Access::Full)) pay(request, response);
                    });
        server.Get(R"(/payments/outgoingbyhash/(.+))", [this](const httplib::Request& request,
                                                              httplib::Response& response) {
            if (!may(request, response, Access::Full)) return;
            if (release_ == Release::WithoutLookUps) {
                response.status = 404;
                return;
            }
            const std::lock_guard lock{mutex_};
            const Sent* found = sent(PaymentHash::parse(request.matches[1].str()));
            if (found == nullptr) return not_found(response);
            const bool paid = found->state == Sent::State::Succeeded;
            const bool over = found->state != Sent::State::InFlight;
            answer(response, 200,
                   {{"type", "outgoing_payment"},
                    {"preimage", found->preimage ? Json(shown(*found->preimage)) : Json()},
                    {"isPaid", paid},
                    {"sent", to_sat_floor(*add(found->amount, found->fee)).raw()},
                    {"fees", found->fee.raw()},
                    {"invoice", found->bolt11},
                    {"completedAt", over ? Json(1'790'000'000'000) : Json()}});
        });
        server.Get("/getinfo", [](const httplib::Request& request, httplib::Response& response) {
            if (!may(request, response, Access::Limited)) return;
            answer(response, 200, {{"version", "0.8.0"}, {"chain", "regtest"}});
        });
    }

private:
    enum class Access { Limited, Full };

    void pay(const httplib::Request& request, httplib::Response& response) {
        const std::lock_guard lock{mutex_};
        note(request);
        const auto bolt11 = request.get_param_value("invoice");
        const auto failed = [&](const char* reason) {
            answer(response, 200, {{"type", "payment_failed"}, {"reason", reason}});
        };
        switch (tell(bolt11, std::nullopt)) {
            case Verdict::Begun:
                break;
            case Verdict::Malformed:
            case Verdict::TooDear:
                response.status = 400;
                return response.set_content("Invalid invoice", "text/plain");
            case Verdict::Expired:
                return failed("the invoice has expired");
            case Verdict::AlreadyPaid:
                return failed("this invoice has already been paid");
            case Verdict::UnderWay:
                return failed("another payment is in progress for that invoice");
        }
        const auto hash = parse_bolt11(bolt11)->payment_hash;
        const Sent& now = *sent(hash);
        switch (now.state) {
            case Sent::State::InFlight:  // It would block for as long as it takes.
                response.status = 504;
                return response.set_content("gateway time-out", "text/plain");
            case Sent::State::Failed:
                return failed("recipient rejected the payment");
            case Sent::State::Succeeded:
                return answer(response, 200,
                              {{"type", "payment_sent"},
                               {"recipientAmountSat", to_sat_floor(now.amount).raw()},
                               {"routingFeeSat", to_sat_floor(now.fee).raw()},
                               {"paymentHash", hash.hex()},
                               {"paymentPreimage", shown(*now.preimage)}});
        }
    }

    static bool may(const httplib::Request& request, httplib::Response& response, Access wanted) {
        const auto given = request.get_header_value("Authorization");
        const auto basic = [](std::string_view password) {
            return "Basic " + to_base64(as_bytes(":" + std::string{password}));
        };
        if (given == basic(kPassword)) return true;
        if (wanted == Access::Limited && given == basic(kLimitedPassword)) return true;
        response.status = 401;
        return false;
    }
    static void not_found(httplib::Response& response) {
        response.status = 404;
        response.set_content("Not found", "text/plain");
    }

    const Release release_;
    Msat liquidity_;
};

}  // namespace nutgate::test
