#include "nutgate/cashu/spending_condition.h"

#include <algorithm>
#include <cctype>

#include "cashu/vectors.h"
#include "support/seeded_random.h"

namespace nutgate::cashu {
namespace {

using Fault = ConditionFault;

const std::string kKey = "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5";
const std::string kSameX = "03" + kKey.substr(2);
const std::string kOther = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
const std::string kThird = "02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9";

std::string p2pk(const std::string& tags, const std::string& data = kKey) {
    return R"(["P2PK",{"nonce":"n","data":")" + data + R"(","tags":)" + tags + "}]";
}
std::string htlc(const std::string& tags, const std::string& data = std::string(64, 'a')) {
    return R"(["HTLC",{"nonce":"n","data":")" + data + R"(","tags":)" + tags + "}]";
}

void check_fault(const std::string& secret, Fault fault) {
    CAPTURE(secret);
    const auto parsed = parse_condition(secret);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error() == fault);
}

SpendingCondition read(const std::string& secret) {
    CAPTURE(secret);
    const auto parsed = parse_condition(secret);
    REQUIRE(parsed);
    REQUIRE(*parsed);
    return **parsed;
}

TEST_CASE("conditions: text that does not begin as a list is an ordinary secret") {
    for (const char* secret : {"", " ", "c0ffee", "{}", "{\"P2PK\":[]}", "\"[\"", "P2PK", "a[",
                               "\xef\xbb\xbf[\"P2PK\"]", "\x0b[\"P2PK\"]"}) {
        CAPTURE(secret);
        const auto parsed = parse_condition(secret);
        REQUIRE(parsed);
        CHECK_FALSE(*parsed);
    }
}

TEST_CASE("conditions: what begins as a list is a condition that we know or is good for nothing") {
    for (const char* secret :
         {"[", "[]", "[1,2]", "[\"P2PK\"]", "[\"P2PK\",[]]", "[\"P2PK\",{}]", "[\"P2PK\",{},{}]",
          "[\"P2PK\",{\"nonce\":\"n\"}]", "[\"P2PK\",{\"data\":\"d\"}]", "[hello]",
          "[\"P2PK\",{\"nonce\":1,\"data\":\"d\"}]",
          "[\"P2PK\",{\"nonce\":\"n\",\"data\":null}]"}) {
        check_fault(secret, Fault::Malformed);
    }
    check_fault("\n\t [\"P2PK\"", Fault::Malformed);
    check_fault(p2pk("[]") + " x", Fault::Malformed);
    check_fault(p2pk("[]", "\xff"), Fault::Malformed);
    check_fault("[" + std::string(2000, ' ') + "]", Fault::Malformed);
    for (const char* kind : {"p2pk", "P2PKH", "htlc", "", "DLC"}) {
        std::string secret = p2pk("[]");
        secret.replace(2, 4, kind);
        check_fault(secret, Fault::UnknownKind);
    }
}

TEST_CASE("conditions: what is said twice could be read either way") {
    check_fault(p2pk(R"([["locktime","1"],["locktime","2"]])"), Fault::DuplicateTag);
    check_fault(p2pk(R"([["locktime","1"],["x"],["locktime","1"]])"), Fault::DuplicateTag);
    check_fault(R"(["P2PK",{"nonce":"n","data":")" + kKey + R"(","data":")" + kOther + "\"}]",
                Fault::DuplicateTag);
    check_fault(R"(["P2PK",{"nonce":"n","data":")" + kKey + R"(","tags":[],"tags":[["x","y"]]}])",
                Fault::DuplicateTag);
}

TEST_CASE("conditions: tags are lists of text with something in them") {
    for (const char* tags : {"{}", "1", "[[]]", "[1]", "[\"x\"]", "[[\"n_sigs\",1]]", "[[\"\"]]",
                             "[[\"x\",\"\"]]", "[[\"pubkeys\"]]", "[[\"refund\"]]",
                             "[[\"sigflag\"]]", "[[\"locktime\"]]", "[[\"locktime\",\"1\",\"2\"]]",
                             "[[\"sigflag\",\"SIG_ALL\",\"SIG_INPUTS\"]]", "[[\"n_sigs\"]]"}) {
        check_fault(p2pk(tags), Fault::Malformed);
    }
    for (const char* tags : {"null", "[]", R"([["x","y","z"],["purpose"]])"}) {
        CHECK(read(p2pk(tags)).main.signatures_needed == 1);
    }
    CHECK(read(R"(["P2PK",{"data":")" + kKey + R"(","nonce":"n","later":{"a":[1]}}])").kind ==
          LockKind::P2pk);
}

TEST_CASE("conditions: the signature flag is one of two") {
    CHECK(read(p2pk("[]")).sigflag == SigFlag::Inputs);
    CHECK(read(p2pk(R"([["sigflag","SIG_INPUTS"]])")).sigflag == SigFlag::Inputs);
    CHECK(read(p2pk(R"([["sigflag","SIG_ALL"]])")).sigflag == SigFlag::All);
    check_fault(p2pk(R"([["sigflag","SIG_OUTPUTS"]])"), Fault::UnknownSigFlag);
    check_fault(p2pk(R"([["sigflag","sig_all"]])"), Fault::UnknownSigFlag);
}

TEST_CASE("conditions: keys are compressed points, each once in its pathway") {
    check_fault(p2pk("[]", "02" + std::string(64, 'f')), Fault::KeyInvalid);
    check_fault(p2pk("[]", kKey.substr(2)), Fault::KeyInvalid);
    check_fault(p2pk("[]", ""), Fault::KeyInvalid);
    check_fault(p2pk(R"([["pubkeys","x"]])"), Fault::KeyInvalid);
    check_fault(p2pk(R"([["refund","04"]])"), Fault::KeyInvalid);
    check_fault(p2pk(R"([["pubkeys",")" + kSameX + "\"]]"), Fault::DuplicateKey);
    check_fault(p2pk(R"([["refund",")" + kOther + R"(",")" + kOther + "\"]]"), Fault::DuplicateKey);
    const auto both = read(p2pk(R"([["pubkeys",")" + kOther + R"("],["refund",")" + kKey + "\"]]"));
    CHECK(both.main.keys.size() == 2);
    CHECK(both.refund->keys.front().hex() == kKey);
    std::string upper = kKey;
    std::ranges::transform(upper, upper.begin(),
                           [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    CHECK(read(p2pk("[]", upper)).main.keys.front().hex() == kKey);
}

TEST_CASE(
    "conditions: no more signatures are asked for than there are keys, and no fewer than one") {
    const std::string pubkeys = R"(["pubkeys",")" + kOther + R"(",")" + kThird + R"("])";
    const std::string refund = R"(["refund",")" + kOther + R"("])";
    const auto asks = [](const std::string& name, const std::string& count) {
        return "[\"" + name + "\",\"" + count + "\"]";
    };
    CHECK(read(p2pk("[" + pubkeys + "]")).main.signatures_needed == 1);
    CHECK(read(p2pk("[" + pubkeys + "," + asks("n_sigs", "3") + "]")).main.signatures_needed == 3);
    for (const char* count : {"0", "4", "-1", "+1", "1.0", "one", " 1", "18446744073709551617"}) {
        check_fault(p2pk("[" + pubkeys + "," + asks("n_sigs", count) + "]"), Fault::SignatureCount);
    }
    CHECK(read(p2pk("[" + refund + "," + asks("n_sigs_refund", "1") + "]"))
              .refund->signatures_needed == 1);
    check_fault(p2pk("[" + refund + "," + asks("n_sigs_refund", "2") + "]"), Fault::SignatureCount);
    check_fault(p2pk("[" + asks("n_sigs_refund", "1") + "]"), Fault::SignatureCount);
    check_fault(htlc("[" + asks("n_sigs", "1") + "]"), Fault::SignatureCount);
}

TEST_CASE("conditions: an HTLC's data is a hash, and its keys are its tags' alone") {
    const auto bare = read(htlc("[]"));
    CHECK(bare.kind == LockKind::Htlc);
    CHECK(bare.hash);
    CHECK(bare.main.keys.empty());
    CHECK(bare.main.signatures_needed == 0);
    CHECK(read(htlc(R"([["pubkeys",")" + kKey + "\"]]")).main.signatures_needed == 1);
    check_fault(htlc("[]", std::string(63, 'a')), Fault::HashInvalid);
    check_fault(htlc("[]", std::string(64, 'g')), Fault::HashInvalid);
    check_fault(htlc("[]", kKey), Fault::HashInvalid);
}

TEST_CASE("conditions: what we write is what we meant, and no two are the same") {
    const auto key = crypto::Point::from_hex(kKey).value();
    LockTerms terms = lock_to(key);
    CHECK(write_condition(terms, "n") == R"(["P2PK",{"nonce":"n","data":")" + kKey + R"("}])");
    terms.tags = {{"locktime", "21"}, {"refund", kOther}};
    const std::string secret = write_condition(terms, "n");
    CHECK(secret == R"(["P2PK",{"nonce":"n","data":")" + kKey +
                        R"(","tags":[["locktime","21"],["refund",")" + kOther + R"("]]}])");
    const auto condition = read(secret);
    CHECK(condition.terms == terms);
    CHECK(condition.locktime == 21);
    test::SeededRandom random;
    const std::string one = write_condition(terms, random);
    CHECK(one != write_condition(terms, random));
    CHECK(read(one).terms == terms);
}

TEST_CASE("conditions: a lock is as it was asked for, however it is written") {
    const LockTerms terms{"P2PK", kKey, {{"locktime", "21"}, {"refund", kOther}}};
    CHECK(is_locked_as(write_condition(terms, "n"), terms));
    CHECK(is_locked_as(p2pk(R"([["refund",")" + kOther + R"("], ["sigflag","SIG_INPUTS"],)" +
                            R"(["note","x"],["n_sigs","1"],["locktime","021"]])"),
                       terms));
    CHECK_FALSE(is_locked_as("plain", terms));
    CHECK_FALSE(is_locked_as("[", terms));
    CHECK_FALSE(is_locked_as(p2pk("[]"), terms));
    CHECK_FALSE(is_locked_as(write_condition({"P2PK", kOther, terms.tags}, "n"), terms));
    CHECK_FALSE(is_locked_as(
        write_condition({"P2PK", kKey, {{"locktime", "22"}, {"refund", kOther}}}, "n"), terms));
    CHECK_FALSE(is_locked_as(
        write_condition({"P2PK", kKey, {{"locktime", "21"}, {"refund", kThird}}}, "n"), terms));
    const LockTerms unknown{"XX", kKey, {}};
    CHECK_FALSE(is_locked_as(write_condition(unknown, "n"), unknown));
}

}  // namespace
}  // namespace nutgate::cashu
