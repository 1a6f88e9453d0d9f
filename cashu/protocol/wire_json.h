// The JSON form of the models of NUT-00, for the writers.
#pragma once

#include <nlohmann/json.hpp>

#include <cstddef>
#include <string>
#include <vector>

#include "nutgate/cashu/wire.h"

namespace nutgate::cashu::wire {

// Names of units and of methods alike.
inline constexpr std::size_t kUnitBytesMax = 64;

nlohmann::json to_json(const Proof& proof);
nlohmann::json to_json(const BlindedMessage& output);
nlohmann::json to_json(const BlindSignature& signature);
nlohmann::json to_json(const StateOfProof& state);
nlohmann::json to_json(const MintQuote& quote);

template <class T>
nlohmann::json to_json_array(const std::vector<T>& items) {
    auto array = nlohmann::json::array();
    for (const T& item : items) array.push_back(to_json(item));
    return array;
}

// Bytes that are no UTF-8 are replaced: nothing that we write may fail to be JSON.
std::string dump(const nlohmann::json& json);

}  // namespace nutgate::cashu::wire
