// What goes over a mint's WebSocket (NUT-17): JSON-RPC 2.0, one message to a frame.
//
// A notification is a hint that something may have changed: whoever gets one asks the mint, and
// only that answer counts. So its payload is kept as the JSON that it is; parse_mint_quote(),
// parse_melt_quote() and parse_proof_state() read it where somebody wants to.
//
//     socket.send(write_socket_request(1, Subscribe{SubscriptionKind::ProofState, "s1",
//     {y.hex()}})); auto message = parse_socket_message(frame); if (auto* note =
//     std::get_if<SocketNotification>(&*message); note && note->sub_id == "s1") …
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "nutgate/cashu/wire.h"

namespace nutgate::cashu::wire {

inline constexpr std::size_t kSubscriptionIdBytesMax = 256;
inline constexpr std::size_t kSubscriptionFiltersMax = 1000;
inline constexpr std::size_t kFilterBytesMax = 256;

enum class SubscriptionKind { MintQuote, MeltQuote, ProofState };  // The quotes are bolt11's.
std::string_view to_text(SubscriptionKind kind);

struct Subscribe {
    SubscriptionKind kind = SubscriptionKind::MintQuote;
    std::string sub_id;                // The client's choice, to tell notifications apart.
    std::vector<std::string> filters;  // Quote ids, or the Ys of proofs in hex.
};
struct Unsubscribe {
    std::string sub_id;
};
struct SocketRequest {
    std::uint64_t id = 0;
    std::variant<Subscribe, Unsubscribe> call;
};
// A kind or method that we don't know is OutOfRange.
Parsed<SocketRequest> parse_socket_request(std::string_view json);
std::string write_socket_request(std::uint64_t id, const Subscribe&);
std::string write_socket_request(std::uint64_t id, const Unsubscribe&);

struct SocketAck {
    std::uint64_t id = 0;  // The request's.
    std::string sub_id;
};
struct SocketNotification {
    std::string sub_id;
    std::string payload;  // JSON, an object.
};
struct SocketError {
    std::optional<std::uint64_t> id;  // Empty where the mint could not tell.
    std::int64_t code = 0;
    std::string message;
};
using SocketMessage = std::variant<SocketAck, SocketNotification, SocketError>;
// Ids may be numbers, or digits in a text; params an object, or a text that holds one. An ack
// whose status is not OK is an error without a code.
Parsed<SocketMessage> parse_socket_message(std::string_view json);
std::string write_socket_message(const SocketMessage&);

}  // namespace nutgate::cashu::wire
