// Which proofs to spend, and which denominations to ask for. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "nutgate/cashu/proof.h"

namespace nutgate::cashu::wallet {

struct Candidate {
    Amount amount = 0;
    std::uint64_t ppk = 0;  // Of its keyset: what spending it costs, in thousandths.
};

struct Selection {
    std::vector<std::size_t> indices;  // Into the candidates, each at most once.
    Amount total = 0;
    Amount fee = 0;  // What a swap of them costs. Zero if exact: they are handed on as they are.
    bool exact = false;  // total == target.
};

// Of proofs that are handed on as they are. A token of more is too long for a header, and whoever
// is given it pays its mint for each of them.
inline constexpr std::size_t kHandedOnMax = 64;

// Proofs worth `target` to the unit if there are such and they are few; otherwise the fewest,
// largest first, that a swap turns into at least `target` after its fee. Proofs that cost more than
// they are worth are never swapped. Many that fit exactly are better than none that a swap could be
// paid with. Empty if nothing up to `inputs_max` proofs suffices.
std::optional<Selection> select_proofs(const std::vector<Candidate>& candidates, Amount target,
                                       std::size_t inputs_max);
// The second half of that: what is spent for at least `target` after its fee, never exact.
std::optional<Selection> select_covering(const std::vector<Candidate>& candidates, Amount target,
                                         std::size_t inputs_max);

// `amount` in denominations that the keyset has, descending, greedily: for powers of two the
// fewest. Empty if they can't make it up, or only with more than `outputs_max`.
std::optional<std::vector<Amount>> split_by(const std::map<Amount, crypto::Point>& keys,
                                            Amount amount, std::size_t outputs_max);

}  // namespace nutgate::cashu::wallet
