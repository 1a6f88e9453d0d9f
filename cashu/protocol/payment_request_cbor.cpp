#include <algorithm>

#include "protocol/cbor.h"
#include "protocol/payment_request.h"

namespace nutgate::cashu {

namespace {

using cbor::Value;
using Kind = Value::Kind;
using Error = PaymentRequestError;

// A map's fields, with the first that is of another kind than it should be remembered. As in JSON,
// one that is absent, null or undefined is not there.
class Fields {
public:
    explicit Fields(const Value& map) : map_{map}, failed_{map.kind != Kind::Map} {}

    const Value* maybe(std::string_view key, Kind kind) {
        const Value* const value = cbor::find(map_, key, kind);
        if (value == nullptr && cbor::has(map_, key)) failed_ = true;
        return value;
    }
    std::optional<std::string> maybe_text(std::string_view key) {
        const Value* const value = maybe(key, Kind::Text);
        return value == nullptr ? std::nullopt : std::optional{value->text};
    }
    std::string text(std::string_view key) {
        auto value = maybe_text(key);
        if (!value) failed_ = true;
        return std::move(value).value_or("");
    }
    std::optional<Amount> maybe_number(std::string_view key) {
        const Value* const value = maybe(key, Kind::Number);
        return value == nullptr ? std::nullopt : std::optional{value->number};
    }
    std::optional<bool> maybe_flag(std::string_view key) {
        const Value* const value = maybe(key, Kind::Flag);
        return value == nullptr ? std::nullopt : std::optional{value->number != 0};
    }
    const std::vector<Value>& maybe_items(std::string_view key) {
        static const std::vector<Value> kNone;
        const Value* const value = maybe(key, Kind::Array);
        return value == nullptr ? kNone : value->items;
    }
    std::vector<std::vector<std::string>> tags(std::string_view key) {
        std::vector<std::vector<std::string>> tags;
        for (const Value& item : maybe_items(key)) {
            failed_ |= item.kind != Kind::Array || item.items.empty();
            auto& tag = tags.emplace_back();
            for (const Value& part : item.items) {
                failed_ |= part.kind != Kind::Text;
                tag.push_back(part.text);
            }
        }
        return tags;
    }
    bool failed() const { return failed_; }
    void fail() { failed_ = true; }

private:
    const Value& map_;
    bool failed_;
};

void read_mints(Fields& fields, PaymentRequest& request) {
    for (const Value& item : fields.maybe_items("m")) {
        const auto mint =
            item.kind == Kind::Text ? MintUrl::parse(item.text) : std::optional<MintUrl>{};
        if (!mint) return fields.fail();
        request.mints.push_back(*mint);
    }
}

void read_transports(Fields& fields, PaymentRequest& request) {
    for (const Value& item : fields.maybe_items("t")) {
        Fields transport{item};
        request.transports.push_back(
            {transport.text("t"), transport.text("a"), transport.tags("g")});
        if (transport.failed()) return fields.fail();
    }
}

void read_methods(Fields& fields, PaymentRequest& request) {
    for (const Value& item : fields.maybe_items("sm")) {
        Fields method{item};
        request.methods.push_back({method.text("mn"), method.maybe_number("mf")});
        if (method.failed()) return fields.fail();
    }
}

void read_lock(Fields& fields, PaymentRequest& request) {
    const Value* const value = fields.maybe("nut10", Kind::Map);
    if (value == nullptr) return;
    Fields lock{*value};
    request.lock = LockTerms{lock.text("k"), lock.text("d"), lock.tags("t")};
    if (lock.failed()) fields.fail();
}

// A map whose count of keys is known only once they are written.
class MapWriter {
public:
    template <class Write>
    void field(std::string_view key, Write write) {
        writer_.text(key);
        write(writer_);
        ++count_;
    }
    void text(std::string_view key, const std::string& value) {
        field(key, [&](cbor::Writer& writer) { writer.text(value); });
    }
    void number(std::string_view key, std::uint64_t value) {
        field(key, [&](cbor::Writer& writer) { writer.number(value); });
    }
    void flag(std::string_view key, bool value) {
        field(key, [&](cbor::Writer& writer) { writer.flag(value); });
    }
    void tags(std::string_view key, const std::vector<std::vector<std::string>>& tags) {
        if (tags.empty()) return;
        field(key, [&](cbor::Writer& writer) {
            writer.array(tags.size());
            for (const auto& tag : tags) {
                writer.array(tag.size());
                for (const std::string& part : tag) writer.text(part);
            }
        });
    }
    void into(cbor::Writer& outer) {
        outer.map(count_);
        outer.raw(writer_.take());
    }

private:
    cbor::Writer writer_;
    std::size_t count_ = 0;
};

template <class Items, class Write>
void write_list(MapWriter& map, std::string_view key, const Items& items, Write write) {
    if (items.empty()) return;
    map.field(key, [&](cbor::Writer& writer) {
        writer.array(items.size());
        for (const auto& item : items) write(writer, item);
    });
}

void write_transport(cbor::Writer& writer, const Transport& transport) {
    MapWriter map;
    map.text("t", transport.kind);
    map.text("a", transport.target);
    map.tags("g", transport.tags);
    map.into(writer);
}

void write_method(cbor::Writer& writer, const SettlementMethod& method) {
    MapWriter map;
    map.text("mn", method.method);
    if (method.fee) map.number("mf", *method.fee);
    map.into(writer);
}

void write_lock(cbor::Writer& writer, const LockTerms& lock) {
    MapWriter map;
    map.text("k", lock.kind);
    map.text("d", lock.data);
    map.tags("t", lock.tags);
    map.into(writer);
}

}  // namespace

Result<PaymentRequest, PaymentRequestError> read_request_cbor(BytesView cbor) {
    const auto document = cbor::read(cbor);
    if (!document) return fail(Error::Malformed);
    Fields fields{*document};
    PaymentRequest request;
    request.id = fields.maybe_text("i");
    request.amount = fields.maybe_number("a");
    request.unit = fields.maybe_text("u");
    request.single_use = fields.maybe_flag("s");
    read_mints(fields, request);
    request.mints_are_preferred = fields.maybe_flag("mp");
    request.fee_reserve = fields.maybe_number("fr");
    read_methods(fields, request);
    request.description = fields.maybe_text("d");
    read_transports(fields, request);
    read_lock(fields, request);
    if (fields.failed() || (request.amount && !request.unit)) return fail(Error::Malformed);
    return request;
}

Bytes write_request_cbor(const PaymentRequest& request) {
    MapWriter map;
    if (request.id) map.text("i", *request.id);
    if (request.amount) map.number("a", *request.amount);
    if (request.unit) map.text("u", *request.unit);
    if (request.single_use) map.flag("s", *request.single_use);
    write_list(map, "m", request.mints,
               [](cbor::Writer& writer, const MintUrl& mint) { writer.text(mint.text()); });
    if (request.mints_are_preferred) map.flag("mp", *request.mints_are_preferred);
    if (request.fee_reserve) map.number("fr", *request.fee_reserve);
    write_list(map, "sm", request.methods, write_method);
    if (request.description) map.text("d", *request.description);
    write_list(map, "t", request.transports, write_transport);
    if (request.lock) {
        map.field("nut10", [&](cbor::Writer& writer) { write_lock(writer, *request.lock); });
    }
    cbor::Writer writer;
    map.into(writer);
    return writer.take();
}

}  // namespace nutgate::cashu
