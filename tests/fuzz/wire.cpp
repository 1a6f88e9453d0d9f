#include <cstdint>
#include <string_view>

#include "nutgate/cashu/wire_batch.h"
#include "nutgate/cashu/wire_offers.h"

namespace {

using namespace nutgate::cashu::wire;

// What was read and written is read again, and written the same.
template <class Parse, class Write>
void check(std::string_view json, Parse parse, Write write) {
    const auto value = parse(json);
    if (!value) return;
    const std::string written = write(*value);
    const auto again = parse(written);
    VERIFY(again.has_value());
    VERIFY(write(*again) == written);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view json{reinterpret_cast<const char*>(data), size};
    check(json, parse_swap_request, write_swap_request);
    check(json, parse_mint_request, write_mint_request);
    check(json, parse_signatures, write_signatures);
    check(json, parse_mint_quote_request, write_mint_quote_request);
    check(json, parse_mint_quote, write_mint_quote);
    check(json, parse_melt_quote_request, write_melt_quote_request);
    check(json, parse_melt_quote, write_melt_quote);
    check(json, parse_melt_request, write_melt_request);
    check(json, parse_check_state_request, write_check_state_request);
    check(json, parse_check_state_response, write_check_state_response);
    check(json, parse_proof_state, write_proof_state);
    check(json, parse_offer_quote_request, write_offer_quote_request);
    check(json, parse_offer_quote, write_offer_quote);
    check(json, parse_batch_check_request, write_batch_check_request);
    check(json, parse_batch_mint_request, write_batch_mint_request);
    check(json, parse_mint_quotes, write_mint_quotes);
    check(json, parse_restore_request, write_restore_request);
    check(json, parse_restore_response, write_restore_response);
    check(json, parse_keysets, write_keysets);
    check(json, parse_keys, write_keys);
    check(json, parse_info, write_info);
    static_cast<void>(parse_error(json));
    return 0;
}
