#include "protocol/json_reader.h"

#include "nutgate/base/json_depth.h"
#include "nutgate/cashu/token.h"

namespace nutgate::cashu::wire {

namespace {

using Code = WireError::Code;

const std::vector<Json> kNoItems;

}  // namespace

Reader::Reader(std::string_view text, Root root) {
    if (text.size() > kBodyBytesMax) {
        fail_with(Code::TooLarge, "");
        return;
    }
    if (nests_too_deep(text)) {
        fail_with(Code::NotJson, "");
        return;
    }
    root_ = Json::parse(text, nullptr, false);
    if (root_.is_discarded()) {
        root_ = nullptr;
        fail_with(Code::NotJson, "");
    } else if (root == Root::Object && !root_.is_object()) {
        fail_with(Code::WrongType, "");
    }
}

void Reader::fail_with(Code code, const std::string& where) {
    if (!fault_) fault_ = WireError{code, place_ + where};
}

void Reader::within(const std::string& place, const std::function<void()>& body) {
    const std::string outer = place_;
    place_ += place;
    body();
    place_ = outer;
}

const Json* Reader::optional(const Json& object, std::string_view key) {
    if (!object.is_object()) {
        fail_with(Code::WrongType, std::string{key});
        return nullptr;
    }
    const auto found = object.find(key);
    if (found == object.end() || found->is_null()) return nullptr;
    return &*found;
}

const Json* Reader::required(const Json& object, std::string_view key) {
    const Json* const value = optional(object, key);
    if (value == nullptr) fail_with(Code::Missing, std::string{key});
    return value;
}

std::optional<std::uint64_t> Reader::maybe_number(const Json& object, std::string_view key) {
    const Json* const value = optional(object, key);
    if (value == nullptr) return std::nullopt;
    // What is negative, has a fraction or is beyond u64 is of another type to the library.
    if (!value->is_number_unsigned()) {
        fail_with(Code::WrongType, std::string{key});
        return std::nullopt;
    }
    return value->get<std::uint64_t>();
}

std::uint64_t Reader::number(const Json& object, std::string_view key) {
    if (required(object, key) == nullptr) return 0;
    return maybe_number(object, key).value_or(0);
}

std::optional<std::int64_t> Reader::maybe_time(const Json& object, std::string_view key) {
    const auto value = maybe_number(object, key);
    if (!value) return std::nullopt;
    if (*value > static_cast<std::uint64_t>(INT64_MAX)) {
        fail_with(Code::OutOfRange, std::string{key});
        return std::nullopt;
    }
    return static_cast<std::int64_t>(*value);
}

std::optional<std::string> Reader::maybe_text(const Json& object, std::string_view key,
                                              std::size_t bytes_max) {
    const Json* const value = optional(object, key);
    if (value == nullptr) return std::nullopt;
    if (!value->is_string()) {
        fail_with(Code::WrongType, std::string{key});
        return std::nullopt;
    }
    const auto& text = value->get_ref<const std::string&>();
    if (text.size() > bytes_max) {
        fail_with(Code::OutOfRange, std::string{key});
        return std::nullopt;
    }
    return text;
}

std::string Reader::text(const Json& object, std::string_view key, std::size_t bytes_max) {
    if (required(object, key) == nullptr) return {};
    return maybe_text(object, key, bytes_max).value_or("");
}

bool Reader::flag(const Json& object, std::string_view key) {
    const Json* const value = optional(object, key);
    if (value == nullptr) return false;
    if (!value->is_boolean()) fail_with(Code::WrongType, std::string{key});
    return value->is_boolean() && value->get<bool>();
}

const std::vector<Json>& Reader::maybe_items(const Json& object, std::string_view key,
                                             std::size_t most) {
    const Json* const value = optional(object, key);
    if (value == nullptr) return kNoItems;
    if (!value->is_array()) {
        fail_with(Code::WrongType, std::string{key});
        return kNoItems;
    }
    if (value->size() > most) {
        fail_with(Code::TooMany, std::string{key});
        return kNoItems;
    }
    return value->get_ref<const Json::array_t&>();
}

const std::vector<Json>& Reader::items(const Json& object, std::string_view key, std::size_t most) {
    if (required(object, key) == nullptr) return kNoItems;
    return maybe_items(object, key, most);
}

std::optional<crypto::Point> Reader::point_of(const Json& value, std::string_view key) {
    if (!value.is_string()) {
        fail_with(Code::WrongType, std::string{key});
        return std::nullopt;
    }
    auto point = crypto::Point::from_hex(value.get_ref<const std::string&>());
    if (!point) fail_with(Code::NotAPoint, std::string{key});
    return point;
}

std::optional<crypto::Point> Reader::point(const Json& object, std::string_view key) {
    const Json* const value = required(object, key);
    if (value == nullptr) return std::nullopt;
    return point_of(*value, key);
}

std::optional<KeysetId> Reader::keyset(const Json& object, std::string_view key) {
    const std::string id = text(object, key, kTextBytesMax);
    auto keyset = KeysetId::parse(id);
    if (!keyset) fail_with(Code::NotAKeyset, std::string{key});
    return keyset;
}

std::optional<ByteArray<32>> Reader::scalar(const Json& object, std::string_view key) {
    const auto hex = maybe_text(object, key, kTextBytesMax);
    if (!hex) return std::nullopt;
    auto bytes = array_from_hex<32>(*hex);
    if (!bytes) fail_with(Code::OutOfRange, std::string{key});
    return bytes;
}

std::optional<Dleq> Reader::dleq(const Json& object) {
    const Json* const value = optional(object, "dleq");
    if (value == nullptr) return std::nullopt;
    std::optional<Dleq> dleq;
    within("dleq.", [&] {
        const auto e = scalar(*value, "e");
        const auto s = scalar(*value, "s");
        auto r = scalar(*value, "r");
        if (!e || !s) return fail_with(Code::Missing, "e, s");
        dleq = Dleq{.e = *e, .s = *s, .r = r};
    });
    return dleq;
}

std::optional<Proof> Reader::proof(const Json& value) {
    const Amount amount = number(value, "amount");
    const auto id = keyset(value, "id");
    std::string secret = text(value, "secret", kSecretBytesMax);
    const auto c = point(value, "C");
    std::optional<std::string> witness;
    if (const Json* const given = optional(value, "witness"); given != nullptr) {
        // Some libraries send the object that the string should hold.
        witness = given->is_string() ? unwrap_witness(given->get_ref<const std::string&>())
                                     : given->dump(-1, ' ', false, Json::error_handler_t::replace);
        if (witness->size() > kWitnessBytesMax) fail_with(Code::OutOfRange, "witness");
    }
    auto proof_dleq = dleq(value);
    std::optional<crypto::Point> ephemeral;
    if (optional(value, "p2pk_e") != nullptr) ephemeral = point(value, "p2pk_e");
    if (failed() || !id || !c) return std::nullopt;
    return Proof{amount, *id, std::move(secret), *c, std::move(witness), proof_dleq, ephemeral};
}

std::optional<BlindedMessage> Reader::output(const Json& value) {
    const Amount amount = number(value, "amount");
    const auto id = keyset(value, "id");
    const auto blinded = point(value, "B_");
    if (failed() || !id || !blinded) return std::nullopt;
    return BlindedMessage{amount, *id, *blinded};
}

std::optional<BlindSignature> Reader::signature(const Json& value) {
    const Amount amount = number(value, "amount");
    const auto id = keyset(value, "id");
    const auto c = point(value, "C_");
    auto signature_dleq = dleq(value);
    if (failed() || !id || !c) return std::nullopt;
    return BlindSignature{amount, *id, *c, signature_dleq};
}

template <class T>
std::vector<T> Reader::list(const std::vector<Json>& items, std::string_view key,
                            std::optional<T> (Reader::*read)(const Json&)) {
    std::vector<T> result;
    result.reserve(items.size());
    for (const Json& item : items) {
        std::optional<T> value;
        within(std::string{key} + "[" + std::to_string(result.size()) + "].",
               [&] { value = (this->*read)(item); });
        // Each further one costs a square root; the first fault is enough.
        if (!value) return {};
        result.push_back(*std::move(value));
    }
    return result;
}

std::vector<Proof> Reader::proofs(const Json& object, std::string_view key) {
    return list(items(object, key, kArrayMax), key, &Reader::proof);
}

std::vector<BlindedMessage> Reader::outputs(const Json& object, std::string_view key) {
    return list(items(object, key, kArrayMax), key, &Reader::output);
}

std::vector<BlindedMessage> Reader::maybe_outputs(const Json& object, std::string_view key) {
    return list(maybe_items(object, key, kArrayMax), key, &Reader::output);
}

std::vector<BlindSignature> Reader::signatures(const Json& object, std::string_view key) {
    return list(items(object, key, kArrayMax), key, &Reader::signature);
}

std::string unwrap_witness(std::string_view witness) {
    std::string inner{witness};
    // Twice is what was seen in the wild. Each layer doubles what it escapes, so there can't be
    // many.
    for (;;) {
        const Json parsed = Json::parse(inner, nullptr, false);
        if (!parsed.is_string()) return inner;
        inner = parsed.get<std::string>();
    }
}

}  // namespace nutgate::cashu::wire
