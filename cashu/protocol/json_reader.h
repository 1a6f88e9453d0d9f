// Reading JSON that a stranger wrote: fields by name, with the first fault remembered.
//
// A Reader walks the document; after a fault it answers with empty values, so that the code that
// reads a message says what the message is and looks for a fault once, at its end.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nutgate/cashu/wire.h"

namespace nutgate::cashu::wire {

using Json = nlohmann::json;

class Reader {
public:
    enum class Root { Object, Any };
    explicit Reader(std::string_view text, Root root = Root::Object);

    const Json& root() const { return root_; }
    bool failed() const { return fault_.has_value(); }
    const WireError& fault() const { return *VERIFY_PTR(fault_ ? &*fault_ : nullptr); }
    void fail_with(WireError::Code code, const std::string& where);

    // Null where the field is absent or null; a fault unless `object` is one.
    const Json* optional(const Json& object, std::string_view key);
    const Json* required(const Json& object, std::string_view key);

    std::uint64_t number(const Json& object, std::string_view key);
    std::optional<std::uint64_t> maybe_number(const Json& object, std::string_view key);
    std::optional<std::int64_t> maybe_time(const Json& object, std::string_view key);
    std::string text(const Json& object, std::string_view key, std::size_t bytes_max);
    std::optional<std::string> maybe_text(const Json& object, std::string_view key,
                                          std::size_t bytes_max);
    bool flag(const Json& object, std::string_view key);  // False where it is absent.
    // An array's items, at most `most`; a fault if there are more.
    const std::vector<Json>& items(const Json& object, std::string_view key, std::size_t most);
    const std::vector<Json>& maybe_items(const Json& object, std::string_view key,
                                         std::size_t most);

    std::optional<crypto::Point> point(const Json& object, std::string_view key);
    std::optional<crypto::Point> point_of(const Json& value, std::string_view key);
    std::optional<KeysetId> keyset(const Json& object, std::string_view key);
    std::optional<Dleq> dleq(const Json& object);
    std::vector<Proof> proofs(const Json& object, std::string_view key);
    std::vector<BlindedMessage> outputs(const Json& object, std::string_view key);
    std::vector<BlindedMessage> maybe_outputs(const Json& object, std::string_view key);
    std::vector<BlindSignature> signatures(const Json& object, std::string_view key);

    // What was read, unless something was wrong.
    template <class T>
    Parsed<T> finish(T value) {
        if (fault_) return fail(*fault_);
        return value;
    }

    // Runs `body` with the place put before whatever fault it finds.
    void within(const std::string& place, const std::function<void()>& body);

private:
    std::optional<ByteArray<32>> scalar(const Json& object, std::string_view key);
    std::optional<Proof> proof(const Json& value);
    std::optional<BlindedMessage> output(const Json& value);
    std::optional<BlindSignature> signature(const Json& value);
    template <class T>
    std::vector<T> list(const std::vector<Json>& items, std::string_view key,
                        std::optional<T> (Reader::*read)(const Json&));

    Json root_;
    std::string place_;
    std::optional<WireError> fault_;
};

}  // namespace nutgate::cashu::wire
