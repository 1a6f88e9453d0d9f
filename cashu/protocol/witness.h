// What unlocks a proof (NUT-11, NUT-14): the JSON in the string that is called its witness.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nutgate::cashu {

struct Witness {
    std::optional<std::string> preimage;
    std::vector<std::string> signatures;  // Hex, at most kWitnessSignaturesMax.
};

// Of a string that holds JSON, once or twice encoded. What is no witness is as good as none: it
// unlocks nothing, and it is never passed on.
Witness parse_witness(std::string_view text);
std::string write_witness(const Witness& witness);

}  // namespace nutgate::cashu
