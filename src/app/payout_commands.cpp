// nutgate payout: revenue to the owner over Lightning, through the running node.
#include <cstdio>
#include <string>

#include "commands.h"
#include "nutgate/crypto/random.h"
#include "operator_face.h"

namespace nutgate::app {
namespace {

std::string sats_of(const Json& body, const char* name) {
    const auto amount = Msat::from_raw(body.value(name, std::int64_t{0}));
    return sats(amount.value_or(Msat{}));
}

std::string text_of(const Json& body, const char* name) {
    const auto field = body.find(name);
    return field != body.end() && field->is_string() ? field->get<std::string>() : std::string{};
}

void print_payout(const Json& line) {
    const auto status = text_of(line, "status");
    std::printf("%s %-7s %s sat to %s, ", text_of(line, "request").c_str(), status.c_str(),
                sats_of(line, "amount_msat").c_str(), text_of(line, "target").c_str());
    if (status == "paid") {
        std::printf("for a fee of %s sat; payment hash %s\n", sats_of(line, "fee_msat").c_str(),
                    text_of(line, "payment_hash").c_str());
    } else if (status == "failed") {
        std::printf("nothing was taken: %s\n", text_of(line, "reason").c_str());
    } else {
        std::printf("for a fee of up to %s sat; both stay taken until its end is certain\n",
                    sats_of(line, "fee_max_msat").c_str());
    }
}

void print_estimate(const Json& body) {
    std::printf(
        "%s sat would be sent, for a fee of up to %s sat%s; %s sat can be withdrawn\n",
        sats_of(body, "amount_msat").c_str(), sats_of(body, "fee_max_msat").c_str(),
        body.value("is_exact", false) ? "" : " by rule (nobody tells one before it is sent)",
        sats_of(body, "withdrawable_msat").c_str());
}

}  // namespace

int payout_send(const PayoutArguments& a) {
    crypto::SystemRandom random;
    const auto named = OperationId::parse(a.request);
    if (!a.request.empty() && !named) {
        return complain("--request: must be 32 hex digits", kMisused);
    }
    const auto id = named.value_or(random.id<OperationId>()).hex();
    Json body{{"target", a.target}, {"request", id}};
    if (a.amount_sats > 0) body["amount_sats"] = a.amount_sats;
    const auto answer =
        ask_node(a.data_dir, {.path = a.dry_run ? "/admin/payouts/estimate" : "/admin/payouts",
                              .body = std::move(body)});
    if (!answer) {
        const auto& error = answer.error();
        return complain(error.again ? error.detail + "; to ask for the same again: --request " + id
                                    : error.detail + " (request " + id + ")");
    }
    if (a.output == Output::Json) return print(*answer);
    if (a.dry_run) {
        print_estimate(*answer);
    } else {
        print_payout(*answer);
    }
    return kDone;
}

int payout_status(const PayoutArguments& a) {
    const std::string query =
        a.request.empty() ? std::string{} : "?request=" + http::percent_encode(a.request);
    const auto answer =
        ask_node(a.data_dir, {.method = http::Method::Get, .path = "/admin/payouts" + query});
    if (!answer) return complain(answer.error().detail);
    if (a.output == Output::Json) return print(*answer);
    for (const Json& line : answer->value("payouts", Json::array())) print_payout(line);
    return kDone;
}

}  // namespace nutgate::app
