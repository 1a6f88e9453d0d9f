// The two texts of a payment request behind their beginnings.
#pragma once

#include "nutgate/base/bytes.h"
#include "nutgate/cashu/payment_request.h"

namespace nutgate::cashu {

// NUT-18's CBOR.
Result<PaymentRequest, PaymentRequestError> read_request_cbor(BytesView cbor);
Bytes write_request_cbor(const PaymentRequest& request);

// NUT-26's TLV: a tag of one byte, a length of two, a value; tags within values.
Result<PaymentRequest, PaymentRequestError> read_request_tlv(BytesView tlv);
Result<Bytes, PaymentRequestError> write_request_tlv(const PaymentRequest& request);

}  // namespace nutgate::cashu
