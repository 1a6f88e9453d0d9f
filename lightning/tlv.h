// Streams of TLV records as BOLT1 writes them, and what BOLT12 hashes of them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "nutgate/base/bytes.h"
#include "nutgate/crypto/hash.h"

namespace nutgate::lightning {

struct TlvRecord {
    std::uint64_t type;
    Bytes value;
    Bytes whole;  // Type, length and value, as they came.
};

// Empty unless types ascend, each number is in its shortest form, and nothing is left over.
std::optional<std::vector<TlvRecord>> read_tlv_stream(BytesView bytes);

// Of at least one record. Those that carry signatures are its caller's to leave out.
crypto::Hash256 merkle_root(std::span<const TlvRecord> records);

// Takes from the front; after a failure everything else fails, too.
class ByteReader {
public:
    explicit ByteReader(BytesView bytes) : rest_{bytes} {}

    bool failed() const { return failed_; }
    bool is_at_end() const { return rest_.empty(); }
    BytesView take(std::size_t size);
    std::uint64_t number(std::size_t size);  // Big-endian, of at most 8 bytes.
    std::uint64_t big_size();                // In its shortest form.
    std::uint8_t peek() const;

private:
    BytesView rest_;
    bool failed_ = false;
};

// A truncated number: big-endian, without leading zeros, at most `size_max` bytes.
std::optional<std::uint64_t> read_truncated(BytesView bytes, std::size_t size_max = 8);

// The caller writes them in ascending order.
void append_record(Bytes& stream, std::uint64_t type, BytesView value);
Bytes truncated(std::uint64_t number);

}  // namespace nutgate::lightning
