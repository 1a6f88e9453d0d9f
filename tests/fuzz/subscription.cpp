#include "nutgate/cashu/subscription.h"

#include <cstdint>
#include <string_view>

#include "nutgate/base/verify.h"

// A frame of a mint's WebSocket, from either side: what was read and written is read again, and
// written the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace nutgate::cashu::wire;
    const std::string_view json{reinterpret_cast<const char*>(data), size};
    if (const auto message = parse_socket_message(json)) {
        const std::string written = write_socket_message(*message);
        const auto again = parse_socket_message(written);
        VERIFY(again.has_value());
        VERIFY(write_socket_message(*again) == written);
        if (const auto* notification = std::get_if<SocketNotification>(&*message)) {
            static_cast<void>(parse_mint_quote(notification->payload));
            static_cast<void>(parse_melt_quote(notification->payload));
            static_cast<void>(parse_proof_state(notification->payload));
        }
    }
    if (const auto request = parse_socket_request(json)) {
        const auto write = [](const SocketRequest& one) {
            return std::visit([&](const auto& call) { return write_socket_request(one.id, call); },
                              one.call);
        };
        const auto again = parse_socket_request(write(*request));
        VERIFY(again.has_value());
        VERIFY(write(*again) == write(*request));
    }
    return 0;
}
