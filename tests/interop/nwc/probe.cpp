// The backend for Nostr Wallet Connect as a program, for whoever tries it with a real service: does
// what lines of stdin say, and answers each with a line of JSON. A hint is a line of its own.
//
//     nwc_probe RECEIVE_ADDRESS_FILE PAY_ADDRESS_FILE DATABASE_URL
//
//     status · invoice LABEL MSAT · incoming HASH · pay BOLT11 MSAT FEE_MAX_MSAT · outgoing HASH
#include <nlohmann/json.hpp>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <mutex>
#include <sstream>
#include <string>

#include "nutgate/lightning/nwc.h"
#include "nutgate/store/open.h"

namespace {

using namespace nutgate;
using Json = nlohmann::json;

// Short, so that what is lost is soon known to be.
constexpr Milliseconds kTimeout{3'000};
constexpr Seconds kGrace{2};

void say(const Json& json) {
    static std::mutex mutex;
    const std::lock_guard lock{mutex};
    std::puts(json.dump().c_str());
    std::fflush(stdout);
}

std::string read_file(const char* path) {
    std::ifstream file{path};
    std::string text{std::istreambuf_iterator<char>{file}, {}};
    while (text.ends_with('\n')) text.pop_back();
    return text;
}

const char* name_of(BackendError error) {
    switch (error) {
        case BackendError::Unreachable:
            return "unreachable";
        case BackendError::Refused:
            return "refused";
        case BackendError::NotFound:
            return "not found";
    }
    return "";
}

const char* name_of(PaymentState state) {
    switch (state) {
        case PaymentState::Pending:
            return "pending";
        case PaymentState::Settled:
            return "settled";
        case PaymentState::Failed:
            return "failed";
    }
    return "";
}

Json told(const Result<Payment, BackendError>& payment) {
    if (!payment) return {{"error", name_of(payment.error())}};
    return {{"state", name_of(payment->state)},
            {"amount", payment->amount.raw()},
            {"fee", payment->fee.raw()},
            {"has_preimage", payment->preimage.has_value()}};
}

Msat msat_of(std::istream& words) {
    std::int64_t number = 0;
    words >> number;
    return Msat::from_raw(number).value_or(Msat{});
}

Json obey(LightningNode& wallet, std::istream& words) {
    std::string command;
    std::string text;
    words >> command;
    if (command == "status") {
        const auto status = wallet.status();
        if (!status) return {{"error", name_of(status.error())}};
        return {{"version", status->version}, {"is_regtest", status->network == Network::Regtest}};
    }
    words >> text;
    if (command == "invoice") {
        const auto invoice = wallet.create_invoice(
            {.amount = msat_of(words), .memo = "interop", .expiry = Seconds{3600}, .label = text});
        if (!invoice) return {{"error", name_of(invoice.error())}};
        return {{"hash", invoice->hash.hex()}, {"bolt11", invoice->bolt11}};
    }
    if (command == "pay") {
        const auto invoice = parse_bolt11(text);
        if (!invoice) return {{"error", "no invoice"}};
        const Msat amount = msat_of(words);
        const Msat fee_max = msat_of(words);
        return told(wallet.pay(
            {.hash = invoice->payment_hash, .bolt11 = text, .amount = amount, .fee_max = fee_max}));
    }
    const auto hash = PaymentHash::parse(text);
    if (!hash) return {{"error", "no hash"}};
    if (command == "incoming") return told(wallet.incoming(*hash));
    if (command == "outgoing") return told(wallet.outgoing(*hash));
    return {{"error", "no such command"}};
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) return 2;
    auto database = store::open(argv[3]);
    if (!database || !migrate_lightning(**database)) return 1;
    const SystemClock clock;
    crypto::SystemRandom random;
    metrics::Registry metrics;
    http::WebSockets sockets{{}, metrics};
    NodeOptions options;
    options.network = Network::Regtest;
    options.receive_credential = Secret{to_bytes(read_file(argv[1]))};
    options.pay_credential = Secret{to_bytes(read_file(argv[2]))};
    options.pushes = &sockets;
    options.timeout = kTimeout;
    options.pay_time = kTimeout;
    const auto wallet = make_nwc(std::move(options),
                                 {.relay_patience = kTimeout,
                                  .grace = kGrace,
                                  .backoff_first = Milliseconds{50},
                                  .backoff_max = Milliseconds{500}},
                                 **database, clock, random);
    if (!wallet) return 2;
    wallet->on_change([&](const PaymentHash& hash) { say({{"hint", hash.hex()}}); });
    say({{"ready", true}});
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words{line};
        say(obey(*wallet, words));
    }
    wallet->end_hints();
    return 0;
}
