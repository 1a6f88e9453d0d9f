#include <doctest/doctest.h>

#include <rapidcheck.h>
#include <set>

#include "wallet/selection.h"

using namespace nutgate::cashu;
using namespace nutgate::cashu::wallet;

namespace {

std::vector<Candidate> of(const std::vector<Amount>& amounts, std::uint64_t ppk = 0) {
    std::vector<Candidate> candidates;
    for (const auto amount : amounts) candidates.push_back({amount, ppk});
    return candidates;
}

Amount total_of(const std::vector<Candidate>& candidates, const std::vector<std::size_t>& indices) {
    Amount total = 0;
    for (const auto index : indices) total += candidates.at(index).amount;
    return total;
}

// What a swap of all that are worth their fee would give.
Amount most(const std::vector<Candidate>& candidates) {
    Amount total = 0;
    Amount ppk = 0;
    for (const auto& candidate : candidates) {
        if (candidate.amount * 1000 <= candidate.ppk) continue;
        total += candidate.amount;
        ppk += candidate.ppk;
    }
    return total - (ppk + 999) / 1000;
}

bool sum_is_possible(const std::vector<Candidate>& candidates, Amount target) {
    std::set<Amount> sums{0};
    for (const auto& candidate : candidates) {
        std::set<Amount> more = sums;
        for (const auto sum : sums) more.insert(sum + candidate.amount);
        sums = std::move(more);
    }
    return sums.contains(target);
}

std::map<Amount, nutgate::crypto::Point> powers(int count) {
    const auto point = *nutgate::crypto::Point::from_hex(
        "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798");
    std::map<Amount, nutgate::crypto::Point> keys;
    for (int i = 0; i < count; ++i) keys.emplace(Amount{1} << i, point);
    return keys;
}

void check(const char* what, const auto& property) { CHECK(rc::check(what, property)); }

}  // namespace

TEST_CASE("selection: proofs that fit exactly are handed on without a fee") {
    const auto candidates = of({1, 2, 4, 8, 8}, 100);
    const auto selection = select_proofs(candidates, 13, 10);
    REQUIRE(selection);
    CHECK(selection->exact);
    CHECK_EQ(selection->fee, 0);
    CHECK_EQ(total_of(candidates, selection->indices), 13);
}

TEST_CASE("selection: many small proofs are swapped, not handed on one by one") {
    std::vector<Amount> amounts(kHandedOnMax + 1, 1);
    CHECK(select_proofs(of(amounts), kHandedOnMax, 500)->exact);
    amounts.push_back(256);
    const auto swapped = select_proofs(of(amounts, 10), 256 + kHandedOnMax, 500);
    REQUIRE(swapped);
    CHECK_FALSE(swapped->exact);
    CHECK(swapped->total >= 256 + kHandedOnMax + swapped->fee);
    // Where nothing would pay for the swap, they are.
    CHECK(select_proofs(of(amounts, 10), 256 + kHandedOnMax + 1, 500)->exact);
}

TEST_CASE("selection: otherwise the fewest and smallest that pay for themselves") {
    const auto one = select_proofs(of({64, 16, 1024}, 100), 10, 10);
    REQUIRE(one);
    CHECK_FALSE(one->exact);
    CHECK_EQ(one->total, 16);
    CHECK_EQ(one->fee, 1);
    // Sixteen alone would not pay its fee.
    CHECK_EQ(select_proofs(of({16, 64}, 2000), 15, 10)->total, 64);
    // Proofs that cost more than they are worth don't help.
    CHECK_FALSE(select_proofs(of({2, 2, 2, 2}, 2000), 3, 10).has_value());
    CHECK_FALSE(select_proofs(of({8, 8, 8, 8}), 30, 3).has_value());
    CHECK_FALSE(select_proofs(of({8}), 0, 3).has_value());
    CHECK_FALSE(select_proofs({}, 1, 3).has_value());
}

TEST_CASE("selection: sums near the end of the range don't wrap") {
    const Amount half = Amount{1} << 63;
    CHECK_FALSE(select_proofs(of({half, half, half}, UINT64_MAX), half - 1, 10).has_value());
    CHECK_FALSE(select_proofs(of({half, half, half}, 1), UINT64_MAX, 10).has_value());
    CHECK_EQ(select_proofs(of({half, half, half}, 1), half - 1, 10)->total, half);
}

TEST_CASE("selection: it finds enough wherever there is enough, and never takes a proof twice") {
    check("select_proofs", [] {
        const auto count = *rc::gen::inRange(0, 14);
        std::vector<Candidate> candidates;
        for (int i = 0; i < count; ++i) {
            candidates.push_back({Amount{1} << *rc::gen::inRange(0, 12),
                                  *rc::gen::element<std::uint64_t>(0, 1, 100, 999, 1000, 2000)});
        }
        const auto target = *rc::gen::inRange<Amount>(1, 6000);
        const auto selection = select_proofs(candidates, target, 100);
        const bool exact = sum_is_possible(candidates, target);
        RC_ASSERT(selection.has_value() == (exact || most(candidates) >= target));
        if (!selection) return;
        const std::set<std::size_t> distinct(selection->indices.begin(), selection->indices.end());
        RC_ASSERT(distinct.size() == selection->indices.size());
        RC_ASSERT(total_of(candidates, selection->indices) == selection->total);
        RC_ASSERT(selection->exact == exact);
        if (exact) {
            RC_ASSERT(selection->total == target);
            return;
        }
        Amount ppk = 0;
        for (const auto index : selection->indices) ppk += candidates[index].ppk;
        RC_ASSERT(selection->fee == (ppk + 999) / 1000);
        RC_ASSERT(selection->total >= target + selection->fee);
    });
}

TEST_CASE("selection: denominations make up the amount, or there is none") {
    check("split_by", [] {
        const auto amount = *rc::gen::inRange<Amount>(0, 1 << 16);
        const auto parts = split_by(powers(10), amount, 200);
        RC_ASSERT(parts.has_value());
        Amount total = 0;
        for (const auto part : *parts) total += part;
        RC_ASSERT(total == amount);
    });
    CHECK_EQ(*split_by(powers(4), 13, 10), std::vector<Amount>{8, 4, 1});
    CHECK_EQ(*split_by(powers(2), 5, 3), std::vector<Amount>{2, 2, 1});
    CHECK_FALSE(split_by(powers(2), 5, 2).has_value());
    CHECK_FALSE(split_by(powers(1), UINT64_MAX, 500).has_value());
    CHECK_FALSE(split_by({}, 5, 10).has_value());
    auto even = powers(4);
    even.erase(1);
    CHECK_FALSE(split_by(even, 5, 10).has_value());
}
