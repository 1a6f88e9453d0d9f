#include "early_end.h"

#include <optional>
#include <utility>
#include <vector>

#include "json_scan.h"
#include "nutgate/http/error_envelope.h"

namespace nutgate::proxy {
namespace {

std::string last_chunks(const SseMeter& meter, const EarlyEnd& end, const Receipt& receipt) {
    const ChunkHead head{form_of(end.endpoint).chunk, end.model};
    const std::string begin = "data: " + begin_chunk(meter, head) + R"({"index":)";
    const std::string_view nothing =
        end.endpoint == Endpoint::Completions ? R"(,"text":"")" : R"(,"delta":{})";
    std::string events;
    for (std::int64_t i = 0; i < end.choices; ++i) {
        const auto at = static_cast<std::size_t>(i);
        if (at < end.finished.size() && end.finished.test(at)) continue;
        events.append(begin).append(std::to_string(i)).append(nothing);
        events += R"(,"logprobs":null,"finish_reason":"length"}]})"
                  "\n\n";
    }
    return events + receipt_event(meter, head, receipt) + "data: [DONE]\n\n";
}

// The object with these members instead of its own of their names.
std::string with_members(std::string_view object,
                         std::vector<std::pair<std::string_view, std::string_view>> members) {
    std::vector<Edit> edits;
    bool has_members = false;
    JsonReader reader{object};
    (void)reader.next();
    while (const auto member = reader.next_member()) {
        has_members = true;
        const auto place = reader.skip(member->first);
        if (!place) break;
        for (auto& [name, value] : members) {
            if (!key_is(member->key, name)) continue;
            edits.push_back({*place, std::string{value}});
        }
        std::erase_if(members, [&](const auto& of) { return key_is(member->key, of.first); });
    }
    std::string added;
    for (const auto& [name, value] : members) {
        if (has_members || !added.empty()) added += ',';
        added.append("\"").append(name).append("\":").append(value);
    }
    const std::size_t brace = object.size() - 1;
    if (!added.empty()) edits.push_back({{brace, brace}, std::move(added)});
    return apply_edits(object, std::move(edits));
}

// The response that began, as far as it is known, and what became of it.
std::string incomplete_response(const SseMeter& meter, const EarlyEnd& end,
                                const Receipt& receipt) {
    const std::string unknown = R"({"object":"response","error":null,"output":[],"model":)" +
                                http::json_quote(end.model) + '}';
    const std::string ended =
        with_members(meter.begun_json().empty() ? unknown : meter.begun_json(),
                     {{"status", R"("incomplete")"},
                      {"incomplete_details", R"({"reason":"max_output_tokens"})"}});
    std::string event = R"({"type":"response.incomplete",)";
    // Of the frame in whose place it stands.
    if (meter.sequence())
        event += R"("sequence_number":)" + std::to_string(*meter.sequence()) + ',';
    event += R"("response":)" + splice_receipt(ended, receipt) + '}';
    return event_text("response.incomplete", on_one_line(std::move(event)));
}

std::string message_end(const SseMeter& meter, const Receipt& receipt) {
    std::string events;
    for (const std::int64_t block : meter.open_blocks()) {
        events += event_text("content_block_stop", R"({"type":"content_block_stop","index":)" +
                                                       std::to_string(block) + '}');
    }
    const std::string_view last =
        R"({"type":"message_delta","delta":{"stop_reason":"max_tokens","stop_sequence":null}})";
    events += event_text("message_delta", splice_receipt(last, receipt));
    events += event_text("message_stop", R"({"type":"message_stop"})");
    return events + receipt_event(meter, receipt);
}

}  // namespace

std::string early_end(const SseMeter& meter, const EarlyEnd& end, const Receipt& receipt) {
    switch (meter.form()) {
        case StreamForm::Chunks:
            return last_chunks(meter, end, receipt);
        case StreamForm::LastEvent:
            return incomplete_response(meter, end, receipt);
        case StreamForm::Messages:
            break;
    }
    return message_end(meter, receipt);
}

}  // namespace nutgate::proxy
