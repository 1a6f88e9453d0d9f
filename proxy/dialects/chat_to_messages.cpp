#include "dialects/chat_to_messages.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "dialects/cache_mark.h"
#include "dialects/message_turns.h"
#include "dialects/raw_json.h"
#include "dialects/refusals.h"
#include "nutgate/proxy/usage.h"

namespace nutgate::proxy {
namespace {

using Done = Result<void, http::ApiError>;

constexpr std::size_t kMessagesMax = 100'000;  // Anthropic's own.

// Hints: with or without them the answer means the same. stream_options and the limits are read
// elsewhere.
constexpr std::array<std::string_view, 15> kLeftOut{"seed",
                                                    "store",
                                                    "metadata",
                                                    "service_tier",
                                                    "verbosity",
                                                    "modalities",
                                                    "n",
                                                    "prompt_cache_key",
                                                    "stream_options",
                                                    "max_tokens",
                                                    "max_completion_tokens",
                                                    "top_logprobs",
                                                    "stream",
                                                    "parallel_tool_calls",
                                                    "include_reasoning"};

// These are read below, each by its name.
constexpr std::array<std::string_view, 15> kRead{"model",
                                                 "messages",
                                                 "tools",
                                                 "tool_choice",
                                                 "temperature",
                                                 "top_p",
                                                 "top_k",
                                                 "stop",
                                                 "user",
                                                 "thinking",
                                                 "response_format",
                                                 "reasoning",
                                                 "logprobs",
                                                 "reasoning_effort",
                                                 "safety_identifier"};

template <std::size_t N>
bool is_among(const std::array<std::string_view, N>& names, std::string_view key) {
    return std::any_of(names.begin(), names.end(),
                       [key](std::string_view name) { return key_is(key, name); });
}

// Values that ask for nothing may stand in any field.
bool asks_for_nothing(const RawJson& value) {
    return value.is_null() || value.is_false() || value.raw() == "0" || value.raw() == "0.0" ||
           value.raw() == "[]" || value.raw() == "{}";
}

class Translator {
public:
    Translator(const RawObject& chat, const ChatToMessages& options)
        : chat_{chat}, options_{options} {}

    Result<MessagesRequest, http::ApiError> run() {
        TRY_VOID(check_fields());
        TRY_VOID(read_model());
        TRY_VOID(read_limit());
        TRY_VOID(read_messages());
        TRY_VOID(read_tools());
        TRY_VOID(read_tool_choice());
        TRY_VOID(read_thinking());
        TRY_VOID(read_sampling());
        TRY_VOID(read_stop());
        TRY_VOID(read_format());
        read_user();
        if (!output_config_.empty()) out_.raw("output_config", output_config_.end());
        const RawJson* stream = chat_.given("stream");
        const bool streams = stream != nullptr && stream->is_true();
        if (streams) out_.raw("stream", "true");
        return MessagesRequest{
            .body = out_.end(), .stream = streams, .usage_asked = streams && asks_for_usage()};
    }

private:
    Done check_fields() const {
        for (const RawObject::Member& member : chat_.members()) {
            if (is_among(kRead, member.key) || is_among(kLeftOut, member.key)) continue;
            if (asks_for_nothing(member.value)) continue;
            return fail(not_carried(
                member.key, "'" + std::string{member.key} + "' can't be sent to this model."));
        }
        const RawJson* choices = chat_.given("n");
        if (choices != nullptr && choices->integer() != 1) {
            return fail(not_carried("n", "This model gives one choice at a time."));
        }
        const RawJson* store = chat_.given("store");
        if (store != nullptr && !store->is_false()) {
            return fail(not_carried("store", "Nothing is stored at this model's provider."));
        }
        const RawJson* logprobs = chat_.given("logprobs");
        if (logprobs != nullptr && !logprobs->is_false()) {
            return fail(not_carried("logprobs", "This model tells no probabilities."));
        }
        const RawJson* modalities = chat_.given("modalities");
        if (modalities != nullptr) {
            for (const RawJson& one : modalities->items()) {
                if (one.text() == "text") continue;
                return fail(not_carried("modalities", "This model answers with text."));
            }
        }
        return {};
    }

    bool asks_for_usage() const {
        const RawJson* given = chat_.given("stream_options");
        const auto stream_options = given != nullptr ? RawObject::make(*given) : std::nullopt;
        const RawJson* usage = stream_options ? stream_options->find("include_usage") : nullptr;
        return usage != nullptr && usage->is_true();
    }

    Done read_model() {
        const RawJson* model = chat_.given("model");
        if (model == nullptr || !model->is_string()) {
            return fail(wrong_value("model", "a model's id"));
        }
        out_.raw("model", model->raw());
        return {};
    }

    // Of two limits the lower one: whichever the client meant is kept.
    Done read_limit() {
        std::optional<std::int64_t> limit;
        for (const auto* field : {"max_tokens", "max_completion_tokens"}) {
            const RawJson* given = chat_.given(field);
            if (given == nullptr) continue;
            const auto value = given->integer();
            if (!value || *value < 1 || *value > kTokensMax) {
                return fail(wrong_value(field, "an integer of at least 1"));
            }
            limit = std::min(limit.value_or(*value), *value);
        }
        if (!limit) limit = options_.max_tokens;
        if (!limit) return fail(wrong_value("max_tokens", "given"));
        max_tokens_ = *limit;
        out_.number("max_tokens", max_tokens_);
        return {};
    }

    Done read_messages() {
        const RawJson* given = chat_.given("messages");
        if (given == nullptr || !given->is_array()) {
            return fail(wrong_value("messages", "an array of messages"));
        }
        const auto messages = given->items();
        if (messages.size() > kMessagesMax) {
            return fail(wrong_value("messages", "at most " + std::to_string(kMessagesMax)));
        }
        for (const RawJson& message : messages) TRY_VOID(turns_.add(message));
        if (turns_.empty()) return fail(wrong_value("messages", "at least one with content"));
        if (!turns_.system_blocks().empty()) {
            out_.raw("system", '[' + turns_.system_blocks() + ']');
        }
        out_.raw("messages", turns_.messages_json());
        return {};
    }

    Done read_tools() {
        const RawJson* given = chat_.given("tools");
        if (given == nullptr) return {};
        if (!given->is_array()) return fail(wrong_value("tools", "an array of tools"));
        std::string list;
        for (const RawJson& item : given->items()) {
            const auto tool = RawObject::make(item);
            if (!tool) return fail(wrong_value("tools", "an array of tools"));
            if (tool->text("type") != "function") {
                return fail(not_carried("tools",
                                        "Only tools of type function can be sent to "
                                        "this model."));
            }
            const RawJson* function = tool->given("function");
            const auto described = function != nullptr ? RawObject::make(*function) : std::nullopt;
            if (!described || described->text("name").empty()) {
                return fail(wrong_value("tools", "functions with a name"));
            }
            TRY(auto mark, cache_mark(*tool));
            if (mark.empty()) {
                TRY(mark, cache_mark(*described));
            }
            add_item(list, marked(tool_json(*described), mark));
        }
        has_tools_ = !list.empty();
        if (has_tools_) out_.raw("tools", '[' + list + ']');
        return {};
    }

    static std::string tool_json(const RawObject& function) {
        ObjectText tool;
        tool.text("name", function.text("name"));
        if (const RawJson* description = function.given("description")) {
            if (!description->letters().empty()) tool.raw("description", description->raw());
        }
        const RawJson* schema = function.given("parameters");
        tool.raw("input_schema", schema != nullptr && schema->is_object() && schema->raw() != "{}"
                                     ? schema->raw()
                                     : R"({"type":"object","properties":{}})");
        const RawJson* strict = function.given("strict");
        if (strict != nullptr && strict->is_true()) tool.raw("strict", "true");
        return tool.end();
    }

    Done read_tool_choice() {
        const RawJson* parallel = chat_.given("parallel_tool_calls");
        const bool one_at_a_time = parallel != nullptr && parallel->is_false();
        const RawJson* given = chat_.given("tool_choice");
        const std::string word = given != nullptr ? given->text() : "auto";
        ObjectText choice;
        if (word == "none") {
            if (has_tools_) out_.raw("tool_choice", R"({"type":"none"})");
            return {};
        }
        if (word == "auto") {
            choice.raw("type", R"("auto")");
        } else if (word == "required") {
            choice.raw("type", R"("any")");
        } else {
            TRY(const auto name, forced_function(*given));
            choice.raw("type", R"("tool")").text("name", name);
        }
        is_forced_ = word != "auto";
        if (is_forced_ && !has_tools_) {
            return fail(wrong_value("tool_choice", "absent where there are no tools"));
        }
        if (one_at_a_time) choice.raw("disable_parallel_tool_use", "true");
        if (has_tools_ && (given != nullptr || one_at_a_time)) {
            out_.raw("tool_choice", choice.end());
        }
        return {};
    }

    static Result<std::string, http::ApiError> forced_function(const RawJson& given) {
        const auto choice = RawObject::make(given);
        const RawJson* found = choice ? choice->given("function") : nullptr;
        const auto function = found != nullptr ? RawObject::make(*found) : std::nullopt;
        if (!function || choice->text("type") != "function" || function->text("name").empty()) {
            return fail(not_carried(
                "tool_choice", "tool_choice is none, auto, required or a function's name here."));
        }
        return function->text("name");
    }

    // Anthropic's own words for it pass as they are. OpenAI's are a hint, so where the upstream
    // could not think (too little room, a forced call, thoughts that the client did not keep) it
    // is left out.
    Done read_thinking() {
        if (const RawJson* own = chat_.given("thinking")) {
            const auto object = RawObject::make(*own);
            if (!object) return fail(wrong_value("thinking", "an object"));
            const std::string type = object->text("type");
            thinks_ = type != "disabled";
            out_.raw("thinking", own->raw());
            return {};
        }
        TRY(const auto effort, asked_effort());
        if (effort.empty()) return {};
        if (effort == "none") {
            out_.raw("thinking", R"({"type":"disabled"})");
            return {};
        }
        if (is_forced_ || turns_.has_lost_thoughts()) return {};
        if (options_.thinking == ThinkingStyle::Adaptive) {
            out_.raw("thinking", R"({"type":"adaptive"})");
            output_config_.text("effort", effort == "minimal" ? "low" : effort);
            thinks_ = true;
            return {};
        }
        const std::int64_t budget = budget_of(effort);
        if (budget >= max_tokens_) return {};
        out_.raw("thinking",
                 ObjectText{}.raw("type", R"("enabled")").number("budget_tokens", budget).end());
        thinks_ = true;
        return {};
    }

    // OpenAI's field, or OpenRouter's object. Empty: nothing is asked.
    Result<std::string, http::ApiError> asked_effort() const {
        const RawJson* effort = chat_.given("reasoning_effort");
        const RawJson* reasoning = chat_.given("reasoning");
        if (reasoning == nullptr) {
            if (effort == nullptr) return std::string{};
            return known_effort(*effort);
        }
        const auto object = RawObject::make(*reasoning);
        if (!object) return fail(wrong_value("reasoning", "an object"));
        const RawJson* enabled = object->given("enabled");
        if (enabled != nullptr && enabled->is_false()) return std::string{"none"};
        if (object->given("effort") != nullptr) effort = object->given("effort");
        if (effort != nullptr) return known_effort(*effort);
        if (enabled != nullptr) return std::string{"medium"};
        return std::string{};
    }

    static Result<std::string, http::ApiError> known_effort(const RawJson& given) {
        for (const auto* effort : {"none", "minimal", "low", "medium", "high", "xhigh", "max"}) {
            if (given.text() == effort) return std::string{effort};
        }
        return fail(wrong_value("reasoning_effort",
                                "one of none, minimal, low, medium, high, xhigh and max"));
    }

    // A share of the answer's room, since thoughts count towards it; Anthropic takes no less than
    // 1024 tokens of it.
    std::int64_t budget_of(std::string_view effort) const {
        constexpr std::int64_t kBudgetMin = 1024;
        std::int64_t percent = 50;
        if (effort == "minimal") percent = 10;
        if (effort == "low") percent = 20;
        if (effort == "high") percent = 80;
        if (effort == "xhigh" || effort == "max") percent = 95;
        return std::max(kBudgetMin, max_tokens_ / 100 * percent);
    }

    // Who thinks is not told how to sample: Anthropic refuses both together. Anthropic's scale ends
    // at 1, OpenAI's at 2.
    Done read_sampling() {
        for (const auto* field : {"temperature", "top_p", "top_k"}) {
            const RawJson* given = chat_.given(field);
            if (given == nullptr) continue;
            const auto is_large = given->is_number() ? exceeds_one(given->raw()) : std::nullopt;
            if (!is_large) return fail(wrong_value(field, "a plain number that is not negative"));
            if (thinks_) continue;
            const bool is_clamped = *is_large && std::string_view{field} == "temperature";
            out_.raw(field, is_clamped ? "1" : given->raw());
        }
        return {};
    }

    // Told by the digits, without a rounding. Exponents are taken where serialisers write them, for
    // small numbers: "1e-05". Empty: negative, or written in another way.
    static std::optional<bool> exceeds_one(std::string_view number) {
        const std::size_t exponent = number.find_first_of("eE");
        const std::string_view digits = number.substr(0, exponent);
        const std::size_t point = std::min(digits.find('.'), digits.size());
        const std::string_view whole = digits.substr(0, point);
        if (whole.starts_with('-')) return std::nullopt;
        if (exponent != std::string_view::npos) {
            const bool is_small = number.substr(exponent + 1).starts_with('-') && whole.size() == 1;
            return is_small ? std::optional{false} : std::nullopt;
        }
        if (whole == "0") return false;
        return whole != "1" ||
               digits.substr(point).find_first_not_of(".0") != std::string_view::npos;
    }

    Done read_stop() {
        const RawJson* given = chat_.given("stop");
        if (given == nullptr) return {};
        if (!given->is_string() && !given->is_array()) {
            return fail(wrong_value("stop", "text or an array of texts"));
        }
        const auto stops = given->is_string() ? std::vector<RawJson>{*given} : given->items();
        std::string list;
        for (const RawJson& stop : stops) {
            if (!stop.is_string()) return fail(wrong_value("stop", "text or an array of texts"));
            if (is_blank(stop.text())) {
                return fail(not_carried("stop", "This model can't stop at blanks alone."));
            }
            add_item(list, stop.raw());
        }
        if (!list.empty()) out_.raw("stop_sequences", '[' + list + ']');
        return {};
    }

    Done read_format() {
        const RawJson* given = chat_.given("response_format");
        if (given == nullptr) return {};
        const auto format = RawObject::make(*given);
        const std::string type = format ? format->text("type") : std::string{};
        if (type == "text") return {};
        const RawJson* found = type == "json_schema" ? format->given("json_schema") : nullptr;
        const auto described = found != nullptr ? RawObject::make(*found) : std::nullopt;
        const RawJson* schema = described ? described->given("schema") : nullptr;
        if (schema == nullptr || !schema->is_object()) {
            return fail(not_carried("response_format",
                                    "This model takes text or json_schema with a schema."));
        }
        output_config_.raw(
            "format",
            ObjectText{}.raw("type", R"("json_schema")").raw("schema", schema->raw()).end());
        return {};
    }

    void read_user() {
        for (const auto* field : {"safety_identifier", "user"}) {
            const RawJson* user = chat_.given(field);
            if (user == nullptr || user->letters().empty()) continue;
            out_.raw("metadata", ObjectText{}.raw("user_id", user->raw()).end());
            return;
        }
    }

    const RawObject& chat_;
    const ChatToMessages& options_;
    ObjectText out_;
    ObjectText output_config_;
    MessageTurns turns_;
    std::int64_t max_tokens_ = 0;
    bool has_tools_ = false;
    bool is_forced_ = false;  // Some tool must be called.
    bool thinks_ = false;
};

}  // namespace

Result<MessagesRequest, http::ApiError> chat_to_messages(std::string_view body,
                                                         const ChatToMessages& options) {
    const auto chat = RawObject::parse(body);
    if (!chat) return fail(not_a_request());
    return Translator{*chat, options}.run();
}

}  // namespace nutgate::proxy
