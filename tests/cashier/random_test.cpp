// Anything, in any order, with faults: what came in is what went out, what was earned and what is
// still there, to the msat.
#include <algorithm>
#include <random>

#include "cashier/world.h"
#include "nutgate/lightning/bolt12.h"

using namespace nutgate;
using namespace nutgate::literals;
using test::FaultyMint;
using test::Receive;
using test::World;

namespace {

class Story {
public:
    // Where the node receives by itself, offers are a part of it.
    Story(World& world, Receive receive, std::uint64_t seed)
        : world_{world},
          offers_{receive == Receive::OverNode ? &world.lightning.with_offers() : nullptr},
          random_{seed} {
        keys_.push_back(world.key_of_token(5000_msat));
        in_ = 5000_msat;
    }

    void step() {
        switch (pick(offers_ == nullptr ? 8 : 10)) {
            case 0:
                deposit();
                break;
            case 1:
                open();
                break;
            case 2:
                pay();
                break;
            case 3:
                ask();
                break;
            case 4:
                charge();
                break;
            case 5:
                refund();
                break;
            case 6:
                fault();
                break;
            case 7:
                pass_time();
                break;
            case 8:
                offer();
                break;
            case 9:
                pay_offer();
                break;
        }
    }

    // All is well again, and everybody takes what is his.
    void end() {
        world_.node->client.set(FaultyMint::Fault::None);
        world_.lightning.set_down(false);
        if (offers_ != nullptr) offers_->set_down(false);
        for (int i = 0; i < 3; ++i) pass_time();
        for (const std::string& token : tokens_) {
            const auto deposit = world_.cashier().deposit_token(token, Bearer{});
            if (!deposit) CHECK(deposit.error().code == CashierError::Code::TokenUsed);
        }
        for (const OpenInvoice& invoice : invoices_) {
            const auto status = world_.cashier().recover_invoice(invoice.bolt11, std::nullopt);
            REQUIRE(status.has_value());
            const bool paid =
                world_.lightning.incoming(invoice.payment_hash)->state == PaymentState::Settled;
            CHECK((status->state == InvoiceState::Paid) == paid);
        }
        for (const std::string& token : tokens_) learn_key(token);
        for (const auto& [id, offer] : offered_) {
            const auto status = world_.cashier().offer_status(id);
            REQUIRE(status.has_value());
            CHECK(status->payments == offer.payments);
            CHECK(status->credited == offer.paid);
            CHECK(status->key.has_value() == (offer.creates && offer.payments > 0));
            if (status->key) keys_.push_back(*status->key);
        }
        Msat left;
        for (const KeyId& key : keys_) {
            if (const auto refund = world_.cashier().refund(key)) take(*refund);
            left = *add(left, world_.balance(key));
        }
        Msat out;
        for (const auto& [token, amount] : refunds_) {
            CHECK(world_.customer.redeem(token) == to_msat(amount));
            out = *add(out, to_msat(amount));
        }
        CHECK(add(*add(out, left), *world_.cashier().revenue()) == in_);
    }

private:
    std::size_t pick(std::size_t n) {
        return std::uniform_int_distribution<std::size_t>{0, n - 1}(random_);
    }
    Msat some_sats(std::int64_t most) {
        return to_msat(*Sat::from_raw(static_cast<std::int64_t>(pick(std::size_t(most))) + 1));
    }
    const KeyId& some_key() { return keys_[pick(keys_.size())]; }

    void deposit() {
        if (tokens_.empty() || pick(2) == 0) {
            const Msat amount = some_sats(40);
            world_.lightning.set_down(false);  // The customer's own way in.
            tokens_.push_back(world_.token(amount));
            in_ = *add(in_, amount);
        }
        const std::string& token = tokens_[pick(tokens_.size())];
        if (pick(2) == 0) {
            (void)world_.cashier().deposit_token(token, TopUp{some_key()});
        } else {
            (void)world_.cashier().deposit_token(token, Bearer{});
            learn_key(token);
        }
    }
    void learn_key(const std::string& token) {
        const auto key = world_.cashier().key_of_token(token);
        if (key && std::ranges::find(keys_, *key) == keys_.end()) keys_.push_back(*key);
    }
    void open() {
        const auto invoice = world_.cashier().open_invoice({.amount = to_sat_floor(some_sats(50)),
                                                            .purpose = InvoicePurpose::TopUp,
                                                            .key = some_key(),
                                                            .limits = {}});
        if (invoice) invoices_.push_back(*invoice);
    }
    void pay() {
        if (invoices_.empty()) return;
        const OpenInvoice& invoice = invoices_[pick(invoices_.size())];
        world_.lightning.set_down(false);
        if (world_.lightning.incoming(invoice.payment_hash)->state == PaymentState::Settled) return;
        world_.lightning.mark_paid(invoice.payment_hash, to_msat(invoice.amount));
        in_ = *add(in_, to_msat(invoice.amount));
    }
    void ask() {
        if (invoices_.empty()) return;
        const OpenInvoice& invoice = invoices_[pick(invoices_.size())];
        if (pick(2) == 0) {
            world_.cashier().hint(invoice.payment_hash);
        } else {
            (void)world_.cashier().invoice_status(invoice.invoice_id);
        }
    }
    void offer() {
        const bool creates = pick(2) == 0;
        OfferRequest request{.purpose = creates ? InvoicePurpose::Create : InvoicePurpose::TopUp};
        if (!creates) request.key = some_key();
        const auto opened = world_.cashier().open_offer(request);
        if (!opened) return;
        offered_.emplace(opened->offer_id,
                         Offered{.id = OfferId{parse_offer(opened->text)->id}, .creates = creates});
    }
    void pay_offer() {
        if (offered_.empty()) return;
        auto& [id, offer] = *std::next(offered_.begin(), std::ptrdiff_t(pick(offered_.size())));
        if (pick(3) == 0) offers_->pay_others();
        const Msat amount = some_sats(30);
        (void)offers_->pay(offer.id, amount);
        ++offer.payments;
        offer.paid = *add(offer.paid, amount);
        in_ = *add(in_, amount);
        if (pick(4) == 0) (void)world_.cashier().offer_status(id);
        if (pick(8) == 0) (void)world_.cashier().close_offer(id);
    }
    void charge() {
        const KeyId& key = some_key();
        const Msat balance = world_.balance(key);
        if (balance == Msat{}) return;
        const auto cost = static_cast<std::int64_t>(pick(std::size_t(balance.raw()))) + 1;
        world_.charge(key, *Msat::from_raw(cost));
    }
    void refund() {
        if (const auto refund = world_.cashier().refund(some_key())) take(*refund);
    }
    void take(const Refund& refund) { refunds_[refund.token] = refund.amount; }
    void fault() {
        using Fault = FaultyMint::Fault;
        constexpr Fault kFaults[] = {Fault::None, Fault::None, Fault::Away, Fault::AnswerLost};
        world_.node->client.set(kFaults[pick(4)]);
        world_.lightning.set_down(pick(4) == 0);
        if (offers_ != nullptr) offers_->set_down(pick(4) == 0);
    }
    void pass_time() {
        world_.clock.advance(Seconds{static_cast<int>(pick(2000)) + 700});
        REQUIRE(world_.node->wallet.recover());
        REQUIRE(world_.cashier().recover());
        REQUIRE(world_.cashier().settle_offers());
        world_.node->audit();
    }

    struct Offered {
        OfferId id;
        bool creates = false;
        std::int64_t payments = 0;
        Msat paid{};
    };

    World& world_;
    test::FakeOffers* offers_;
    std::mt19937_64 random_;
    Msat in_;
    std::vector<KeyId> keys_;
    std::vector<std::string> tokens_;
    std::vector<OpenInvoice> invoices_;
    std::map<std::string, Sat> refunds_;
    std::map<std::string, Offered> offered_;  // By the id that its holder has.
};

}  // namespace

TEST_CASE("cashier: whatever happens in whatever order, nothing is lost and nothing made") {
    for (const Receive receive : {Receive::OverMint, Receive::OverNode}) {
        for (std::uint64_t seed = 1; seed <= 6; ++seed) {
            CAPTURE(static_cast<int>(receive));
            CAPTURE(seed);
            World world{receive};
            Story story{world, receive, seed};
            for (int i = 0; i < 120; ++i) story.step();
            story.end();
        }
    }
}
