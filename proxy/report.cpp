#include "report.h"

#include <array>
#include <charconv>
#include <utility>
#include <vector>

#include "nutgate/http/error_envelope.h"
#include "nutgate/proxy/usage_rows.h"

namespace nutgate::proxy {
namespace {

// Each answer has two dozen of them.
void append_number(std::string& json, std::int64_t value) {
    std::array<char, 24> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
    json.append(digits.data(), end);
}

void append_member(std::string& json, std::string_view name_and_colon, std::int64_t value) {
    json += name_and_colon;
    append_number(json, value);
}

void append_stopped(std::string& json, const Receipt& receipt) {
    if (!receipt.stopped.empty()) json.append(R"(,"stopped":")").append(receipt.stopped) += '"';
}

std::string cost_json(const Receipt& receipt) {
    constexpr std::size_t kUsualBytes = 320;
    const Cost& cost = receipt.cost;
    const Usage& usage = receipt.metered.usage;
    std::string json;
    json.reserve(kUsualBytes);
    append_member(json, R"({"base_msats":)", cost.base.raw());
    append_member(json, R"(,"input_msats":)", cost.input.raw());
    append_member(json, R"(,"output_msats":)", cost.output.raw());
    append_member(json, R"(,"total_msats":)", cost.total.raw());
    append_member(json, R"(,"cache_read_input_tokens":)", usage.in_cached);
    append_member(json, R"(,"cache_creation_input_tokens":)",
                  usage.cache_write_5m + usage.cache_write_1h);
    append_member(json, R"(,"cache_read_msats":)", cost.input_cached.raw());
    append_member(json, R"(,"cache_creation_msats":)", cost.cache_writes.raw());
    json += R"(,"usage_source":")";
    json.append(to_text(receipt.metered.source)).append("\"");
    append_stopped(json, receipt);
    json += '}';
    return json;
}

// The members that go into `usage`, without braces.
void append_usage_members(std::string& json, const Receipt& receipt, std::string_view cost) {
    json.append("\"cost\":").append(cost);
    append_member(json, ",\"cost_sats\":", to_sat_floor(receipt.cost.total).raw());
    append_member(json, ",\"remaining_balance_msats\":", receipt.remaining.raw());
}

// Counts in the words of a dialect, each with a comma behind it.
void append_counts(std::string& json, const Usage& usage, UsageNames names) {
    switch (names) {
        case UsageNames::Prompt:
            append_member(json, R"("prompt_tokens":)", usage.input());
            append_member(json, R"(,"completion_tokens":)", usage.output());
            append_member(json, R"(,"total_tokens":)", usage.input() + usage.output());
            append_member(json, R"(,"prompt_tokens_details":{"cached_tokens":)", usage.in_cached);
            append_member(json, R"(},"completion_tokens_details":{"reasoning_tokens":)",
                          usage.out_reasoning);
            json += "},";
            return;
        case UsageNames::Input:
            append_member(json, R"("input_tokens":)", usage.input());
            append_member(json, R"(,"input_tokens_details":{"cached_tokens":)", usage.in_cached);
            append_member(json, R"(},"output_tokens":)", usage.output());
            append_member(json, R"(,"output_tokens_details":{"reasoning_tokens":)",
                          usage.out_reasoning);
            append_member(json, R"(},"total_tokens":)", usage.input() + usage.output());
            json += ',';
            return;
        case UsageNames::Image:
            append_member(json, R"("input_tokens":)", usage.input());
            append_member(json, R"(,"input_tokens_details":{"text_tokens":)",
                          usage.input() - usage.in_image);
            append_member(json, R"(,"image_tokens":)", usage.in_image);
            append_member(json, R"(},"output_tokens":)", usage.output());
            append_member(json, R"(,"output_tokens_details":{"text_tokens":)",
                          usage.output() - usage.out_image);
            append_member(json, R"(,"image_tokens":)", usage.out_image);
            append_member(json, R"(},"total_tokens":)", usage.input() + usage.output());
            json += ',';
            return;
        case UsageNames::Message: {
            const std::int64_t written = usage.cache_write_5m + usage.cache_write_1h;
            append_member(json, R"("input_tokens":)", usage.input() - usage.in_cached - written);
            append_member(json, R"(,"cache_creation_input_tokens":)", written);
            append_member(json, R"(,"cache_read_input_tokens":)", usage.in_cached);
            append_member(json, R"(,"output_tokens":)", usage.output());
            json += ',';
            return;
        }
    }
}

void append_whole_usage(std::string& json, const Receipt& receipt, std::string_view cost) {
    json += '{';
    append_counts(json, receipt.metered.usage, receipt.names);
    append_usage_members(json, receipt, cost);
    json += '}';
}

void append_routstr_member(std::string& json, const Receipt& receipt, std::string_view cost) {
    json.append(R"("routstr":{"cost":)").append(cost);
    append_member(json, R"(,"sats_cost":)", to_sat_floor(receipt.cost.total).raw());
    append_member(json, R"(,"remaining_balance_msats":)", receipt.remaining.raw());
    append_stopped(json, receipt);
    json += '}';
}

// Where to put members of the object at `place`, after those that it has; with a comma, if it has.
Edit into_object(std::string_view json, Span place) {
    const std::size_t brace = place.end - 1;
    const bool empty =
        json.substr(place.begin + 1, brace - place.begin - 1).find_first_not_of(" \t\r\n") ==
        std::string_view::npos;
    return {{brace, brace}, empty ? "" : ","};
}

// Gives the upstream's members of our names other names: two of one name would mean what the
// reader's parser makes of them.
void rename_members(std::string_view json, Span object, std::vector<Edit>& edits) {
    JsonReader reader{object.of(json)};
    (void)reader.next();
    for (;;) {
        if (reader.next() != JsonToken::Key) return;
        const Span key{object.begin + reader.span().begin, object.begin + reader.span().end};
        const std::string_view raw = reader.raw().substr(1, reader.raw().size() - 2);
        for (const std::string_view ours : {"cost", "cost_sats", "remaining_balance_msats"}) {
            if (!key_is(raw, ours)) continue;
            edits.push_back({key, std::string{"\"upstream_"}.append(ours).append(1, '"')});
        }
        if (!reader.skip(reader.next())) return;
    }
}

// The type that an event says it has, in raw letters, and the member that holds its usage: the
// response in it, or all of it.
struct EventParts {
    std::string_view type;
    Span told;
};
EventParts parts_of(std::string_view json) {
    EventParts parts{.type = {}, .told = {0, json.size()}};
    JsonReader reader{json};
    (void)reader.next();
    while (const auto member = reader.next_member()) {
        if (key_is(member->key, "type") && member->first == JsonToken::String) {
            parts.type = reader.raw().substr(1, reader.raw().size() - 2);
        }
        const auto place = reader.skip(member->first);
        if (!place) break;
        if (key_is(member->key, "response") && member->first == JsonToken::BeginObject) {
            parts.told = *place;
        }
    }
    return parts;
}

// What is added at the end of the whole object, each with a comma before it.
std::string put_usage_and_metadata(std::string_view json, const Chunk& answer,
                                   const Receipt& receipt, std::vector<Edit>& edits) {
    constexpr std::size_t kUsualBytes = 512;
    std::string added;
    added.reserve(kUsualBytes);
    const std::string cost = cost_json(receipt);
    const bool told = receipt.metered.source != UsageSource::Estimate;
    if (!answer.usage) {
        added += ",\"usage\":";
        append_whole_usage(added, receipt, cost);
    } else if (answer.usage->first == JsonToken::BeginObject && told) {
        rename_members(json, answer.usage->place, edits);
        Edit& edit = edits.emplace_back(into_object(json, answer.usage->place));
        edit.replacement.reserve(kUsualBytes);
        append_usage_members(edit.replacement, receipt, cost);
    } else {
        append_whole_usage(edits.emplace_back(Edit{answer.usage->place, {}}).replacement, receipt,
                           cost);
    }
    if (!answer.metadata) {
        added += ",\"metadata\":{";
        append_routstr_member(added, receipt, cost);
        added += '}';
    } else if (answer.metadata->first == JsonToken::BeginObject) {
        Edit& edit = edits.emplace_back(into_object(json, answer.metadata->place));
        append_routstr_member(edit.replacement, receipt, cost);
    } else if (answer.metadata->first == JsonToken::Null) {
        Edit& edit = edits.emplace_back(Edit{answer.metadata->place, "{"});
        append_routstr_member(edit.replacement, receipt, cost);
        edit.replacement += '}';
    }
    if (!answer.has_provider) {
        added += ",\"provider\":";
        http::append_json_quote(added, receipt.provider);
    }
    return added;
}

}  // namespace

std::string begin_chunk(const SseMeter& meter, const ChunkHead& head) {
    std::string chunk = "{";
    if (!meter.id_json().empty()) chunk += "\"id\":" + meter.id_json() + ',';
    chunk.append("\"object\":\"").append(head.object).append("\",");
    if (!meter.created_json().empty()) chunk += "\"created\":" + meter.created_json() + ',';
    chunk += "\"model\":";
    chunk += meter.model_json().empty() ? http::json_quote(head.model) : meter.model_json();
    return chunk + ",\"choices\":[";
}

std::string event_text(std::string_view type, std::string_view data) {
    return std::string{"event: "}.append(type).append("\ndata: ").append(data).append("\n\n");
}

std::string on_one_line(std::string text) {
    for (char& c : text) {
        if (c == '\n' || c == '\r') c = ' ';
    }
    return text;
}

std::string splice_receipt(std::string_view json, const Receipt& receipt) {
    std::string spliced{json};
    if (const auto answer = read_chunk(json)) splice_receipt(spliced, *answer, receipt);
    return spliced;
}

void splice_receipt(std::string& json, const Chunk& answer, const Receipt& receipt) {
    constexpr std::size_t kUsualEdits = 4;
    std::vector<Edit> edits;
    edits.reserve(kUsualEdits);
    std::string added = put_usage_and_metadata(json, answer, receipt, edits);
    if (answer.empty && !added.empty()) added.erase(0, 1);
    if (!added.empty()) edits.push_back({{answer.end, answer.end}, std::move(added)});
    edit_in_place(json, std::move(edits));
}

std::string receipt_event(const SseMeter& meter, const ChunkHead& head, const Receipt& receipt) {
    std::string chunk = meter.usage_chunk();
    if (chunk.empty()) chunk = begin_chunk(meter, head) + "]}";
    return "data: " + on_one_line(splice_receipt(chunk, receipt)) + "\n\n";
}

std::string receipt_event(const SseMeter& meter, const Receipt& receipt) {
    const std::string& event = meter.usage_chunk();
    if (event.empty()) {
        const std::string cost = cost_json(receipt);
        std::string json = R"({"type":"cost","cost":)" + cost + R"(,"usage":)";
        append_whole_usage(json, receipt, cost);
        json += R"(,"metadata":{)";
        append_routstr_member(json, receipt, cost);
        return event_text("cost", json + "}}");
    }
    const EventParts parts = parts_of(event);
    const std::string told = splice_receipt(parts.told.of(event), receipt);
    return event_text(parts.type, on_one_line(apply_edits(event, {{parts.told, told}})));
}

std::string last_event(const SseMeter& meter) {
    const std::string& event = meter.usage_chunk();
    if (event.empty()) return {};
    return event_text(parts_of(event).type, on_one_line(event));
}

void add_cost_headers(http::Headers& headers, const Receipt& receipt) {
    const Msat cached = *add(receipt.cost.input_cached, receipt.cost.cache_writes);
    const Msat input = *add(receipt.cost.input, cached);
    headers.set("X-Routstr-Cost-Msats", std::to_string(receipt.cost.total.raw()));
    headers.set("X-Routstr-Input-Cost-Msats", std::to_string(input.raw()));
    headers.set("X-Routstr-Output-Cost-Msats", std::to_string(receipt.cost.output.raw()));
}

}  // namespace nutgate::proxy
