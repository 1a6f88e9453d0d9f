#include "protocol/witness.h"

#include <nlohmann/json.hpp>

#include "nutgate/base/json_depth.h"
#include "nutgate/cashu/unlock.h"
#include "nutgate/cashu/wire.h"

namespace nutgate::cashu {

Witness parse_witness(std::string_view text) {
    using Json = nlohmann::json;
    Witness witness;
    const std::string inner = wire::unwrap_witness(text);
    if (nests_too_deep(inner)) return witness;
    const Json json = Json::parse(inner, nullptr, false);
    if (!json.is_object()) return witness;
    if (const auto found = json.find("preimage"); found != json.end() && found->is_string()) {
        witness.preimage = found->get<std::string>();
    }
    const auto found = json.find("signatures");
    if (found == json.end() || !found->is_array() || found->size() > kWitnessSignaturesMax) {
        return witness;
    }
    for (const Json& signature : *found) {
        if (signature.is_string()) witness.signatures.push_back(signature.get<std::string>());
    }
    return witness;
}

std::string write_witness(const Witness& witness) {
    auto json = nlohmann::ordered_json::object();
    if (witness.preimage) json["preimage"] = *witness.preimage;
    if (!witness.signatures.empty() || !witness.preimage) json["signatures"] = witness.signatures;
    return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace nutgate::cashu
