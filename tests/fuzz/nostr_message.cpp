#include "lightning/nostr_message.h"

#include <cstdint>
#include <string_view>

#include "nutgate/base/verify.h"

// A frame of a relay, which anybody may be: what was read as an event is written and read the same,
// and what it says of itself is checked without surprises.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace nutgate::lightning;
    const auto message =
        parse_relay_message(std::string_view{reinterpret_cast<const char*>(data), size});
    if (!message) return 0;
    if (const auto* found = std::get_if<RelayEvent>(&*message)) {
        static_cast<void>(verify_event(found->event));
        static_cast<void>(found->event.tag("p"));
        const auto again = read_event(to_json(found->event));
        VERIFY(again.has_value());
        VERIFY(event_preimage(*again) == event_preimage(found->event));
        VERIFY(again->id == found->event.id && again->signature == found->event.signature);
        // What is written is what goes the other way.
        const auto sent = parse_json(write_event(found->event));
        VERIFY(sent.is_array() && sent.size() == 2);
    }
    return 0;
}
