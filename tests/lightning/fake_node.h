// What every fake node has in common: the invoices it made, the payments it was told of, an HTTP
// server that can stop and come back, and what becomes of payments by a script. Each kind of node
// is one file beside this one, which translates between its interface and this.
#pragma once

#include <doctest/doctest.h>
#include <httplib.h>
#include <nlohmann/json.hpp>

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "contract/lightning_contract.h"
#include "nutgate/base/verify.h"
#include "nutgate/crypto/random.h"
#include "nutgate/lightning/backend.h"

namespace nutgate::test {

using Json = nlohmann::json;

class FakeNode {
public:
    using Outcome = LightningRig::Outcome;

    struct Made {
        enum class State { Open, Paid, Expired };
        std::string label;
        std::string memo;
        Preimage preimage;
        std::string bolt11;
        Msat amount;
        Msat received;
        State state = State::Open;
        int pay_index = 0;
    };
    struct Sent {
        enum class State { InFlight, Succeeded, Failed };
        std::string bolt11;
        Msat amount;
        Msat fee;
        State state = State::InFlight;
        std::optional<Preimage> preimage;
    };

    explicit FakeNode(Msat fee) : fee_{fee} {}
    virtual ~FakeNode() { stop(); }
    FakeNode(const FakeNode&) = delete;
    FakeNode& operator=(const FakeNode&) = delete;

    std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

    // Under the same address each time.
    void start() {
        server_ = make_server();
        // A connection that is kept would be waited for when the node stops.
        server_->set_keep_alive_max_count(1);
        add_routes(*server_);
        if (port_ == 0) {
            port_ = server_->bind_to_any_port("127.0.0.1");
        } else {
            REQUIRE(server_->bind_to_port("127.0.0.1", port_));
        }
        thread_ = std::jthread{[this] { server_->listen_after_bind(); }};
        while (!server_->is_running()) std::this_thread::yield();
    }
    void stop() {
        if (!server_) return;
        server_->stop();
        thread_.join();
        server_.reset();
    }

    // Somebody pays an invoice of this node.
    void pay_in(const PaymentHash& hash, Msat amount) {
        const std::lock_guard lock{mutex_};
        Made& made = made_.at(hash);
        made.state = Made::State::Paid;
        made.received = amount;
        made.pay_index = ++pay_index_;
    }
    void expire(const PaymentHash& hash) {
        const std::lock_guard lock{mutex_};
        made_.at(hash).state = Made::State::Expired;
    }
    // An invoice of some other node, and what becomes of paying it.
    std::string outside_invoice(Msat amount, Outcome outcome, Seconds age = Seconds{0}) {
        const std::lock_guard lock{mutex_};
        const Preimage preimage{random_.bytes<32>()};
        const PaymentHash hash{crypto::sha256(preimage.bytes())};
        outside_.emplace(hash, Outside{.preimage = preimage, .outcome = outcome});
        return write(hash, amount, "outside", Seconds{3600}, kOutsideKey, age);
    }
    void conclude(const PaymentHash& hash, bool paid) {
        const std::lock_guard lock{mutex_};
        const auto found = sent_.find(hash);
        VERIFY(found != sent_.end() && found->second.state == Sent::State::InFlight);
        end(hash, found->second, paid);
    }
    int times_paid(const PaymentHash& hash) const {
        const std::lock_guard lock{mutex_};
        const auto found = times_paid_.find(hash);
        return found == times_paid_.end() ? 0 : found->second;
    }
    // What came with the last request of that path, as the node saw it.
    std::string last_body(const std::string& path) const {
        const std::lock_guard lock{mutex_};
        const auto found = bodies_.find(path);
        return found == bodies_.end() ? "" : found->second;
    }
    std::size_t invoices_made() const {
        const std::lock_guard lock{mutex_};
        return made_.size();
    }
    // What the node says from now on in place of the invoice that it makes.
    void show_instead(std::string bolt11) {
        const std::lock_guard lock{mutex_};
        instead_ = std::move(bolt11);
    }
    // The node shows that in place of every preimage.
    void lie_about_preimages(bool lies = true) {
        const std::lock_guard lock{mutex_};
        lies_ = lies;
    }

protected:
    virtual std::unique_ptr<httplib::Server> make_server() {
        return std::make_unique<httplib::Server>();
    }
    virtual void add_routes(httplib::Server& server) = 0;

    // The rest is for the routes, under mutex_.

    void note(const httplib::Request& request) { bodies_[request.path] = request.body; }

    PaymentHash make(const std::string& label, const std::string& memo, Msat amount, Seconds expiry,
                     const std::optional<ByteArray<32>>& preimage) {
        const Preimage secret{preimage ? *preimage : random_.bytes<32>()};
        const PaymentHash hash{crypto::sha256(secret.bytes())};
        Made made{.label = label,
                  .memo = memo,
                  .preimage = secret,
                  .bolt11 = write(hash, amount, memo, expiry, kOurKey, Seconds{0}),
                  .amount = amount,
                  .received = {}};
        made_.emplace(hash, std::move(made));
        return hash;
    }
    const Made* made(const std::optional<PaymentHash>& hash) const {
        if (!hash) return nullptr;
        const auto found = made_.find(*hash);
        return found == made_.end() ? nullptr : &found->second;
    }
    const Made* made_as(const std::string& label) const {
        for (const auto& [hash, line] : made_) {
            if (line.label == label) return &line;
        }
        return nullptr;
    }
    const Sent* sent(const std::optional<PaymentHash>& hash) const {
        if (!hash) return nullptr;
        const auto found = sent_.find(*hash);
        return found == sent_.end() ? nullptr : &found->second;
    }
    std::string shown(const Made& made) const { return instead_.empty() ? made.bolt11 : instead_; }
    std::string shown(const Preimage& preimage) const {
        return lies_ ? std::string(64, '5') : preimage.hex();
    }

    enum class Verdict { Begun, Malformed, Expired, TooDear, AlreadyPaid, UnderWay };
    // The node is told to pay: what it thinks of that, and what it did.
    Verdict tell(const std::string& bolt11, std::optional<Msat> fee_max) {
        const auto invoice = parse_bolt11(bolt11);
        if (!invoice || !invoice->amount) return Verdict::Malformed;
        const PaymentHash hash = invoice->payment_hash;
        if (invoice->expires_at() <= SystemClock{}.now()) return Verdict::Expired;
        if (const auto known = sent_.find(hash); known != sent_.end()) {
            if (known->second.state == Sent::State::Succeeded) return Verdict::AlreadyPaid;
            if (known->second.state == Sent::State::InFlight) return Verdict::UnderWay;
        }
        if (fee_max && *fee_max < fee_) return Verdict::TooDear;
        Sent& payment =
            sent_
                .insert_or_assign(
                    hash,
                    Sent{.bolt11 = bolt11, .amount = *invoice->amount, .fee = fee_, .preimage = {}})
                .first->second;
        const auto outcome = outside_.at(hash).outcome;
        if (outcome == Outcome::Paid) end(hash, payment, true);
        if (outcome == Outcome::Failed) end(hash, payment, false);
        return Verdict::Begun;
    }

    // A payment that came to nothing, and which the node remembers.
    void note_failure(const std::string& bolt11) {
        const auto invoice = parse_bolt11(bolt11);
        sent_.insert_or_assign(invoice->payment_hash, Sent{.bolt11 = bolt11,
                                                           .amount = *invoice->amount,
                                                           .fee = fee_,
                                                           .state = Sent::State::Failed,
                                                           .preimage = {}});
    }

    static void answer(httplib::Response& response, int status, const Json& json) {
        response.status = status;
        response.set_content(json.dump(), "application/json");
    }

    mutable std::mutex mutex_;
    const Msat fee_;
    crypto::SystemRandom random_;  // Guarded by mutex_.

private:
    struct Outside {
        Preimage preimage;
        Outcome outcome;
    };

    static constexpr std::string_view kOurKey =
        "1111111111111111111111111111111111111111111111111111111111111111";
    static constexpr std::string_view kOutsideKey =
        "2222222222222222222222222222222222222222222222222222222222222222";

    void end(const PaymentHash& hash, Sent& payment, bool paid) {
        payment.state = paid ? Sent::State::Succeeded : Sent::State::Failed;
        if (!paid) return;
        payment.preimage = outside_.at(hash).preimage;
        ++times_paid_[hash];
    }

    std::string write(const PaymentHash& hash, Msat amount, const std::string& memo, Seconds expiry,
                      std::string_view key, Seconds age) {
        return write_bolt11({.network = Network::Regtest,
                             .amount = amount,
                             .created_at = SystemClock{}.now() - age,
                             .expiry = expiry,
                             .payment_hash = hash,
                             .payment_secret = random_.bytes<32>(),
                             .description = memo},
                            *crypto::Scalar::from_hex(key));
    }

    // Guarded by mutex_.
    std::map<PaymentHash, Made> made_;
    std::map<PaymentHash, Sent> sent_;
    std::map<PaymentHash, Outside> outside_;
    std::map<PaymentHash, int> times_paid_;
    std::map<std::string, std::string> bodies_;
    std::string instead_;
    bool lies_ = false;
    int pay_index_ = 0;

    int port_ = 0;
    std::unique_ptr<httplib::Server> server_;
    std::jthread thread_;
};

}  // namespace nutgate::test
