#include <algorithm>
#include <charconv>

#include "protocol/nostr_name.h"
#include "protocol/payment_request.h"
#include "protocol/utf8.h"

namespace nutgate::cashu {

namespace {

using Error = PaymentRequestError;
using Tuple = std::vector<std::string>;

enum Top : unsigned {
    kId = 1,
    kAmount,
    kUnit,
    kSingleUse,
    kMint,
    kDescription,
    kTransport,
    kLock,
    kMintsPreferred,
    kFeeReserve,
    kMethod,
};
enum Inner : unsigned {
    kKind = 1,
    kTarget,
    kTuple
};  // Of a transport; a lock's target is its data.
enum MethodInner : unsigned { kMethodName = 1, kMethodFee };

constexpr std::string_view kRelay = "r";
constexpr std::string_view kSat = "sat";
constexpr std::string_view kNostr = "nostr";
constexpr std::array<std::string_view, 2> kTransportKinds{kNostr, "post"};
constexpr std::array<std::string_view, 2> kLockKinds{"P2PK", "HTLC"};

struct Field {
    unsigned tag = 0;
    BytesView value;
};

// Reads values of one kind each. What does not fit is remembered, as is a field that comes twice
// and may come once; the answer to it is looked for once, at the end.
class Reader {
public:
    bool failed() const { return failed_; }
    void fail() { failed_ = true; }

    std::vector<Field> fields(BytesView rest) {
        std::vector<Field> fields;
        while (!rest.empty()) {
            const std::size_t size = rest.size() < 3 ? 0 : number(rest.subspan(1, 2), 2);
            if (rest.size() < 3 || rest.size() - 3 < size) {
                fail();
                return {};
            }
            fields.push_back({std::to_integer<unsigned>(rest[0]), rest.subspan(3, size)});
            rest = rest.subspan(3 + size);
        }
        return fields;
    }
    std::string text(BytesView value) {
        if (!is_utf8(as_text(value))) fail();
        return std::string{as_text(value)};
    }
    std::uint64_t number(BytesView value, std::size_t size) {
        if (value.size() != size) fail();
        std::uint64_t number = 0;
        for (const std::byte byte : value) {
            number = number << 8 | std::to_integer<std::uint64_t>(byte);
        }
        return number;
    }
    bool flag(BytesView value) {
        const auto byte = number(value, 1);
        if (byte > 1) fail();
        return byte == 1;
    }
    // Texts with their lengths before them, one byte each.
    Tuple tuple(BytesView rest) {
        Tuple tuple;
        while (!rest.empty()) {
            const auto size = std::to_integer<std::size_t>(rest[0]);
            if (rest.size() - 1 < size) {
                fail();
                return {};
            }
            tuple.push_back(text(rest.subspan(1, size)));
            rest = rest.subspan(1 + size);
        }
        if (tuple.empty()) fail();
        return tuple;
    }
    // One that we have no name for is its number.
    std::string kind(BytesView value, std::span<const std::string_view> names) {
        const auto kind = number(value, 1);
        return kind < names.size() ? std::string{names[kind]} : std::to_string(kind);
    }
    template <class T>
    void once(std::optional<T>& place, T value) {
        if (place) fail();
        place = std::move(value);
    }

private:
    bool failed_ = false;
};

// A kind, what it is for, and tuples: the form of transports and locks alike.
struct Described {
    std::string kind;
    BytesView target;
    std::vector<Tuple> tuples;
};

Described read_described(Reader& reader, BytesView value, std::span<const std::string_view> kinds) {
    std::optional<std::string> kind;
    std::optional<BytesView> target;
    Described described;
    for (const Field& field : reader.fields(value)) {
        switch (static_cast<Inner>(field.tag)) {
            case kKind:
                reader.once(kind, reader.kind(field.value, kinds));
                break;
            case kTarget:
                reader.once(target, field.value);
                break;
            case kTuple:
                described.tuples.push_back(reader.tuple(field.value));
                break;
        }
    }
    if (!kind || !target) reader.fail();
    described.kind = std::move(kind).value_or("");
    described.target = target.value_or(BytesView{});
    return described;
}

Transport read_transport(Reader& reader, BytesView value) {
    auto described = read_described(reader, value, kTransportKinds);
    Transport transport{std::move(described.kind), {}, {}};
    if (transport.kind != kNostr) {
        transport.target = reader.text(described.target);
        transport.tags = std::move(described.tuples);
        return transport;
    }
    NostrName name;
    if (described.target.size() != name.key.size()) {
        reader.fail();
        return transport;
    }
    std::ranges::copy(described.target, name.key.begin());
    for (Tuple& tuple : described.tuples) {
        if (tuple.empty() || tuple[0] != kRelay) {
            transport.tags.push_back(std::move(tuple));
        } else {
            name.relays.insert(name.relays.end(), tuple.begin() + 1, tuple.end());
        }
    }
    transport.target = write_nostr_name(name);
    return transport;
}

SettlementMethod read_method(Reader& reader, BytesView value) {
    std::optional<std::string> name;
    SettlementMethod method;
    for (const Field& field : reader.fields(value)) {
        switch (static_cast<MethodInner>(field.tag)) {
            case kMethodName:
                reader.once(name, reader.text(field.value));
                break;
            case kMethodFee:
                reader.once(method.fee, reader.number(field.value, 8));
                break;
        }
    }
    if (!name) reader.fail();
    method.method = std::move(name).value_or("");
    return method;
}

std::string read_unit(Reader& reader, BytesView value) {
    if (value.size() == 1 && value[0] == std::byte{0}) return std::string{kSat};
    return reader.text(value);
}

void read_field(Reader& reader, const Field& field, PaymentRequest& request) {
    switch (static_cast<Top>(field.tag)) {
        case kId:
            return reader.once(request.id, reader.text(field.value));
        case kAmount:
            return reader.once(request.amount, reader.number(field.value, 8));
        case kUnit:
            return reader.once(request.unit, read_unit(reader, field.value));
        case kSingleUse:
            return reader.once(request.single_use, reader.flag(field.value));
        case kMint: {
            const auto mint = MintUrl::parse(reader.text(field.value));
            if (!mint) return reader.fail();
            return request.mints.push_back(*mint);
        }
        case kDescription:
            return reader.once(request.description, reader.text(field.value));
        case kTransport:
            return request.transports.push_back(read_transport(reader, field.value));
        case kLock: {
            auto lock = read_described(reader, field.value, kLockKinds);
            return reader.once(
                request.lock,
                LockTerms{std::move(lock.kind), reader.text(lock.target), std::move(lock.tuples)});
        }
        case kMintsPreferred:
            return reader.once(request.mints_are_preferred, reader.flag(field.value));
        case kFeeReserve:
            return reader.once(request.fee_reserve, reader.number(field.value, 8));
        case kMethod:
            return request.methods.push_back(read_method(reader, field.value));
    }
}

// Writes as it reads; what has no place is remembered.
class Writer {
public:
    bool failed() const { return failed_; }
    void fail() { failed_ = true; }
    const Bytes& bytes() const { return bytes_; }

    void field(unsigned tag, BytesView value) {
        if (value.size() > 0xffff) return fail();
        bytes_.push_back(static_cast<std::byte>(tag));
        bytes_.push_back(static_cast<std::byte>(value.size() >> 8));
        bytes_.push_back(static_cast<std::byte>(value.size()));
        bytes_.insert(bytes_.end(), value.begin(), value.end());
    }
    void text(unsigned tag, std::string_view value) { field(tag, as_bytes(value)); }
    void number(unsigned tag, std::uint64_t value) {
        ByteArray<8> big_endian;
        for (std::size_t i = 0; i < big_endian.size(); ++i) {
            big_endian[i] = static_cast<std::byte>(value >> (56 - 8 * i));
        }
        field(tag, big_endian);
    }
    void byte(unsigned tag, unsigned value) {
        field(tag, ByteArray<1>{static_cast<std::byte>(value)});
    }
    void tuple(const Tuple& tuple) {
        Bytes value;
        for (const std::string& part : tuple) {
            if (part.size() > 0xff) return fail();
            value.push_back(static_cast<std::byte>(part.size()));
            const auto raw = as_bytes(part);
            value.insert(value.end(), raw.begin(), raw.end());
        }
        field(kTuple, value);
    }
    void kind(std::string_view name, std::span<const std::string_view> names) {
        const auto found = std::ranges::find(names, name);
        if (found != names.end()) {
            return byte(kKind, static_cast<unsigned>(found - names.begin()));
        }
        std::uint8_t number = 0;
        const char* const end = name.data() + name.size();
        const auto [stop, failure] = std::from_chars(name.data(), end, number);
        // A number that has a name would be read back as what is named so.
        if (failure != std::errc{} || stop != end || number < names.size()) return fail();
        byte(kKind, number);
    }
    void inside(unsigned tag, const Writer& inner) {
        failed_ |= inner.failed_;
        field(tag, inner.bytes_);
    }

private:
    Bytes bytes_;
    bool failed_ = false;
};

Writer transport_of(const Transport& transport) {
    Writer writer;
    writer.kind(transport.kind, kTransportKinds);
    std::vector<std::string> relays;
    if (transport.kind == kNostr) {
        auto name = parse_nostr_name(transport.target);
        if (!name) writer.fail();
        writer.field(kTarget, name ? BytesView{name->key} : BytesView{});
        if (name) relays = std::move(name->relays);
    } else {
        writer.text(kTarget, transport.target);
    }
    for (const Tuple& tuple : transport.tags) writer.tuple(tuple);
    for (const std::string& relay : relays) writer.tuple({std::string{kRelay}, relay});
    return writer;
}

Writer lock_of(const LockTerms& lock) {
    Writer writer;
    writer.kind(lock.kind, kLockKinds);
    writer.text(kTarget, lock.data);
    for (const Tuple& tuple : lock.tags) writer.tuple(tuple);
    return writer;
}

Writer method_of(const SettlementMethod& method) {
    Writer writer;
    writer.text(kMethodName, method.method);
    if (method.fee) writer.number(kMethodFee, *method.fee);
    return writer;
}

}  // namespace

Result<PaymentRequest, PaymentRequestError> read_request_tlv(BytesView tlv) {
    Reader reader;
    PaymentRequest request;
    for (const Field& field : reader.fields(tlv)) read_field(reader, field, request);
    if (reader.failed() || (request.amount && !request.unit)) return fail(Error::Malformed);
    return request;
}

Result<Bytes, PaymentRequestError> write_request_tlv(const PaymentRequest& request) {
    Writer writer;
    if (request.id) writer.text(kId, *request.id);
    if (request.amount) writer.number(kAmount, *request.amount);
    if (request.unit == kSat) {
        writer.byte(kUnit, 0);
    } else if (request.unit == std::string(1, '\0')) {
        writer.fail();  // It would be read back as sat.
    } else if (request.unit) {
        writer.text(kUnit, *request.unit);
    }
    if (request.single_use) writer.byte(kSingleUse, *request.single_use ? 1 : 0);
    for (const MintUrl& mint : request.mints) writer.text(kMint, mint.text());
    if (request.description) writer.text(kDescription, *request.description);
    for (const Transport& transport : request.transports) {
        writer.inside(kTransport, transport_of(transport));
    }
    if (request.lock) writer.inside(kLock, lock_of(*request.lock));
    if (request.mints_are_preferred) {
        writer.byte(kMintsPreferred, *request.mints_are_preferred ? 1 : 0);
    }
    if (request.fee_reserve) writer.number(kFeeReserve, *request.fee_reserve);
    for (const SettlementMethod& method : request.methods) {
        writer.inside(kMethod, method_of(method));
    }
    if (writer.failed()) return fail(Error::Inexpressible);
    return writer.bytes();
}

}  // namespace nutgate::cashu
