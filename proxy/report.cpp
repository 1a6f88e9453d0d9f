#include "report.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "answers.h"
#include "nutgate/base/pen.h"
#include "nutgate/http/error_envelope.h"
#include "nutgate/proxy/usage_rows.h"

namespace nutgate::proxy {
namespace {

// Bounds of what is written of a receipt, beside the words that it brings itself. Numbers have 20
// digits at most.
constexpr std::size_t kCostBytesMax = 480;
constexpr std::size_t kCountsBytesMax = 384;   // In the words of any dialect.
constexpr std::size_t kMembersBytesMax = 128;  // Beside a cost.

std::size_t members_bytes_max(const Receipt& receipt, std::string_view cost) {
    return kMembersBytesMax + receipt.stopped.size() + cost.size();
}

template <std::size_t N>
void put_member(Pen& json, const char (&name_and_colon)[N], std::int64_t value) {  // NOLINT: a
    json.put(name_and_colon);                                                      // literal.
    json.put(value);
}

void put_stopped(Pen& json, const Receipt& receipt) {
    if (receipt.stopped.empty()) return;
    json.put(R"(,"stopped":")");
    json.put(receipt.stopped);
    json.put('"');
}

void put_cost(Pen& json, const Receipt& receipt) {
    const Cost& cost = receipt.cost;
    const Usage& usage = receipt.metered.usage;
    put_member(json, R"({"base_msats":)", cost.base.raw());
    put_member(json, R"(,"input_msats":)", cost.input.raw());
    put_member(json, R"(,"output_msats":)", cost.output.raw());
    put_member(json, R"(,"total_msats":)", cost.total.raw());
    put_member(json, R"(,"cache_read_input_tokens":)", usage.in_cached);
    put_member(json, R"(,"cache_creation_input_tokens":)",
               usage.cache_write_5m + usage.cache_write_1h);
    put_member(json, R"(,"cache_read_msats":)", cost.input_cached.raw());
    put_member(json, R"(,"cache_creation_msats":)", cost.cache_writes.raw());
    json.put(R"(,"usage_source":")");
    json.put(to_text(receipt.metered.source));
    json.put('"');
    put_stopped(json, receipt);
    json.put('}');
}

std::string cost_json(const Receipt& receipt) {
    std::string json;
    Pen pen{json, kCostBytesMax + receipt.stopped.size()};
    put_cost(pen, receipt);
    pen.finish();
    return json;
}

// The members that go into `usage`, without braces.
void put_usage_members(Pen& json, const Receipt& receipt, std::string_view cost) {
    json.put("\"cost\":");
    json.put(cost);
    put_member(json, ",\"cost_sats\":", to_sat_floor(receipt.cost.total).raw());
    put_member(json, ",\"remaining_balance_msats\":", receipt.remaining.raw());
}

// Counts in the words of a dialect, each with a comma behind it.
void put_counts(Pen& json, const Usage& usage, UsageNames names) {
    switch (names) {
        case UsageNames::Prompt:
            put_member(json, R"("prompt_tokens":)", usage.input());
            put_member(json, R"(,"completion_tokens":)", usage.output());
            put_member(json, R"(,"total_tokens":)", usage.input() + usage.output());
            put_member(json, R"(,"prompt_tokens_details":{"cached_tokens":)", usage.in_cached);
            put_member(json, R"(},"completion_tokens_details":{"reasoning_tokens":)",
                       usage.out_reasoning);
            json.put("},");
            return;
        case UsageNames::Input:
            put_member(json, R"("input_tokens":)", usage.input());
            put_member(json, R"(,"input_tokens_details":{"cached_tokens":)", usage.in_cached);
            put_member(json, R"(},"output_tokens":)", usage.output());
            put_member(json, R"(,"output_tokens_details":{"reasoning_tokens":)",
                       usage.out_reasoning);
            put_member(json, R"(},"total_tokens":)", usage.input() + usage.output());
            json.put(',');
            return;
        case UsageNames::Image:
            put_member(json, R"("input_tokens":)", usage.input());
            put_member(json, R"(,"input_tokens_details":{"text_tokens":)",
                       usage.input() - usage.in_image);
            put_member(json, R"(,"image_tokens":)", usage.in_image);
            put_member(json, R"(},"output_tokens":)", usage.output());
            put_member(json, R"(,"output_tokens_details":{"text_tokens":)",
                       usage.output() - usage.out_image);
            put_member(json, R"(,"image_tokens":)", usage.out_image);
            put_member(json, R"(},"total_tokens":)", usage.input() + usage.output());
            json.put(',');
            return;
        case UsageNames::Message: {
            const std::int64_t written = usage.cache_write_5m + usage.cache_write_1h;
            put_member(json, R"("input_tokens":)", usage.input() - usage.in_cached - written);
            put_member(json, R"(,"cache_creation_input_tokens":)", written);
            put_member(json, R"(,"cache_read_input_tokens":)", usage.in_cached);
            put_member(json, R"(,"output_tokens":)", usage.output());
            json.put(',');
            return;
        }
    }
}

void put_whole_usage(Pen& json, const Receipt& receipt, std::string_view cost) {
    json.put('{');
    put_counts(json, receipt.metered.usage, receipt.names);
    put_usage_members(json, receipt, cost);
    json.put('}');
}

void put_routstr_member(Pen& json, const Receipt& receipt, std::string_view cost) {
    json.put(R"("routstr":{"cost":)");
    json.put(cost);
    put_member(json, R"(,"sats_cost":)", to_sat_floor(receipt.cost.total).raw());
    put_member(json, R"(,"remaining_balance_msats":)", receipt.remaining.raw());
    put_stopped(json, receipt);
    json.put('}');
}

// One change of an answer: what stands at `where` becomes `text`, and then that part.
enum class Part { Nothing, UsageMembers, WholeUsage, RoutstrMember, Metadata, End };
struct Splice {
    Span where;
    std::string_view text = {};
    Part part = Part::Nothing;
};

// Members of the object at `place`, after those that it has; with a comma, if it has.
Splice into_object(std::string_view json, Span place, Part part) {
    const std::size_t brace = place.end - 1;
    const bool empty =
        json.substr(place.begin + 1, brace - place.begin - 1).find_first_not_of(" \t\r\n") ==
        std::string_view::npos;
    return {{brace, brace}, empty ? "" : ",", part};
}

// Gives the upstream's members of our names other names: two of one name would mean what the
// reader's parser makes of them.
void rename_members(std::string_view json, Span object, std::vector<Splice>& splices) {
    struct Renamed {
        std::string_view ours;
        std::string_view theirs;
    };
    constexpr std::array<Renamed, 3> kRenamed{
        {{"cost", "\"upstream_cost\""},
         {"cost_sats", "\"upstream_cost_sats\""},
         {"remaining_balance_msats", "\"upstream_remaining_balance_msats\""}}};
    JsonReader reader{object.of(json)};
    (void)reader.next();
    for (;;) {
        if (reader.next() != JsonToken::Key) return;
        const Span key{object.begin + reader.span().begin, object.begin + reader.span().end};
        const std::string_view raw = reader.raw().substr(1, reader.raw().size() - 2);
        for (const auto& [ours, theirs] : kRenamed) {
            if (key_is(raw, ours)) splices.push_back({key, theirs});
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

// An error's words without keys and names of accounts, line by line: what ends a line stays.
std::string shown_words(std::string_view words) {
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; };
    std::string shown;
    while (!words.empty()) {
        const auto end = std::ranges::find_if(words, is_control);
        const auto size = static_cast<std::size_t>(end - words.begin());
        shown += without_names(words.substr(0, size));
        words.remove_prefix(size);
        if (words.empty()) break;
        shown += words.front();
        words.remove_prefix(1);
    }
    return shown;
}

// A receipt as it goes into an answer.
struct Report {
    const Chunk& answer;
    const Receipt& receipt;
    std::string cost;
    std::string provider;  // Quoted.
};

// All changes, in the order of the text.
std::vector<Splice> splices_for(std::string_view json, const Report& report) {
    constexpr std::size_t kUsualSplices = 4;
    const Chunk& answer = report.answer;
    std::vector<Splice> splices;
    splices.reserve(kUsualSplices);
    const bool told = report.receipt.metered.source != UsageSource::Estimate;
    if (answer.usage && answer.usage->first == JsonToken::BeginObject && told) {
        const Span place = answer.usage->place;
        if (answer.may_name_cost) rename_members(json, place, splices);
        splices.push_back(into_object(json, place, Part::UsageMembers));
    } else if (answer.usage) {
        splices.push_back({answer.usage->place, {}, Part::WholeUsage});
    }
    if (answer.metadata && answer.metadata->first == JsonToken::BeginObject) {
        splices.push_back(into_object(json, answer.metadata->place, Part::RoutstrMember));
    } else if (answer.metadata && answer.metadata->first == JsonToken::Null) {
        splices.push_back({answer.metadata->place, {}, Part::Metadata});
    }
    if (!answer.usage || !answer.metadata || !answer.has_provider) {
        splices.push_back({{answer.end, answer.end}, {}, Part::End});
    }
    // Metadata may stand before usage.
    std::ranges::sort(splices, {}, [](const Splice& splice) { return splice.where.begin; });
    return splices;
}

void put_metadata(Pen& json, const Report& report) {
    json.put('{');
    put_routstr_member(json, report.receipt, report.cost);
    json.put('}');
}

// What the whole object has not, with commas.
void put_end(Pen& json, const Report& report) {
    bool is_first = report.answer.empty;
    const auto begin = [&] {
        if (!std::exchange(is_first, false)) json.put(',');
    };
    if (!report.answer.usage) {
        begin();
        json.put("\"usage\":");
        put_whole_usage(json, report.receipt, report.cost);
    }
    if (!report.answer.metadata) {
        begin();
        json.put("\"metadata\":");
        put_metadata(json, report);
    }
    if (!report.answer.has_provider) {
        begin();
        json.put("\"provider\":");
        json.put(report.provider);
    }
}

void put_part(Pen& json, Part part, const Report& report) {
    switch (part) {
        case Part::Nothing:
            return;
        case Part::UsageMembers:
            return put_usage_members(json, report.receipt, report.cost);
        case Part::WholeUsage:
            return put_whole_usage(json, report.receipt, report.cost);
        case Part::RoutstrMember:
            return put_routstr_member(json, report.receipt, report.cost);
        case Part::Metadata:
            return put_metadata(json, report);
        case Part::End:
            return put_end(json, report);
    }
}

std::size_t bytes_max(Part part, const Report& report) {
    const std::size_t members = members_bytes_max(report.receipt, report.cost);
    switch (part) {
        case Part::Nothing:
            return 0;
        case Part::UsageMembers:
        case Part::RoutstrMember:
        case Part::Metadata:
            return members;
        case Part::WholeUsage:
            return kCountsBytesMax + members;
        case Part::End: {
            const std::size_t usage = report.answer.usage ? 0 : kCountsBytesMax + members;
            return usage + members + kMembersBytesMax + report.provider.size();
        }
    }
    return 0;
}

// What becomes of the text from the first change on.
std::string spliced_tail(std::string_view json, const std::vector<Splice>& splices,
                         const Report& report) {
    std::size_t at = splices.front().where.begin;
    std::size_t most = json.size() - at;
    for (const Splice& splice : splices)
        most += splice.text.size() + bytes_max(splice.part, report);
    std::string tail;
    Pen pen{tail, most};
    for (const auto& [where, text, part] : splices) {
        pen.put(json.substr(at, where.begin - at));
        pen.put(text);
        put_part(pen, part, report);
        at = where.end;
    }
    pen.put(json.substr(at));
    pen.finish();
    return tail;
}

// Where the upstream has no event that a charge could be told in.
std::string cost_event(const Receipt& receipt) {
    const std::string cost = cost_json(receipt);
    std::string json;
    Pen pen{json, 3 * members_bytes_max(receipt, cost) + kCountsBytesMax};
    pen.put(R"({"type":"cost","cost":)");
    pen.put(cost);
    pen.put(R"(,"usage":)");
    put_whole_usage(pen, receipt, cost);
    pen.put(R"(,"metadata":{)");
    put_routstr_member(pen, receipt, cost);
    pen.put("}}");
    pen.finish();
    return json;
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

std::optional<std::string> without_accounts(std::string_view event) {
    std::vector<Edit> edits;
    JsonReader reader{event};
    bool are_words = true;  // Some send them without an object around them.
    JsonToken token = reader.next();
    for (; token != JsonToken::End && token != JsonToken::Error; token = reader.next()) {
        if (token == JsonToken::Key) {
            const std::string_view key = reader.raw().substr(1, reader.raw().size() - 2);
            // Some have nothing but words for an error. "raw": what OpenRouter was told itself.
            are_words = key_is(key, "message") || key_is(key, "error") || key_is(key, "raw");
        } else if (token == JsonToken::String && are_words) {
            const std::string words = json_text(reader.raw());
            const std::string shown = shown_words(words);
            if (shown != words) edits.push_back({reader.span(), http::json_quote(shown)});
        }
    }
    if (token == JsonToken::Error) {
        std::string shown = shown_words(event);
        return shown == event ? std::nullopt : std::optional{on_one_line(std::move(shown))};
    }
    if (edits.empty()) return std::nullopt;
    return on_one_line(apply_edits(event, std::move(edits)));
}

std::string splice_receipt(std::string_view json, const Receipt& receipt) {
    std::string spliced{json};
    if (const auto answer = read_chunk(json)) splice_receipt(spliced, *answer, receipt);
    return spliced;
}

void splice_receipt(std::string& json, const Chunk& answer, const Receipt& receipt) {
    const Report report{answer, receipt, cost_json(receipt), http::json_quote(receipt.provider)};
    const std::vector<Splice> splices = splices_for(json, report);
    if (splices.empty()) return;
    const std::string tail = spliced_tail(json, splices, report);
    json.resize(splices.front().where.begin);
    json += tail;
}

std::string receipt_event(const SseMeter& meter, const ChunkHead& head, const Receipt& receipt) {
    std::string chunk = meter.usage_chunk();
    if (chunk.empty()) chunk = begin_chunk(meter, head) + "]}";
    return "data: " + on_one_line(splice_receipt(chunk, receipt)) + "\n\n";
}

std::string receipt_event(const SseMeter& meter, const Receipt& receipt) {
    const std::string& event = meter.usage_chunk();
    if (event.empty()) {
        return event_text("cost", cost_event(receipt));
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
