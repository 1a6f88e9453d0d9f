#include "cashu/vectors.h"
#include "nutgate/cashu/subscription.h"

namespace nutgate::cashu::wire {
namespace {

using test::Json;
using Code = WireError::Code;

TEST_CASE("socket: subscribing is JSON-RPC as NUT-17 has it") {
    const Subscribe subscribe{SubscriptionKind::ProofState, "s1", {"02aa", "02bb"}};
    const Json wanted{
        {"jsonrpc", "2.0"},
        {"id", 7},
        {"method", "subscribe"},
        {"params", {{"kind", "proof_state"}, {"subId", "s1"}, {"filters", {"02aa", "02bb"}}}}};
    CHECK(Json::parse(write_socket_request(7, subscribe)) == wanted);
    const auto read = parse_socket_request(wanted.dump());
    REQUIRE(read);
    CHECK(read->id == 7);
    CHECK(std::get<Subscribe>(read->call).filters == subscribe.filters);
    CHECK(std::get<Subscribe>(read->call).kind == SubscriptionKind::ProofState);

    const Json bye{
        {"jsonrpc", "2.0"}, {"id", 8}, {"method", "unsubscribe"}, {"params", {{"subId", "s1"}}}};
    CHECK(Json::parse(write_socket_request(8, Unsubscribe{"s1"})) == bye);
    CHECK(std::get<Unsubscribe>(parse_socket_request(bye.dump())->call).sub_id == "s1");
}

TEST_CASE("socket: each kind has its name") {
    for (const char* kind : {"bolt11_mint_quote", "bolt11_melt_quote", "proof_state"}) {
        const std::string json = R"({"id":"12","method":"subscribe","params":{"kind":")" +
                                 std::string{kind} + R"(","subId":"s","filters":[]}})";
        const auto read = parse_socket_request(json);
        REQUIRE(read);
        CHECK(read->id == 12);
        CHECK(to_text(std::get<Subscribe>(read->call).kind) == kind);
    }
}

TEST_CASE("socket: a request that is not NUT-17's says what is wrong with it") {
    const auto fault = [](const char* json) {
        CAPTURE(json);
        const auto read = parse_socket_request(json);
        REQUIRE_FALSE(read);
        return read.error();
    };
    CHECK(fault("[]").code == Code::WrongType);
    CHECK(fault(R"({"method":"subscribe","params":{}})").where == "id");
    CHECK(fault(R"({"id":1,"method":"shout","params":{"subId":"s"}})").where == "method");
    CHECK(fault(R"({"id":1,"method":"subscribe"})").where == "params");
    CHECK(fault(R"({"id":1,"method":"subscribe","params":7})").code == Code::WrongType);
    CHECK(fault(R"({"id":1,"method":"subscribe","params":{"kind":"x","subId":"s","filters":[]}})")
              .where == "params.kind");
    CHECK(fault(R"({"id":1,"method":"unsubscribe","params":{}})").where == "params.subId");
    CHECK(fault(R"({"id":"x","method":"unsubscribe","params":{"subId":"s"}})").where == "id");
    CHECK(fault(R"({"id":1,"method":"subscribe","params":{"kind":"proof_state","subId":"s",)"
                R"("filters":[1]}})")
              .where == "params.filters[0]");
    const Json many{{"id", 1},
                    {"method", "subscribe"},
                    {"params",
                     {{"kind", "proof_state"},
                      {"subId", "s"},
                      {"filters", Json(kSubscriptionFiltersMax + 1, "a")}}}};
    CHECK(parse_socket_request(many.dump()).error().code == Code::TooMany);
}

TEST_CASE("socket: what a mint says is an ack, a notification or an error") {
    const auto ack =
        parse_socket_message(R"({"jsonrpc":"2.0","result":{"status":"OK","subId":"s"},"id":3})");
    REQUIRE(ack);
    CHECK(std::get<SocketAck>(*ack).id == 3);
    CHECK(std::get<SocketAck>(*ack).sub_id == "s");

    const auto refused = parse_socket_message(R"({"result":{"status":"NO","subId":"s"},"id":"3"})");
    REQUIRE(refused);
    CHECK(std::get<SocketError>(*refused).id == 3);
    CHECK(std::get<SocketError>(*refused).message == "NO");

    const auto error = parse_socket_message(
        R"({"jsonrpc":"2.0","error":{"code":-32601,"message":"no"},"id":"1"})");
    REQUIRE(error);
    CHECK(std::get<SocketError>(*error).code == -32601);
    CHECK(std::get<SocketError>(*error).id == 1);
    CHECK_FALSE(std::get<SocketError>(
                    parse_socket_message(R"({"error":{"message":"no"},"id":null})").value())
                    .id);
    for (const char* json :
         {"", "[]", "{}", R"({"result":7,"id":1})", R"({"result":{"status":"OK"}})",
          R"({"error":"no"})", R"({"error":{"code":"x"}})", R"({"params":{"payload":{}}})",
          R"({"params":{"subId":"s"}})", R"({"params":{"subId":"s","payload":"PAID"}})",
          R"({"params":"{"})"}) {
        CAPTURE(json);
        CHECK_FALSE(parse_socket_message(json));
    }
}

TEST_CASE("socket: a notification's payload is what it is of, as JSON") {
    const std::string quote =
        R"({"quote":"q","request":"r","unit":"sat","amount":5,"amount_issued":0,"amount_paid":5})";
    const std::string params = R"({"subId":"s","payload":)" + quote + "}";
    for (const std::string& form : {params, Json(params).dump()}) {
        const auto message =
            parse_socket_message(R"({"jsonrpc":"2.0","method":"subscribe","params":)" + form + "}");
        REQUIRE(message);
        const auto& notification = std::get<SocketNotification>(*message);
        CHECK(notification.sub_id == "s");
        CHECK(parse_mint_quote(notification.payload)->mintable() == 5);
        const auto again = parse_socket_message(write_socket_message(*message));
        CHECK(std::get<SocketNotification>(again.value()).payload == notification.payload);
    }
    const auto y = crypto::Point::from_hex(
                       "02a9acc1e48c25eeeb9289b5031cc57da9fe72f3fe2861d264bdc074209b107ba2")
                       .value();
    const SocketMessage note =
        SocketNotification{"s", write_proof_state({y, ProofState::Spent, "w"})};
    const auto read = parse_socket_message(write_socket_message(note));
    const auto state = parse_proof_state(std::get<SocketNotification>(read.value()).payload);
    REQUIRE(state);
    CHECK(state->Y == y);
    CHECK(state->state == ProofState::Spent);
    CHECK(state->witness == "w");
    CHECK_FALSE(parse_proof_state("{}"));
    CHECK_FALSE(parse_proof_state("[]"));
}

TEST_CASE("socket: acks and errors are written as they are read") {
    const auto ack = parse_socket_message(write_socket_message(SocketAck{9, "s"}));
    CHECK(std::get<SocketAck>(ack.value()).id == 9);
    const auto error =
        parse_socket_message(write_socket_message(SocketError{std::nullopt, -32600, "bad"}));
    CHECK(std::get<SocketError>(error.value()).code == -32600);
    CHECK(std::get<SocketError>(error.value()).message == "bad");
}

}  // namespace
}  // namespace nutgate::cashu::wire
