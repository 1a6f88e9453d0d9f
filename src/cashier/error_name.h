// How an operation's failure is written in its row, and read from it.
#pragma once

#include <string>
#include <string_view>

#include "nutgate/cashier/error.h"
#include "nutgate/payment/method.h"

namespace nutgate {

std::string_view failure_name(CashierError::Code code);
CashierError::Code failure_of_name(std::string_view text);

// With the advice to ask again where that helps.
CashierError make_error(CashierError::Code code, std::string detail = {});
// `unsupported`: what the method was asked for and does not do.
CashierError error_of(payment::PaymentError error, CashierError::Code unsupported);

}  // namespace nutgate
