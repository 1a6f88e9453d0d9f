// The values that the Cashu protocol is made of (NUT-00, NUT-01, NUT-02).
//
// An Amount counts a keyset's unit; it is not money of the house until to_msat() says what unit it
// is in. Every hex field of the wire is a value here that was checked: a Point is on the curve.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/base/amount.h"
#include "nutgate/base/bytes.h"
#include "nutgate/crypto/curve.h"

namespace nutgate::cashu {

// Keys exist up to 2^63, so this is unsigned, and sums are checked.
using Amount = std::uint64_t;
[[nodiscard]] std::optional<Amount> add(Amount a, Amount b);

enum class Unit { Sat, Msat };
std::string_view to_text(Unit unit);
std::optional<Unit> parse_unit(std::string_view text);  // Empty for units that we do not hold.
[[nodiscard]] std::optional<nutgate::Msat> to_msat(Amount amount, Unit unit);
Amount to_amount_floor(nutgate::Msat msat, Unit unit);

// A mint's address in normal form: lower-case scheme and host, no trailing '/'. "embedded" names
// the mint in this process, whatever URL others know it by.
class MintUrl {
public:
    static std::optional<MintUrl> parse(std::string_view text);
    static MintUrl embedded();
    const std::string& text() const { return text_; }
    bool is_embedded() const;
    friend auto operator<=>(const MintUrl&, const MintUrl&) = default;

private:
    explicit MintUrl(std::string text) : text_{std::move(text)} {}
    std::string text_;
};

// "00" + 7 bytes (v1) or "01" + 32 bytes (v2), as lower-case hex; other versions do not parse, nor
// do the base64 ids of the earliest mints. A v2 id cut to its first 8 bytes is short (NUT-02).
class KeysetId {
public:
    static std::optional<KeysetId> parse(std::string_view hex);
    static std::optional<KeysetId> from_bytes(BytesView bytes);
    const std::string& text() const { return text_; }
    Bytes bytes() const;
    int version() const;    // 0 or 1
    bool is_short() const;  // A v2 id that must be resolved before it is sent to a mint.
    KeysetId shortened() const;
    friend auto operator<=>(const KeysetId&, const KeysetId&) = default;

private:
    explicit KeysetId(std::string text) : text_{std::move(text)} {}
    std::string text_;
};

// What NUT-02 says of a keyset, and its public keys where they were fetched.
struct Keyset {
    KeysetId id;
    std::string unit;
    bool active = true;
    std::uint64_t input_fee_ppk = 0;
    std::optional<std::int64_t> final_expiry;  // Unix seconds. Zero is as good as none.
    std::map<Amount, crypto::Point> keys;
};
// The id that these keys must have, in the version that `keyset.id` is of.
KeysetId derive_keyset_id_v1(const std::map<Amount, crypto::Point>& keys);
KeysetId derive_keyset_id_v2(const std::map<Amount, crypto::Point>& keys, std::string_view unit,
                             std::uint64_t input_fee_ppk, std::optional<std::int64_t> final_expiry);
bool keyset_id_matches(const Keyset& keyset);

struct Dleq {
    ByteArray<32> e{};
    ByteArray<32> s{};
    std::optional<ByteArray<32>> r;  // On proofs; never sent to a mint.
};

struct BlindedMessage {  // "output"
    Amount amount = 0;
    KeysetId id;
    crypto::Point B_;
};

struct BlindSignature {  // "promise"
    Amount amount = 0;
    KeysetId id;
    crypto::Point C_;
    std::optional<Dleq> dleq;
};

struct Proof {  // "input"
    Amount amount = 0;
    KeysetId id;
    std::string secret;  // Opaque UTF-8: hashed byte for byte, never re-serialised.
    crypto::Point C;
    std::optional<std::string> witness;  // A string that holds JSON.
    std::optional<Dleq> dleq;
    std::optional<crypto::Point> p2pk_e;  // NUT-28.
};

std::optional<Amount> sum(const std::vector<Proof>& proofs);
std::optional<Amount> sum(const std::vector<BlindedMessage>& outputs);

// ceil(sum of ppk / 1000) over all inputs of one transaction (NUT-02). `ppk_of` answers for every
// keyset that occurs.
Amount input_fee(const std::vector<Proof>& inputs, const std::map<KeysetId, std::uint64_t>& ppk_of);

// Descending powers of two.
std::vector<Amount> split(Amount amount);

// How many blank outputs a melt needs to get any change up to `most` back (NUT-08). A mint fills
// them with powers of two and keeps what they can't hold.
std::size_t blank_outputs(Amount most);

}  // namespace nutgate::cashu
