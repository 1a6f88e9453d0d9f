// A wallet service of NIP-47 behind one or several fake relays: it reads what clients publish
// there, obeys it as a FakeNode does, and answers; in either encryption, and with whatever happens
// to answers on their way.
#pragma once

#include <set>

#include "fake_node.h"
#include "fake_relay.h"
#include "nostr_event.h"
#include "nutgate/crypto/nostr_cipher.h"
#include "support/fixed_clock.h"

namespace nutgate::test {

enum class NwcEncryption { Nip44, Nip04 };

class FakeNwc : public FakeNode {
public:
    using Trouble = LightningRig::Trouble;
    static constexpr std::string_view kReceiveSecret =
        "3333333333333333333333333333333333333333333333333333333333333333";
    static constexpr std::string_view kPaySecret =
        "4444444444444444444444444444444444444444444444444444444444444444";
    // Longer than any call of a client's.
    static constexpr Seconds kEternity{11};

    explicit FakeNwc(FixedClock& clock, NwcEncryption encryption = NwcEncryption::Nip44)
        : FakeNode{1'013_msat}, clock_{clock}, encryption_{encryption} {}

    // The relays outlive it, or are stopped before it goes.
    void serve_at(FakeRelay& relay) {
        {
            const std::lock_guard lock{mutex_};
            relays_.push_back(&relay);
        }
        relay.on_publish([this](const Json& event) { return hear(event); });
        relay.keep(profile());
    }
    std::string uri(std::string_view secret) const {
        std::string text = "nostr+walletconnect://" + to_hex(our_x()) + "?secret=";
        text += secret;
        for (const FakeRelay* relay : relays()) text += "&relay=" + relay->url();
        return text;
    }

    void offer(const std::string& methods) {
        {
            const std::lock_guard lock{mutex_};
            methods_ = methods;
        }
        for (FakeRelay* relay : relays()) relay->keep(profile());
    }
    // As services answered before there were states.
    void answer_without_states() {
        const std::lock_guard lock{mutex_};
        has_states_ = false;
    }
    // What it says to every call of that method, which it does not do.
    void refuse(const std::string& method, const std::string& code) {
        const std::lock_guard lock{mutex_};
        refusals_[method] = code;
    }
    // It forgets the payments that it made, in what it shows.
    void show_no_payments(bool hidden) {
        const std::lock_guard lock{mutex_};
        hides_payments_ = hidden;
    }
    void trouble_at(int n, Trouble trouble) {
        const std::lock_guard lock{mutex_};
        left_ = n;
        trouble_ = trouble;
    }
    void no_trouble() {
        {
            const std::lock_guard lock{mutex_};
            left_ = 0;
        }
        // What was lost can no longer come.
        clock_.advance(Seconds{20});
    }
    // How often it was told by that method.
    int told(const std::string& method) const {
        const std::lock_guard lock{mutex_};
        const auto found = told_.find(method);
        return found == told_.end() ? 0 : found->second;
    }
    // The encryption and the tags of the last request.
    Json last_tags() const {
        const std::lock_guard lock{mutex_};
        return last_tags_;
    }
    // As services that know both encryptions do: twice.
    void notify(const std::string& type, const PaymentHash& hash, std::string_view secret) {
        const std::string plain =
            Json{{"notification_type", type}, {"notification", {{"payment_hash", hash.hex()}}}}
                .dump();
        const auto client = crypto::generator_times(*crypto::Scalar::from_hex(secret)).x_only();
        for (const auto encryption : {NwcEncryption::Nip04, NwcEncryption::Nip44}) {
            const int kind = encryption == NwcEncryption::Nip04 ? 23'196 : 23'197;
            tell_all(sign(kind, {{"p", to_hex(client)}}, encrypt(client, plain, encryption)));
        }
    }
    Json sign(int kind, std::vector<lightning::NostrTag> tags, std::string content) {
        return lightning::to_json(
            lightning::sign_event({.created_at = to_unix_seconds(clock_.now()),
                                   .kind = kind,
                                   .tags = std::move(tags),
                                   .content = std::move(content)},
                                  key_, random_));
    }
    ByteArray<32> our_x() const { return crypto::generator_times(key_).x_only(); }

protected:
    void add_routes(httplib::Server&) override {}  // It has none.

private:
    using Client = ByteArray<32>;

    Json profile() {
        const std::string encryptions =
            encryption_ == NwcEncryption::Nip44 ? "nip44_v2 nip04" : "nip04";
        std::vector<lightning::NostrTag> tags{{"notifications", "payment_received payment_sent"}};
        // Without that tag it knows the old one alone.
        if (encryption_ == NwcEncryption::Nip44) tags.push_back({"encryption", encryptions});
        const std::lock_guard lock{mutex_};
        profile_time_ = std::max(profile_time_ + 1, to_unix_seconds(clock_.now()));
        return lightning::to_json(lightning::sign_event({.created_at = profile_time_,
                                                         .kind = 13'194,
                                                         .tags = std::move(tags),
                                                         .content = methods_},
                                                        key_, random_));
    }
    std::string encrypt(const Client& client, const std::string& plain, NwcEncryption encryption) {
        const auto point = *crypto::point_of_x(client);
        return encryption == NwcEncryption::Nip44
                   ? crypto::nip44_encrypt(crypto::nip44_conversation_key(key_, point), plain,
                                           random_)
                   : crypto::nip04_encrypt(key_, point, plain, random_);
    }
    std::optional<std::string> decrypt(const Client& client, const std::string& content) const {
        const auto point = *crypto::point_of_x(client);
        return content.find("?iv=") == std::string::npos
                   ? crypto::nip44_decrypt(crypto::nip44_conversation_key(key_, point), content)
                   : crypto::nip04_decrypt(key_, point, content);
    }
    std::vector<FakeRelay*> relays() const {
        const std::lock_guard lock{mutex_};
        return relays_;
    }
    void tell_all(const Json& event) {
        for (FakeRelay* relay : relays()) relay->publish(event);
    }

    FakeRelay::Verdict hear(const Json& json) {
        const auto event = lightning::read_event(json);
        if (!event || !lightning::verify_event(*event) || event->kind != 23'194 ||
            event->tag("p") != to_hex(our_x())) {
            return FakeRelay::Verdict::Refused;
        }
        Trouble trouble{};
        bool is_now = false;
        {
            const std::lock_guard lock{mutex_};
            // Once, over however many relays it comes.
            if (!heard_.insert(event->id).second) return FakeRelay::Verdict::Taken;
            last_tags_ = json.at("tags");
            is_now = left_ > 0 && --left_ == 0;
            trouble = trouble_;
        }
        if (is_now && trouble == Trouble::RefuseConnection) return FakeRelay::Verdict::Refused;
        if (is_now && trouble == Trouble::LoseRequest) {
            time_passes();
            return FakeRelay::Verdict::Taken;
        }
        const auto expires_at = std::stoll(std::string{event->tag("expiration").value_or("0")});
        if (to_unix_seconds(clock_.now()) > expires_at) return FakeRelay::Verdict::Taken;
        answer(*event, is_now ? std::optional{trouble} : std::nullopt);
        return FakeRelay::Verdict::Taken;
    }
    void answer(const lightning::NostrEvent& request, std::optional<Trouble> trouble) {
        const auto encryption =
            request.tag("encryption") == "nip44_v2" ? NwcEncryption::Nip44 : NwcEncryption::Nip04;
        const Json call = Json::parse(*decrypt(request.author, request.content));
        const auto method = call.at("method").get<std::string>();
        auto said = obey(request.author, method, call.at("params"));
        if (trouble == Trouble::LoseAnswer || !said) return time_passes();
        if (trouble == Trouble::ServerError) said = error("INTERNAL");
        (*said)["result_type"] = method;
        const auto send = [&] {
            // Not every service says whom it answers.
            std::vector<lightning::NostrTag> tags{{"e", to_hex(request.id)}};
            if (encryption == NwcEncryption::Nip44) tags.push_back({"p", to_hex(request.author)});
            tell_all(sign(23'195, std::move(tags),
                          trouble == Trouble::Nonsense
                              ? "nonsense"
                              : encrypt(request.author, said->dump(), encryption)));
        };
        send();
        if (trouble != Trouble::Double) return;
        said = obey(request.author, method, call.at("params"));
        if (said) send();
    }
    // Whoever waits for something looks at the clock when anything comes.
    void time_passes() {
        clock_.advance(kEternity);
        for (FakeRelay* relay : relays()) relay->send(R"(["NOTICE","time passes"])");
    }

    static Json error(const std::string& code) {
        return {{"error", {{"code", code}, {"message", "words"}}}, {"result", nullptr}};
    }
    static Json result(const Json& json) { return {{"error", nullptr}, {"result", json}}; }

    // Empty: it is at it.
    std::optional<Json> obey(const Client& client, const std::string& method, const Json& params) {
        const std::lock_guard lock{mutex_};
        ++told_[method];
        const auto is = [&](std::string_view secret) {
            return crypto::generator_times(*crypto::Scalar::from_hex(secret)).x_only() == client;
        };
        if (!is(kReceiveSecret) && !is(kPaySecret)) return error("UNAUTHORIZED");
        if (const auto no = refusals_.find(method); no != refusals_.end()) {
            return error(no->second);
        }
        if (method == "make_invoice") return make_invoice(params);
        if (method == "lookup_invoice") return lookup_invoice(params);
        if (method == "pay_invoice") {
            return is(kPaySecret) ? pay_invoice(params) : error("RESTRICTED");
        }
        if (method == "get_info") {
            return result({{"alias", "fake"}, {"network", "regtest"}, {"block_height", 1}});
        }
        return error("NOT_IMPLEMENTED");
    }
    Json make_invoice(const Json& params) {
        const auto amount = *Msat::from_raw(params.at("amount").get<std::int64_t>());
        const auto hash = make("", params.at("description").get<std::string>(), amount,
                               Seconds{params.at("expiry").get<std::int64_t>()}, std::nullopt);
        return result({{"type", "incoming"},
                       {"invoice", shown(*made(hash))},
                       {"payment_hash", hash.hex()},
                       {"amount", amount.raw()}});
    }
    Json lookup_invoice(const Json& params) {
        const auto text = params.at("payment_hash").get<std::string>();
        const auto hash = PaymentHash::parse(text);
        Json json{{"payment_hash", text}};
        std::string state;
        if (const Made* found = made(hash)) {
            const bool paid = found->state == Made::State::Paid;
            state = paid ? "settled" : found->state == Made::State::Expired ? "expired" : "pending";
            json["type"] = "incoming";
            json["amount"] = (paid ? found->received : found->amount).raw();
            if (paid) json["preimage"] = shown(found->preimage);
        } else if (const Sent* payment = hides_payments_ ? nullptr : sent(hash)) {
            const bool paid = payment->state == Sent::State::Succeeded;
            state = paid ? "settled" : payment->state == Sent::State::Failed ? "failed" : "pending";
            json["type"] = "outgoing";
            json["amount"] = payment->amount.raw();
            json["fees_paid"] = payment->fee.raw();
            if (paid) json["preimage"] = shown(*payment->preimage);
        } else {
            return error("NOT_FOUND");
        }
        if (state == "settled") json["settled_at"] = 1'790'000'000;
        if (has_states_) json["state"] = state;
        return result(json);
    }
    std::optional<Json> pay_invoice(const Json& params) {
        const auto bolt11 = params.at("invoice").get<std::string>();
        if (tell(bolt11, std::nullopt) != Verdict::Begun) return error("OTHER");
        const Sent& payment = *sent(parse_bolt11(bolt11)->payment_hash);
        switch (payment.state) {
            case Sent::State::InFlight:
                return std::nullopt;
            case Sent::State::Failed:
                return error("PAYMENT_FAILED");
            case Sent::State::Succeeded:
                return result(
                    {{"preimage", shown(*payment.preimage)}, {"fees_paid", payment.fee.raw()}});
        }
        return std::nullopt;
    }

    FixedClock& clock_;
    const NwcEncryption encryption_;
    const crypto::Scalar key_ = *crypto::Scalar::from_hex(std::string(64, '5'));
    crypto::SystemRandom random_;

    // Guarded by mutex_.
    std::vector<FakeRelay*> relays_;
    std::string methods_ = "pay_invoice make_invoice lookup_invoice get_info notifications";
    std::set<lightning::NostrId> heard_;
    std::map<std::string, int> told_;
    std::map<std::string, std::string> refusals_;
    Json last_tags_;
    bool has_states_ = true;
    bool hides_payments_ = false;
    std::int64_t profile_time_ = 0;
    int left_ = 0;
    Trouble trouble_ = Trouble::Double;
};

}  // namespace nutgate::test
