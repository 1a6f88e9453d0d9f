// LNURL-pay and Lightning addresses (LUD-01, 06, 12, 16, 17): from the text that a person pasted to
// an invoice that may be paid.
//
// The text names a server that a stranger chose, and so does that server's answer: only https is
// called, or http of an onion service, only hosts of the public internet, and no answer is read
// beyond a bound. An invoice is asked for once for each payment and stored before it is paid:
// another one would have another hash, and could be paid beside it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "nutgate/base/amount.h"
#include "nutgate/base/clock.h"
#include "nutgate/base/result.h"
#include "nutgate/http/client.h"
#include "nutgate/lightning/invoice.h"

namespace nutgate {

enum class LnurlError {
    NotLnurl,       // Neither lnurl1…, nor lnurlp:…, nor name@host.
    NotForPaying,   // It is for withdrawing, logging in, or a channel.
    UrlRefused,     // Neither https nor an onion service, or no URL.
    Unreachable,    // No answer in time, or from no host that may be called.
    Malformed,      // The answer is none that LUD-06 knows, or too large.
    Declined,       // The server said no: `detail` is what it said, in printable ASCII.
    AmountRefused,  // Below its least or beyond its most.
    CommentTooLong,
    InvoiceMalformed,
    InvoiceForeign,  // Of another network.
    InvoiceAmount,
    InvoiceDescription,  // Its hash is not that of what the server had said it is for.
    InvoiceExpired,      // Or about to.
};
struct LnurlFault {
    LnurlError code;
    std::string detail = {};
};

// The URL to ask, whatever the text's form: upper case, "lightning:" before it.
Result<std::string, LnurlFault> lnurl_url(std::string_view text);

struct LnurlPay {
    std::string callback;  // Checked like the first URL.
    Msat least;
    Msat most;
    std::string metadata;     // As received: its hash is in the invoice.
    std::string description;  // Its text/plain. Anybody's words.
    std::size_t comment_max = 0;
};
Result<LnurlPay, LnurlFault> parse_lnurl_pay(std::string_view body);

// The second URL. The amount and the comment must be allowed.
Result<std::string, LnurlFault> lnurl_callback(const LnurlPay& pay, Msat amount,
                                               std::string_view comment = {});

struct LnurlInvoice {
    std::string bolt11;
    Bolt11 parsed;
};
struct LnurlCheck {
    Msat amount;
    Network network = Network::Bitcoin;
    Time now;
    // LUD-06 wants the hash of the metadata in the invoice; many servers write a description.
    bool needs_hash = false;
};
Result<LnurlInvoice, LnurlFault> parse_lnurl_invoice(std::string_view body, const LnurlPay& pay,
                                                     const LnurlCheck& check);

// Asks. Thread-safe.
class LnurlClient {
public:
    static constexpr Milliseconds kTimeout{10'000};
    static constexpr std::size_t kAnswerBytesMax = 64 * 1024;
    static constexpr int kRedirectsMax = 2;
    static constexpr Seconds kExpiryLeftMin{60};  // For the payment to be begun in.

    LnurlClient(http::Client& client, const Clock& clock, Network network)
        : client_{client}, clock_{clock}, network_{network} {}

    Result<LnurlPay, LnurlFault> ask(std::string_view text);
    Result<LnurlInvoice, LnurlFault> invoice(const LnurlPay& pay, Msat amount,
                                             std::string_view comment = {});

private:
    Result<std::string, LnurlFault> fetch(std::string url);

    http::Client& client_;
    const Clock& clock_;
    const Network network_;
};

}  // namespace nutgate
