// Core Lightning's clnrest, as far as the adapter uses it.
#pragma once

#include <set>
#include <vector>

#include "fake_node.h"
#include "nutgate/lightning/bolt12.h"

namespace nutgate::test {

class FakeCln : public FakeNode {
public:
    static constexpr std::string_view kInvoiceRune = "invoice-rune";
    static constexpr std::string_view kPayRune = "pay-rune";

    enum class Commands {
        All,
        PayOnly,  // A release before 24.11.
        Paths,    // A node that nobody reaches directly: no two of its offers are alike.
    };
    explicit FakeCln(Commands commands = Commands::All)
        : FakeNode{1'013_msat}, commands_{commands} {
        start();
    }
    ~FakeCln() override { stop(); }
    FakeCln(const FakeCln&) = delete;
    FakeCln& operator=(const FakeCln&) = delete;

    // Somebody pays an offer of this node, by an invoice of its own.
    void pay_offer(const OfferId& offer, Msat amount) {
        const std::lock_guard lock{mutex_};
        const Preimage preimage{random_.bytes<32>()};
        changed_.push_back({{"label", "offer-" + std::to_string(changed_.size())},
                            {"payment_hash", PaymentHash{crypto::sha256(preimage.bytes())}.hex()},
                            {"status", "paid"},
                            {"bolt12", "lni1"},
                            {"local_offer_id", offer.hex()},
                            {"amount_received_msat", amount.raw()},
                            {"payment_preimage", preimage.hex()}});
    }
    // Invoices change that are no business of ours.
    void change_others() {
        pay_offer(OfferId{ByteArray<32>{std::byte{9}}}, 7'000_msat);
        const std::lock_guard lock{mutex_};
        changed_.push_back({{"label", "theirs"}, {"status", "paid"}, {"bolt11", "lnbcrt1"}});
        changed_.push_back(
            {{"label", "never"}, {"status", "expired"}, {"local_offer_id", std::string(64, '9')}});
    }
    std::size_t offers_made() const {
        const std::lock_guard lock{mutex_};
        return offers_.size();
    }
    // As with a rune that is good for invoices only.
    void allow_offers(bool allow) {
        const std::lock_guard lock{mutex_};
        allows_offers_ = allow;
    }
    // The node says so of each offer that it shows from now on.
    void show_offers_as(std::string bolt12) {
        const std::lock_guard lock{mutex_};
        offer_instead_ = std::move(bolt12);
    }

protected:
    void add_routes(httplib::Server& server) override {
        server.Post(
            "/v1/invoice", [this](const httplib::Request& request, httplib::Response& response) {
                if (!may(request, response, kInvoiceRune)) return;
                const std::lock_guard lock{mutex_};
                note(request);
                const auto body = Json::parse(request.body);
                const std::string label = body.at("label");
                if (made_as(label) != nullptr) return error(response, 900, "Duplicate label");
                const auto hash =
                    make(label, body.at("description"), *Msat::from_raw(body.at("amount_msat")),
                         Seconds{body.at("expiry").get<std::int64_t>()},
                         array_from_hex<32>(body.at("preimage").get<std::string>()));
                answer(response, 201,
                       {{"bolt11", shown(*made(hash))},
                        {"payment_hash", hash.hex()},
                        {"expires_at", 0},
                        {"created_index", 1}});
            });
        server.Post("/v1/listinvoices", [this](const httplib::Request& request,
                                               httplib::Response& response) {
            if (!may(request, response, kInvoiceRune)) return;
            const std::lock_guard lock{mutex_};
            const auto body = Json::parse(request.body);
            if (body.contains("index")) return list_changed(body, response);
            const Made* found =
                body.contains("label")
                    ? made_as(body.at("label"))
                    : made(PaymentHash::parse(body.at("payment_hash").get<std::string>()));
            answer(
                response, 201,
                {{"invoices", found == nullptr ? Json::array() : Json::array({entry_of(*found)})}});
        });
        server.Post("/v1/xpay",
                    [this](const httplib::Request& request, httplib::Response& response) {
                        if (!may(request, response, kPayRune)) return;
                        if (commands_ == Commands::PayOnly)
                            return error(response, -32601, "Unknown command 'xpay'", 404);
                        pay(request, response, "invstring");
                    });
        server.Post("/v1/pay",
                    [this](const httplib::Request& request, httplib::Response& response) {
                        if (may(request, response, kPayRune)) pay(request, response, "bolt11");
                    });
        server.Post("/v1/listpays",
                    [this](const httplib::Request& request, httplib::Response& response) {
                        if (!may(request, response, kPayRune)) return;
                        const std::lock_guard lock{mutex_};
                        const auto body = Json::parse(request.body);
                        const Sent* found =
                            sent(PaymentHash::parse(body.at("payment_hash").get<std::string>()));
                        Json pays = Json::array();
                        if (found != nullptr) {
                            // An attempt before it, of another group, which came to nothing.
                            pays.push_back({{"status", "failed"}});
                            pays.push_back(entry_of(*found));
                        }
                        answer(response, 201, {{"pays", pays}});
                    });
        add_offer_routes(server);
        server.Post("/v1/getinfo",
                    [](const httplib::Request& request, httplib::Response& response) {
                        if (!may(request, response, kInvoiceRune)) return;
                        answer(response, 201, {{"version", "v26.06.6"}, {"network", "regtest"}});
                    });
    }

private:
    void add_offer_routes(httplib::Server& server) {
        server.Post("/v1/offer",
                    [this](const httplib::Request& request, httplib::Response& response) {
                        if (!may(request, response, kInvoiceRune)) return;
                        const std::lock_guard lock{mutex_};
                        if (!allows_offers_) return error(response, 1502, "Not permitted", 401);
                        note(request);
                        make_offer(Json::parse(request.body), response);
                    });
        server.Post("/v1/listoffers",
                    [this](const httplib::Request& request, httplib::Response& response) {
                        if (!may(request, response, kInvoiceRune)) return;
                        const std::lock_guard lock{mutex_};
                        if (!allows_offers_) return error(response, 1502, "Not permitted", 401);
                        const bool all = !Json::parse(request.body).value("active_only", false);
                        Json list = Json::array();
                        for (const auto& [bolt12, label] : offers_) {
                            if (all || !disabled_.contains(bolt12)) {
                                list.push_back(offer_entry(bolt12, label));
                            }
                        }
                        answer(response, 201, {{"offers", list}});
                    });
        server.Post("/v1/disableoffer",
                    [this](const httplib::Request& request, httplib::Response& response) {
                        if (!may(request, response, kInvoiceRune)) return;
                        const std::lock_guard lock{mutex_};
                        disable(Json::parse(request.body).at("offer_id"), response);
                    });
    }
    void make_offer(const Json& body, httplib::Response& response) {
        const std::string amount = body.at("amount");
        const auto key = *crypto::Scalar::from_hex(std::string(64, '1'));
        Bolt12OfferOrder order{.description = body.at("description"),
                               .issuer_id = crypto::generator_times(key).compressed()};
        if (amount != "any") order.amount = Msat::from_raw(std::stoll(amount));
        if (commands_ == Commands::Paths) {
            const auto paths = random_.bytes<16>();
            order.metadata.assign(paths.begin(), paths.end());
        }
        const std::string bolt12 = write_offer(order);
        if (disabled_.contains(bolt12)) return error(response, 1000, "Already exists, not active");
        const auto [entry, created] = offers_.emplace(bolt12, body.at("label"));
        Json said = offer_entry(bolt12, entry->second);
        said["created"] = created;
        answer(response, 201, said);
    }
    void disable(const std::string& id, httplib::Response& response) {
        for (const auto& [bolt12, label] : offers_) {
            Json entry = offer_entry(bolt12, label);
            if (entry.at("offer_id") != id) continue;
            if (!disabled_.insert(bolt12).second) return error(response, 1001, "Already disabled");
            entry["active"] = false;
            return answer(response, 201, entry);
        }
        error(response, -32602, "Unknown offer");
    }
    Json offer_entry(const std::string& bolt12, const std::string& label) const {
        return {{"offer_id", OfferId{parse_offer(bolt12)->id}.hex()},
                {"active", true},
                {"single_use", false},
                {"bolt12", offer_instead_.empty() ? bolt12 : offer_instead_},
                {"used", false},
                {"label", label}};
    }
    // As they changed, from that index on.
    void list_changed(const Json& body, httplib::Response& response) {
        Json list = Json::array();
        const auto limit = body.at("limit").get<std::size_t>();
        for (auto at = body.at("start").get<std::size_t>();
             at <= changed_.size() && list.size() < limit; ++at) {
            Json entry = changed_.at(at - 1);
            entry["updated_index"] = at;
            const auto preimage = entry.find("payment_preimage");
            if (preimage != entry.end()) {
                *preimage = shown(*Preimage::parse(preimage->get<std::string>()));
            }
            list.push_back(entry);
        }
        answer(response, 201, {{"invoices", list}});
    }

    void pay(const httplib::Request& request, httplib::Response& response, const char* invoice) {
        const std::lock_guard lock{mutex_};
        note(request);
        const auto body = Json::parse(request.body);
        const std::string bolt11 = body.at(invoice);
        switch (tell(bolt11, Msat::from_raw(body.at("maxfee")))) {
            case Verdict::Begun:
                break;
            case Verdict::Malformed:
                return error(response, -32602, "invalid bolt11");
            case Verdict::Expired:
                return error(response, 207, "Invoice expired");
            case Verdict::TooDear:
                return error(response, 206, "Fee exceeds our fee budget");
            case Verdict::AlreadyPaid:
                return error(response, 219, "Already paid");
            case Verdict::UnderWay:
                return error(response, 209, "Payment in progress");
        }
        const Sent& now = *sent(parse_bolt11(bolt11)->payment_hash);
        switch (now.state) {
            case Sent::State::InFlight:
                return error(response, 210, "Timed out: still in progress");
            case Sent::State::Failed:
                return error(response, 203, "Destination said it doesn't know invoice");
            case Sent::State::Succeeded:
                return answer(response, 201,
                              {{"payment_preimage", shown(*now.preimage)},
                               {"amount_msat", now.amount.raw()},
                               {"amount_sent_msat", add(now.amount, now.fee)->raw()}});
        }
    }

    Json entry_of(const Made& made) const {
        constexpr std::array kStates{"unpaid", "paid", "expired"};
        Json entry{{"label", made.label},
                   {"bolt11", shown(made)},
                   {"amount_msat", std::to_string(made.amount.raw()) + "msat"},  // Of old.
                   {"status", kStates.at(static_cast<std::size_t>(made.state))},
                   {"description", made.memo}};
        if (made.state == Made::State::Paid) {
            entry["amount_received_msat"] = made.received.raw();
            entry["payment_preimage"] = shown(made.preimage);
            entry["pay_index"] = made.pay_index;
        }
        return entry;
    }
    Json entry_of(const Sent& sent) const {
        constexpr std::array kStates{"pending", "complete", "failed"};
        Json entry{{"bolt11", sent.bolt11},
                   {"status", kStates.at(static_cast<std::size_t>(sent.state))},
                   {"amount_sent_msat", add(sent.amount, sent.fee)->raw()}};
        if (sent.preimage) {
            entry["preimage"] = shown(*sent.preimage);
            entry["amount_msat"] = sent.amount.raw();
        }
        return entry;
    }

    static bool may(const httplib::Request& request, httplib::Response& response,
                    std::string_view rune) {
        if (request.get_header_value("Rune") == rune) return true;
        error(response, 1502, "Not permitted", 401);
        return false;
    }
    static void error(httplib::Response& response, int code, const char* message,
                      int status = 500) {
        answer(response, status, {{"code", code}, {"message", message}});
    }

    const Commands commands_;
    // Guarded by mutex_.
    std::map<std::string, std::string> offers_;  // Their labels.
    std::set<std::string> disabled_;
    std::vector<Json> changed_;
    std::string offer_instead_;
    bool allows_offers_ = true;
};

}  // namespace nutgate::test
