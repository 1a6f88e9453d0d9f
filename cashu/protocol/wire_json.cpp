#include "protocol/wire_json.h"

#include "nutgate/base/json_depth.h"
#include "protocol/json_reader.h"

namespace nutgate::cashu::wire {

namespace {

ProofState proof_state(std::string_view text) {
    if (text == "UNSPENT") return ProofState::Unspent;
    if (text == "SPENT") return ProofState::Spent;
    return ProofState::Pending;
}

std::string_view to_text(ProofState state) {
    switch (state) {
        case ProofState::Unspent:
            return "UNSPENT";
        case ProofState::Pending:
            return "PENDING";
        case ProofState::Spent:
            return "SPENT";
    }
    return "PENDING";
}

// Empty after a fault.
std::optional<StateOfProof> read_state(Reader& reader, const Json& item) {
    const auto y = reader.point(item, "Y");
    const std::string state = reader.text(item, "state", kTextBytesMax);
    auto witness = reader.maybe_text(item, "witness", kTextBytesMax);
    if (!y) return std::nullopt;
    return StateOfProof{*y, proof_state(state), std::move(witness)};
}

}  // namespace

std::string dump(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json to_json(const Proof& proof) {
    Json json{{"amount", proof.amount},
              {"id", proof.id.text()},
              {"secret", proof.secret},
              {"C", proof.C.hex()}};
    if (proof.witness) json["witness"] = *proof.witness;
    return json;
}

Json to_json(const BlindedMessage& output) {
    return {{"amount", output.amount}, {"id", output.id.text()}, {"B_", output.B_.hex()}};
}

Json to_json(const BlindSignature& signature) {
    Json json{
        {"amount", signature.amount}, {"id", signature.id.text()}, {"C_", signature.C_.hex()}};
    if (signature.dleq) {
        json["dleq"] = {{"e", to_hex(signature.dleq->e)}, {"s", to_hex(signature.dleq->s)}};
    }
    return json;
}

Json to_json(const StateOfProof& state) {
    Json json{{"Y", state.Y.hex()}, {"state", to_text(state.state)}};
    if (state.witness) json["witness"] = *state.witness;
    return json;
}

Parsed<SwapRequest> parse_swap_request(std::string_view json) {
    Reader reader{json};
    auto inputs = reader.proofs(reader.root(), "inputs");
    auto outputs = reader.outputs(reader.root(), "outputs");
    return reader.finish(SwapRequest{std::move(inputs), std::move(outputs)});
}

std::string write_swap_request(const SwapRequest& request) {
    return dump(
        {{"inputs", to_json_array(request.inputs)}, {"outputs", to_json_array(request.outputs)}});
}

Parsed<MintRequest> parse_mint_request(std::string_view json) {
    Reader reader{json};
    MintRequest request;
    request.quote = reader.text(reader.root(), "quote", kQuoteIdBytesMax);
    request.outputs = reader.outputs(reader.root(), "outputs");
    request.signature = reader.maybe_text(reader.root(), "signature", kTextBytesMax);
    return reader.finish(std::move(request));
}

std::string write_mint_request(const MintRequest& request) {
    Json json{{"quote", request.quote}, {"outputs", to_json_array(request.outputs)}};
    if (request.signature) json["signature"] = *request.signature;
    return dump(json);
}

Parsed<std::vector<BlindSignature>> parse_signatures(std::string_view json) {
    Reader reader{json};
    auto signatures = reader.signatures(reader.root(), "signatures");
    return reader.finish(std::move(signatures));
}

std::string write_signatures(const std::vector<BlindSignature>& signatures) {
    return dump({{"signatures", to_json_array(signatures)}});
}

Parsed<MeltRequest> parse_melt_request(std::string_view json) {
    Reader reader{json};
    MeltRequest request;
    request.quote = reader.text(reader.root(), "quote", kQuoteIdBytesMax);
    request.inputs = reader.proofs(reader.root(), "inputs");
    request.outputs = reader.maybe_outputs(reader.root(), "outputs");
    request.prefer_async = reader.flag(reader.root(), "prefer_async");
    return reader.finish(std::move(request));
}

std::string write_melt_request(const MeltRequest& request) {
    Json json{{"quote", request.quote}, {"inputs", to_json_array(request.inputs)}};
    if (!request.outputs.empty()) json["outputs"] = to_json_array(request.outputs);
    if (request.prefer_async) json["prefer_async"] = true;
    return dump(json);
}

Parsed<std::vector<crypto::Point>> parse_check_state_request(std::string_view json) {
    Reader reader{json};
    std::vector<crypto::Point> ys;
    for (const Json& item : reader.items(reader.root(), "Ys", kArrayMax)) {
        const auto y = reader.point_of(item, "Ys[" + std::to_string(ys.size()) + "]");
        if (!y) break;
        ys.push_back(*y);
    }
    return reader.finish(std::move(ys));
}

std::string write_check_state_request(const std::vector<crypto::Point>& ys) {
    auto array = Json::array();
    for (const crypto::Point& y : ys) array.push_back(y.hex());
    return dump({{"Ys", std::move(array)}});
}

Parsed<std::vector<StateOfProof>> parse_check_state_response(std::string_view json) {
    Reader reader{json};
    std::vector<StateOfProof> states;
    for (const Json& item : reader.items(reader.root(), "states", kArrayMax)) {
        reader.within("states[" + std::to_string(states.size()) + "].", [&] {
            if (auto state = read_state(reader, item)) states.push_back(*std::move(state));
        });
        if (reader.failed()) break;
    }
    return reader.finish(std::move(states));
}

std::string write_check_state_response(const std::vector<StateOfProof>& states) {
    return dump({{"states", to_json_array(states)}});
}

Parsed<StateOfProof> parse_proof_state(std::string_view json) {
    Reader reader{json};
    auto state = read_state(reader, reader.root());
    if (!state) return fail(reader.fault());
    return reader.finish(*std::move(state));
}

std::string write_proof_state(const StateOfProof& state) { return dump(to_json(state)); }

Parsed<std::vector<BlindedMessage>> parse_restore_request(std::string_view json) {
    Reader reader{json};
    auto outputs = reader.outputs(reader.root(), "outputs");
    return reader.finish(std::move(outputs));
}

std::string write_restore_request(const std::vector<BlindedMessage>& outputs) {
    return dump({{"outputs", to_json_array(outputs)}});
}

Parsed<RestoreResponse> parse_restore_response(std::string_view json) {
    Reader reader{json};
    RestoreResponse response;
    response.outputs = reader.outputs(reader.root(), "outputs");
    // Mints of the generation before called them promises.
    const bool is_old = reader.root().is_object() && !reader.root().contains("signatures");
    response.signatures = reader.signatures(reader.root(), is_old ? "promises" : "signatures");
    if (response.outputs.size() != response.signatures.size()) {
        reader.fail_with(WireError::Code::OutOfRange, "signatures");
    }
    return reader.finish(std::move(response));
}

std::string write_restore_response(const RestoreResponse& response) {
    return dump({{"outputs", to_json_array(response.outputs)},
                 {"signatures", to_json_array(response.signatures)}});
}

ErrorBody parse_error(std::string_view json) {
    constexpr std::size_t kDetailMax = 1024;
    ErrorBody error;
    if (json.size() > kBodyBytesMax || nests_too_deep(json)) return error;
    const Json root = Json::parse(json, nullptr, false);
    if (!root.is_object()) return error;
    if (const auto code = root.find("code"); code != root.end() && code->is_number_integer()) {
        const auto value = code->get<std::int64_t>();
        if (value >= 0 && value <= INT32_MAX) error.code = static_cast<int>(value);
    }
    if (const auto detail = root.find("detail"); detail != root.end() && !detail->is_null()) {
        error.detail = detail->is_string() ? detail->get<std::string>() : dump(*detail);
        if (error.detail.size() > kDetailMax) error.detail.resize(kDetailMax);
    }
    return error;
}

std::string write_error(const ErrorBody& error) {
    Json json{{"detail", error.detail}};
    if (error.code) json["code"] = *error.code;
    return dump(json);
}

}  // namespace nutgate::cashu::wire
