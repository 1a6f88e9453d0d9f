// secp256k1: points and scalars as values that can't be invalid.
//
// A Point is never the identity and always on the curve; a Scalar is in 1…n-1. What could leave
// those sets answers with nothing. Scalars wipe themselves. Functions that take a Scalar run in
// constant time with respect to it, as libsecp256k1 promises.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "nutgate/base/bytes.h"
#include "nutgate/crypto/random.h"

namespace nutgate::crypto {

class Scalar {
public:
    // Empty for zero and for what is not below the group's order.
    static std::optional<Scalar> from_bytes(BytesView bytes32);
    static std::optional<Scalar> from_hex(std::string_view hex64);
    // The value modulo the order; empty for zero.
    static std::optional<Scalar> reduce(BytesView bytes32);
    static Scalar random(Random& random);

    Scalar(const Scalar&) = default;
    Scalar& operator=(const Scalar&) = default;
    ~Scalar() { wipe(bytes_); }

    const ByteArray<32>& bytes() const { return bytes_; }  // Big-endian.

private:
    explicit Scalar(const ByteArray<32>& bytes) : bytes_{bytes} {}
    ByteArray<32> bytes_;

    friend std::optional<Scalar> add(const Scalar&, const Scalar&);
    friend std::optional<Scalar> multiply(const Scalar&, const Scalar&);
    friend Scalar negate(const Scalar&);
};

class Point {
public:
    // Takes exactly 33 bytes, compressed. Empty for anything else and for what is off the curve.
    static std::optional<Point> from_bytes(BytesView bytes33);
    static std::optional<Point> from_hex(std::string_view hex66);  // Digits of either case.

    ByteArray<33> compressed() const;
    ByteArray<65> uncompressed() const;
    ByteArray<32> x_only() const;  // BIP-340.
    std::string hex() const { return to_hex(compressed()); }

    friend bool operator==(const Point&, const Point&) = default;

private:
    explicit Point(const ByteArray<64>& opaque) : opaque_{opaque} {}
    ByteArray<64> opaque_;  // The library's form: cheap to compute with.

    friend struct PointAccess;
};

std::optional<Scalar> add(const Scalar&, const Scalar&);       // Empty if the sum is zero.
std::optional<Scalar> multiply(const Scalar&, const Scalar&);  // Never empty for valid scalars.
Scalar negate(const Scalar&);

Point generator_times(const Scalar&);
Point multiply(const Point&, const Scalar&);
std::optional<Point> add(const Point&, const Point&);       // Empty if the sum is the identity.
std::optional<Point> subtract(const Point&, const Point&);  // Empty if they are equal.

}  // namespace nutgate::crypto
