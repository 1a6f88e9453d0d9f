#include "payment_terms.h"

#include "nutgate/cashu/payment_request.h"
#include "nutgate/http/error_envelope.h"

namespace nutgate::app {

std::vector<std::string> PaymentTerms::mint_urls() const {
    std::vector<std::string> urls;
    for (const auto& mint : wallet_.mints()) urls.push_back(wallet_.token_url(mint));
    return urls;
}

std::string PaymentTerms::methods_json() const {
    std::string mints;
    for (const std::string& url : mint_urls()) {
        if (!mints.empty()) mints += ",";
        mints += http::json_quote(url);
    }
    return R"([{"id":"cashu","mints":[)" + mints + R"(]},{"id":"lightning","invoice_url":)" +
           http::json_quote(public_url_ + "/lightning/invoice") + "}]";
}

std::string PaymentTerms::request_for(Msat amount) const {
    const Sat floor = to_sat_floor(amount);
    cashu::PaymentRequest request;
    constexpr cashu::Amount kFee =
        1;  // Of ten proofs, at a tenth of a sat for each. It comes back.
    request.amount =
        static_cast<cashu::Amount>(floor.raw()) + (to_msat(floor) < amount ? 1 : 0) + kFee;
    request.unit = "sat";
    for (const std::string& url : mint_urls()) {
        if (const auto mint = cashu::MintUrl::parse(url)) request.mints.push_back(*mint);
    }
    return cashu::write_creq_a(request);
}

}  // namespace nutgate::app
