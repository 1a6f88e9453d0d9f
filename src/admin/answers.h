// What the operator's routes share: reading a body field by field, and one way to answer.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "nutgate/admin/admin.h"
#include "nutgate/http/error_envelope.h"

namespace nutgate::admin {

using Json = nlohmann::ordered_json;
using Answer = Result<Json, http::ApiError>;

http::ApiError refusal(int status, std::string code, std::string message);
// What an operator can act upon, with the detail that buyers are not told.
http::ApiError of_cashier(const CashierError& error);
http::ApiError of_wallet(const cashu::WalletError& error);

// The fields of a JSON body, each with its own clear error. Null is absent.
class Body {
public:
    static Result<Body, http::ApiError> of(const http::Request& request);

    Result<std::string, http::ApiError> text(const char* name) const;
    Result<std::optional<Sat>, http::ApiError> optional_sats(const char* name) const;
    Result<Sat, http::ApiError> sats(const char* name) const;  // At least 1.
    Result<std::optional<cashu::MintUrl>, http::ApiError> optional_mint(const char* name) const;
    Result<cashu::MintUrl, http::ApiError> mint(const char* name) const;
    Result<OperationId, http::ApiError> request_id() const;

private:
    Json body_;
};

// A route of /admin: it demands the operator's token; while the books do not add up it moves no
// money.
enum class Effect { Reads, Writes };
using Handler = std::function<Answer(const Services&, const http::Request&)>;
void add(http::Server& server, const Services& services, http::Route route, Effect effect,
         Handler handler);

void add_wallet_routes(http::Server& server, const Services& services);
void add_payout_routes(http::Server& server, const Services& services);
void add_mint_routes(http::Server& server, const Services& services);

}  // namespace nutgate::admin
