#include "tlv.h"

#include <algorithm>
#include <string>
#include <utility>

#include "nutgate/base/verify.h"

namespace nutgate::lightning {
namespace {

constexpr std::size_t kRecordsMax = 1'000;

using crypto::Hash256;

Hash256 branch(const Hash256& a, const Hash256& b) {
    const auto& [lesser, greater] = std::minmax(a, b);
    return crypto::tagged_hash("LnBranch", {lesser, greater});
}

std::size_t big_size_bytes(std::uint64_t number) {
    return number < 0xfd ? 1 : number <= 0xffff ? 3 : number <= 0xffffffff ? 5 : 9;
}

// As the record begins: the number of its type.
BytesView type_of(const TlvRecord& record) {
    return BytesView{record.whole}.first(big_size_bytes(record.type));
}

void append_number(Bytes& bytes, std::uint64_t number, std::size_t size) {
    while (size-- > 0) bytes.push_back(static_cast<std::byte>(number >> (8 * size) & 0xff));
}

void append_big_size(Bytes& bytes, std::uint64_t number) {
    const std::size_t size = big_size_bytes(number) - 1;
    if (size == 0) return append_number(bytes, number, 1);
    bytes.push_back(static_cast<std::byte>(size == 2 ? 0xfd : size == 4 ? 0xfe : 0xff));
    append_number(bytes, number, size);
}

}  // namespace

BytesView ByteReader::take(std::size_t size) {
    if (failed_ || size > rest_.size()) {
        failed_ = true;
        return {};
    }
    const auto taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
}

std::uint8_t ByteReader::peek() const {
    return failed_ || rest_.empty() ? std::uint8_t{0xff} : std::to_integer<std::uint8_t>(rest_[0]);
}

std::uint64_t ByteReader::number(std::size_t size) {
    VERIFY(size <= 8);
    std::uint64_t value = 0;
    for (const std::byte byte : take(size)) value = value << 8U | std::to_integer<unsigned>(byte);
    return value;
}

std::uint64_t ByteReader::big_size() {
    constexpr std::uint64_t kTwo = 0xfd;
    constexpr std::uint64_t kFour = 0xfe;
    const auto first = number(1);
    if (failed_ || first < kTwo) return first;
    const std::size_t size = first == kTwo ? 2 : first == kFour ? 4 : 8;
    const std::uint64_t least = size == 2 ? kTwo : size == 4 ? 0x1'0000 : 0x1'0000'0000;
    const auto value = number(size);
    failed_ = failed_ || value < least;
    return value;
}

std::optional<std::uint64_t> read_truncated(BytesView bytes, std::size_t size_max) {
    if (bytes.size() > size_max || (!bytes.empty() && bytes[0] == std::byte{0})) {
        return std::nullopt;
    }
    return ByteReader{bytes}.number(bytes.size());
}

void append_record(Bytes& stream, std::uint64_t type, BytesView value) {
    append_big_size(stream, type);
    append_big_size(stream, value.size());
    stream.insert(stream.end(), value.begin(), value.end());
}

Bytes truncated(std::uint64_t number) {
    Bytes bytes;
    std::size_t size = 8;
    while (size > 0 && number >> (8 * (size - 1)) == 0) --size;
    append_number(bytes, number, size);
    return bytes;
}

std::optional<std::vector<TlvRecord>> read_tlv_stream(BytesView bytes) {
    std::vector<TlvRecord> records;
    while (!bytes.empty()) {
        ByteReader reader{bytes};
        const auto type = reader.big_size();
        const auto size = reader.big_size();
        const auto value = reader.take(size);
        const bool ascends = records.empty() || records.back().type < type;
        if (reader.failed() || !ascends || records.size() == kRecordsMax) return std::nullopt;
        const auto whole =
            bytes.first(static_cast<std::size_t>(value.data() + value.size() - bytes.data()));
        records.push_back({.type = type,
                           .value = Bytes{value.begin(), value.end()},
                           .whole = Bytes{whole.begin(), whole.end()}});
        bytes = bytes.subspan(whole.size());
    }
    return records;
}

Hash256 merkle_root(std::span<const TlvRecord> records) {
    VERIFY(!records.empty());
    const std::string nonce_tag = "LnNonce" + std::string{as_text(records.front().whole)};
    std::vector<Hash256> level;
    for (const TlvRecord& record : records) {
        level.push_back(branch(crypto::tagged_hash("LnLeaf", {record.whole}),
                               crypto::tagged_hash(nonce_tag, {type_of(record)})));
    }
    while (level.size() > 1) {
        std::vector<Hash256> above;
        for (std::size_t i = 0; i + 1 < level.size(); i += 2) {
            above.push_back(branch(level[i], level[i + 1]));
        }
        if (level.size() % 2 == 1) above.push_back(level.back());
        level = std::move(above);
    }
    return level.front();
}

}  // namespace nutgate::lightning
