#include <doctest/doctest.h>

#include <set>

#include "wallet/classify.h"

using namespace nutgate;
using namespace nutgate::cashu;
using namespace nutgate::cashu::wallet;

namespace {

AnswerFacts refused(int code, int status = 400) {
    return facts_of(MintAnswer{status, R"({"detail":"no","code":)" + std::to_string(code) + "}"});
}

// The rows of cashu.md C.4, written out.
const std::set<int> kDefinite{10001, 11005, 11006, 11007, 11009, 11010, 11011, 11012, 11013,
                              11014, 11015, 12001, 12002, 12003, 20001, 20007, 20008, 20009};
const std::set<int> kInFlight{11002, 20005};

}  // namespace

TEST_CASE("classify: every code there can be, sent first and sent again") {
    for (int code = -1; code <= 60'000; ++code) {
        CAPTURE(code);
        const auto first = classify(refused(code), Transmission::First);
        const auto again = classify(refused(code), Transmission::Repeated);
        if (kInFlight.contains(code)) {
            REQUIRE_EQ(first, Verdict::InFlight);
            REQUIRE_EQ(again, Verdict::InFlight);
        } else {
            REQUIRE_EQ(first, kDefinite.contains(code) ? Verdict::Refused : Verdict::Unknown);
            REQUIRE_EQ(again, Verdict::Unknown);
        }
    }
}

TEST_CASE("classify: codes by which a mint may mean that we were served are never a no") {
    for (const int code : {11001, 11003, 11004, 11008, 20002, 20006}) {
        CHECK_EQ(classify(refused(code), Transmission::First), Verdict::Unknown);
    }
}

TEST_CASE("classify: any other code is a no, with an earlier success ruled out; no code is none") {
    for (int code = 0; code <= 60'000; ++code) {
        CAPTURE(code);
        const bool past = std::set{11001, 11003, 11004, 11008, 20002, 20006}.contains(code);
        REQUIRE_EQ(is_no(refused(code)), !past && !kInFlight.contains(code));
    }
    CHECK_FALSE(is_no(refused(11000, 429)));
    CHECK_FALSE(is_no(refused(11000, 500)));
    CHECK_FALSE(is_no(facts_of(MintAnswer{400, "<html>"})));
    CHECK_FALSE(is_no(facts_of(fail(MintFailure::Ambiguous))));
}

TEST_CASE("classify: a mint's words are kept as far as a log and a terminal can take them") {
    const auto said = [](const std::string& words) {
        return facts_of(MintAnswer{400, R"({"detail":")" + words + R"(","code":11005})"}).detail;
    };
    CHECK_EQ(said("no"), "400 (11005) no");
    CHECK_EQ(said("a\\u001b[2J\\u0007b\\u007f"), "400 (11005) a [2J b ");
    std::string long_words(299, 'x');
    CHECK_EQ(said(long_words + "\u00e4\u00e4"), "400 (11005) " + long_words);
}

TEST_CASE("classify: what a proxy says tells nothing about the mint") {
    for (int status = 201; status < 600; ++status) {
        CAPTURE(status);
        const auto bare = classify(facts_of(MintAnswer{status, "<html>"}), Transmission::First);
        CHECK_EQ(bare, status == 429 ? Verdict::Busy : Verdict::Unknown);
        const auto coded = classify(refused(12002, status), Transmission::First);
        const bool mints_own = status >= 400 && status < 500 && status != 429;
        CHECK_EQ(coded, status == 429 ? Verdict::Busy
                        : mints_own   ? Verdict::Refused
                                      : Verdict::Unknown);
    }
    CHECK_EQ(
        classify(facts_of(MintAnswer{400, R"({"detail":[{"msg":"x"}]})"}), Transmission::First),
        Verdict::Unknown);
    CHECK_EQ(classify(facts_of(MintAnswer{400, ""}), Transmission::First), Verdict::Unknown);
    CHECK_EQ(classify(facts_of(MintAnswer{200, "anything"}), Transmission::First),
             Verdict::Success);
}

TEST_CASE("classify: a call that failed was either not sent, or nobody knows") {
    const Result<MintAnswer, MintFailure> not_sent = fail(MintFailure::NotSent);
    const Result<MintAnswer, MintFailure> lost = fail(MintFailure::Ambiguous);
    for (const auto transmission : {Transmission::First, Transmission::Repeated}) {
        CHECK_EQ(classify(facts_of(not_sent), transmission), Verdict::NotSent);
        CHECK_EQ(classify(facts_of(lost), transmission), Verdict::Unknown);
    }
}

TEST_CASE("classify: a definite no is told as the fact it is") {
    CHECK_EQ(refusal(refused(10001)).code, WalletError::Code::ProofInvalid);
    CHECK_EQ(refusal(refused(12002)).code, WalletError::Code::KeysetUnknown);
    CHECK_EQ(refusal(refused(20008)).code, WalletError::Code::LockedToOther);
    CHECK_EQ(refusal(refused(11006)).code, WalletError::Code::MintRefused);
    CHECK_EQ(refusal(refused(11006)).detail, "400 (11006) no");
}
