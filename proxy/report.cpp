#include "report.h"

#include <utility>
#include <vector>

#include "nutgate/http/error_envelope.h"

namespace nutgate::proxy {
namespace {

std::string number(std::int64_t value) { return std::to_string(value); }

std::string_view to_text(UsageSource source) {
    switch (source) {
        case UsageSource::UpstreamFinal:
            return "upstream_final";
        case UsageSource::UpstreamPartial:
            return "upstream_partial";
        case UsageSource::Estimate:
            return "estimate";
    }
    return "estimate";
}

std::string cost_json(const Receipt& receipt) {
    const Cost& cost = receipt.cost;
    const Usage& usage = receipt.metered.usage;
    return R"({"base_msats":0,"input_msats":)" + number(cost.input.raw()) + R"(,"output_msats":)" +
           number(cost.output.raw()) + R"(,"total_msats":)" + number(cost.total.raw()) +
           R"(,"cache_read_input_tokens":)" + number(usage.in_cached) +
           R"(,"cache_creation_input_tokens":)" +
           number(usage.cache_write_5m + usage.cache_write_1h) + R"(,"cache_read_msats":)" +
           number(cost.input_cached.raw()) + R"(,"cache_creation_msats":0,"usage_source":")" +
           std::string{to_text(receipt.metered.source)} + "\"}";
}

// The members that go into `usage`, without braces.
std::string usage_members(const Receipt& receipt, const std::string& cost) {
    return "\"cost\":" + cost + ",\"cost_sats\":" + number(to_sat_floor(receipt.cost.total).raw()) +
           ",\"remaining_balance_msats\":" + number(receipt.remaining.raw());
}

std::string whole_usage(const Receipt& receipt, const std::string& cost) {
    const Usage& usage = receipt.metered.usage;
    return R"({"prompt_tokens":)" + number(usage.input()) + R"(,"completion_tokens":)" +
           number(usage.output()) + R"(,"total_tokens":)" + number(usage.input() + usage.output()) +
           R"(,"prompt_tokens_details":{"cached_tokens":)" + number(usage.in_cached) +
           R"(},"completion_tokens_details":{"reasoning_tokens":)" + number(usage.out_reasoning) +
           "}," + usage_members(receipt, cost) + '}';
}

std::string routstr_member(const Receipt& receipt, const std::string& cost) {
    return R"("routstr":{"cost":)" + cost + R"(,"sats_cost":)" +
           number(to_sat_floor(receipt.cost.total).raw()) + R"(,"remaining_balance_msats":)" +
           number(receipt.remaining.raw()) + '}';
}

// Puts members into the object at `place`, after those that it has.
void put_into_object(std::string_view json, Span place, const std::string& members,
                     std::vector<Edit>& edits) {
    const std::size_t brace = place.end - 1;
    const bool empty =
        json.substr(place.begin + 1, brace - place.begin - 1).find_first_not_of(" \t\r\n") ==
        std::string_view::npos;
    edits.push_back({{brace, brace}, empty ? members : ',' + members});
}

// Gives the upstream's members of our names other names: two of one name would mean what the
// reader's parser makes of them.
void rename_members(std::string_view json, Span object, std::vector<Edit>& edits) {
    JsonReader reader{object.of(json)};
    (void)reader.next();
    for (;;) {
        if (reader.next() != JsonToken::Key) return;
        const Span key{object.begin + reader.span().begin, object.begin + reader.span().end};
        const std::string name = json_text(reader.raw());
        if (name == "cost" || name == "cost_sats" || name == "remaining_balance_msats") {
            edits.push_back({key, "\"upstream_" + name + '"'});
        }
        if (!reader.skip(reader.next())) return;
    }
}

// What is added at the end of the whole object, each with a comma before it.
std::string put_usage_and_metadata(std::string_view json, const Chunk& answer,
                                   const Receipt& receipt, std::vector<Edit>& edits) {
    std::string added;
    const std::string cost = cost_json(receipt);
    const bool told = receipt.metered.source != UsageSource::Estimate;
    if (!answer.usage) {
        added += ",\"usage\":" + whole_usage(receipt, cost);
    } else if (answer.usage->first == JsonToken::BeginObject && told) {
        rename_members(json, answer.usage->place, edits);
        put_into_object(json, answer.usage->place, usage_members(receipt, cost), edits);
    } else {
        edits.push_back({answer.usage->place, whole_usage(receipt, cost)});
    }
    if (!answer.metadata) {
        added += ",\"metadata\":{" + routstr_member(receipt, cost) + '}';
    } else if (answer.metadata->first == JsonToken::BeginObject) {
        put_into_object(json, answer.metadata->place, routstr_member(receipt, cost), edits);
    } else if (answer.metadata->first == JsonToken::Null) {
        edits.push_back({answer.metadata->place, '{' + routstr_member(receipt, cost) + '}'});
    }
    if (!answer.has_provider) added += ",\"provider\":" + http::json_quote(receipt.provider);
    return added;
}

}  // namespace

std::string splice_receipt(std::string_view json, const Receipt& receipt) {
    std::string spliced{json};
    if (const auto answer = read_chunk(json)) splice_receipt(spliced, *answer, receipt);
    return spliced;
}

void splice_receipt(std::string& json, const Chunk& answer, const Receipt& receipt) {
    std::vector<Edit> edits;
    std::string added = put_usage_and_metadata(json, answer, receipt, edits);
    if (answer.empty && !added.empty()) added.erase(0, 1);
    if (!added.empty()) edits.push_back({{answer.end, answer.end}, std::move(added)});
    edit_in_place(json, std::move(edits));
}

std::string receipt_event(const SseMeter& meter, std::string_view model, const Receipt& receipt) {
    std::string chunk = meter.usage_chunk();
    if (chunk.empty()) {
        chunk = "{";
        if (!meter.id_json().empty()) chunk += "\"id\":" + meter.id_json() + ',';
        chunk += "\"object\":\"chat.completion.chunk\",";
        if (!meter.created_json().empty()) chunk += "\"created\":" + meter.created_json() + ',';
        chunk += "\"model\":";
        chunk += meter.model_json().empty() ? http::json_quote(model) : meter.model_json();
        chunk += ",\"choices\":[]}";
    }
    std::string event = "data: ";
    for (const char c : splice_receipt(chunk, receipt)) {
        // An event of several data lines had its line ends between tokens, where a space will do.
        event += c == '\n' || c == '\r' ? ' ' : c;
    }
    return event + "\n\n";
}

void add_cost_headers(http::Headers& headers, const Receipt& receipt) {
    headers.set("X-Routstr-Cost-Msats", number(receipt.cost.total.raw()));
    headers.set("X-Routstr-Input-Cost-Msats",
                number(add(receipt.cost.input, receipt.cost.input_cached)->raw()));
    headers.set("X-Routstr-Output-Cost-Msats", number(receipt.cost.output.raw()));
}

}  // namespace nutgate::proxy
