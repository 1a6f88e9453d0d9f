// The published vectors as test cases: one for each entry of each file, named after it.
#pragma once

#include <string>
#include <vector>

#include "cashu/vectors.h"

namespace nutgate::test {

// The entries at one place of one file, and what is checked of each.
struct VectorSection {
    std::string file;
    std::string place;  // A JSON pointer to an array, or to an object that is one entry by itself.
    void (*check)(const Json& file, const Json& entry);
};

std::vector<VectorSection> curve_vectors();
std::vector<VectorSection> lock_vectors();
std::vector<VectorSection> quote_vectors();
std::vector<VectorSection> request_vectors();
std::vector<VectorSection> token_vectors();

}  // namespace nutgate::test
