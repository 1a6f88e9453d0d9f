#include "nutgate/crypto/curve.h"

#include <doctest/doctest.h>

using namespace nutgate;
using namespace nutgate::crypto;

namespace {

constexpr std::string_view kOrder =
    "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
constexpr std::string_view kOrderLessOne =
    "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140";
constexpr std::string_view kGenerator =
    "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
constexpr std::string_view kTwiceGenerator =
    "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5";

Scalar small(int value) {
    ByteArray<32> bytes{};
    bytes[31] = static_cast<std::byte>(value);
    return *Scalar::from_bytes(bytes);
}

ByteArray<32> bytes_of(std::string_view hex) { return *array_from_hex<32>(hex); }

}  // namespace

TEST_CASE("curve: a scalar is never zero and never reaches the order") {
    CHECK_FALSE(Scalar::from_bytes(ByteArray<32>{}).has_value());
    CHECK_FALSE(Scalar::from_hex(kOrder).has_value());
    CHECK_FALSE(Scalar::from_hex(std::string(64, 'f')).has_value());
    CHECK(Scalar::from_hex(kOrderLessOne).has_value());
    CHECK_FALSE(Scalar::from_bytes(ByteArray<31>{std::byte{1}}).has_value());
    CHECK_FALSE(Scalar::from_bytes(ByteArray<33>{std::byte{1}}).has_value());
    CHECK_FALSE(Scalar::from_hex("01").has_value());
}

TEST_CASE("curve: reducing subtracts the order where it fits, and only there") {
    CHECK_FALSE(Scalar::reduce(bytes_of(kOrder)).has_value());
    CHECK_FALSE(Scalar::reduce(ByteArray<32>{}).has_value());
    CHECK_EQ(to_hex(Scalar::reduce(bytes_of(kOrderLessOne))->bytes()), kOrderLessOne);
    CHECK_EQ(to_hex(Scalar::reduce(bytes_of(std::string(64, 'f')))->bytes()),
             "000000000000000000000000000000014551231950b75fc4402da1732fc9bebe");
    CHECK_EQ(
        to_hex(Scalar::reduce(
                   bytes_of("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364142"))
                   ->bytes()),
        "0000000000000000000000000000000000000000000000000000000000000001");
    CHECK_EQ(Scalar::reduce(small(7).bytes())->bytes(), small(7).bytes());
    CHECK_FALSE(Scalar::reduce(ByteArray<31>{}).has_value());
}

TEST_CASE("curve: scalars add and multiply modulo the order") {
    CHECK_EQ(add(small(2), small(3))->bytes(), small(5).bytes());
    CHECK_EQ(multiply(small(6), small(7))->bytes(), small(42).bytes());
    const auto last = *Scalar::from_hex(kOrderLessOne);
    CHECK_EQ(negate(small(1)).bytes(), last.bytes());
    CHECK_FALSE(add(small(1), last).has_value());
    CHECK_EQ(add(small(2), last)->bytes(), small(1).bytes());
    CHECK_EQ(multiply(last, last)->bytes(), small(1).bytes());
}

TEST_CASE("curve: a point has one spelling, 33 bytes on the curve") {
    CHECK_EQ(generator_times(small(1)).hex(), kGenerator);
    CHECK_EQ(generator_times(small(2)).hex(), kTwiceGenerator);
    CHECK_EQ(Point::from_hex(kGenerator), generator_times(small(1)));
    CHECK_EQ(Point::from_hex("0279BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798"),
             generator_times(small(1)));
    const auto generator = generator_times(small(1));
    CHECK_EQ(to_hex(generator.x_only()), kGenerator.substr(2));
    CHECK_EQ(to_hex(generator.uncompressed()),
             "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
             "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8");
    CHECK_FALSE(Point::from_bytes(generator.uncompressed()).has_value());
    CHECK_FALSE(Point::from_bytes(BytesView{}).has_value());
    CHECK_FALSE(Point::from_bytes(ByteArray<33>{}).has_value());
    // Prefixes 4 and 6 belong to the long form; x = 5 is on no point of the curve.
    CHECK_FALSE(Point::from_hex("04" + std::string{kGenerator.substr(2)}).has_value());
    CHECK_FALSE(Point::from_hex("06" + std::string{kGenerator.substr(2)}).has_value());
    CHECK_FALSE(Point::from_hex("02" + std::string(63, '0') + "5").has_value());
    CHECK_FALSE(Point::from_hex("02" + std::string(64, 'f')).has_value());
}

TEST_CASE("curve: points add, subtract and multiply as their logarithms do") {
    const auto two = generator_times(small(2));
    const auto three = generator_times(small(3));
    CHECK_EQ(add(two, three), generator_times(small(5)));
    CHECK_EQ(add(two, two), generator_times(small(4)));
    CHECK_EQ(subtract(three, two), generator_times(small(1)));
    CHECK_EQ(subtract(two, three), generator_times(negate(small(1))));
    CHECK_EQ(multiply(three, small(7)), generator_times(small(21)));
    CHECK_EQ(multiply(three, *Scalar::from_hex(kOrderLessOne)), generator_times(negate(small(3))));
}

TEST_CASE("curve: the identity is no point") {
    const auto two = generator_times(small(2));
    CHECK_FALSE(subtract(two, two).has_value());
    CHECK_FALSE(add(two, generator_times(negate(small(2)))).has_value());
}

TEST_CASE("curve: blinding and unblinding a random point gives it back") {
    SystemRandom random;
    for (int i = 0; i < 20; ++i) {
        const auto secret = generator_times(Scalar::random(random));
        const auto factor = Scalar::random(random);
        const auto mint_key = Scalar::random(random);
        const auto blinded = *add(secret, generator_times(factor));
        const auto signed_blind = multiply(blinded, mint_key);
        const auto unblinded = *subtract(signed_blind, multiply(generator_times(mint_key), factor));
        CHECK_EQ(unblinded, multiply(secret, mint_key));
    }
}
