// The demonstration: an answer that is a function of the prompt and says so, in OpenAI's dialect.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <string_view>
#include <utility>
#include <vector>

#include "nutgate/base/bytes.h"
#include "nutgate/proxy/upstream.h"

namespace nutgate::proxy {
namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string>;

constexpr std::size_t kEchoedWordsMax = 64;

Words split(std::string_view text) {
    constexpr std::string_view kSpace = " \t\r\n";
    Words words;
    for (std::size_t at = text.find_first_not_of(kSpace); at != std::string_view::npos;) {
        const std::size_t end = std::min(text.find_first_of(kSpace, at), text.size());
        words.emplace_back(text.substr(at, end - at));
        at = text.find_first_not_of(kSpace, end);
    }
    return words;
}

std::string text_of(const Json& content) {
    if (content.is_string()) return content.get<std::string>();
    std::string text;
    if (!content.is_array()) return text;
    for (const Json& part : content) {
        if (part.is_object() && part.contains("text") && part["text"].is_string()) {
            text += part["text"].get<std::string>() + ' ';
        }
    }
    return text;
}

// What the demonstration understands of a request, after the gateway's own checks.
struct Asked {
    std::string model;
    Words prompt;       // Of all messages: what is counted.
    Words last;         // Of the last message: what is repeated.
    std::size_t limit;  // Words in each choice.
    std::size_t choices;
    bool usage;
};

std::optional<Asked> parse(const std::string& body) {
    const Json json = Json::parse(body, nullptr, false);
    if (!json.is_object() || !json.contains("messages") || !json["messages"].is_array()) {
        return std::nullopt;
    }
    Asked asked{
        .model = "demo", .prompt = {}, .last = {}, .limit = SIZE_MAX, .choices = 1, .usage = false};
    if (json.contains("model") && json["model"].is_string()) asked.model = json["model"];
    for (const Json& message : json["messages"]) {
        if (!message.is_object() || !message.contains("content")) continue;
        asked.last = split(text_of(message["content"]));
        asked.prompt.insert(asked.prompt.end(), asked.last.begin(), asked.last.end());
    }
    for (const auto* name : {"max_tokens", "max_completion_tokens"}) {
        if (json.contains(name) && json[name].is_number_unsigned()) {
            asked.limit = std::min(asked.limit, json[name].get<std::size_t>());
        }
    }
    if (json.contains("n") && json["n"].is_number_unsigned()) asked.choices = json["n"];
    if (json.contains("stream_options") && json["stream_options"].is_object()) {
        asked.usage = json["stream_options"].value("include_usage", Json{false}) == true;
    }
    return asked;
}

struct Choice {
    Words words;
    bool cut = false;
};

Choice answer_to(const Asked& asked, std::size_t number) {
    std::string text = number == 0 ? "" : "Choice " + std::to_string(number + 1) + ". ";
    text += "This is a demonstration, not a model. You wrote " + std::to_string(asked.last.size()) +
            " words:";
    for (std::size_t i = 0; i < std::min(asked.last.size(), kEchoedWordsMax); ++i) {
        text += ' ' + asked.last[i];
    }
    text +=
        " (end of your words). Put a real upstream into the configuration to have real answers.";
    Choice choice{.words = split(text)};
    if (choice.words.size() > asked.limit) {
        choice.words.resize(asked.limit);
        choice.cut = true;
    }
    return choice;
}

std::string id_of(const Asked& asked) {
    std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a: a name, not a secret.
    for (const std::string& word : asked.prompt) {
        for (const char c : word) {
            hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
        }
    }
    std::array<std::byte, 8> bytes{};
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        bytes[i] = static_cast<std::byte>(hash >> (8 * i));
    }
    return "chatcmpl-demo-" + to_hex(bytes);
}

Json usage_json(const Asked& asked, const std::vector<Choice>& choices) {
    std::size_t words = 0;
    for (const Choice& choice : choices) words += choice.words.size();
    return {{"prompt_tokens", asked.prompt.size()},
            {"completion_tokens", words},
            {"total_tokens", asked.prompt.size() + words}};
}

std::string dump(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string whole_answer(const Asked& asked, const std::vector<Choice>& choices, Json head) {
    head["object"] = "chat.completion";
    head["choices"] = Json::array();
    for (std::size_t i = 0; i < choices.size(); ++i) {
        std::string text;
        for (const std::string& word : choices[i].words) text += (text.empty() ? "" : " ") + word;
        head["choices"].push_back({{"index", i},
                                   {"message", {{"role", "assistant"}, {"content", text}}},
                                   {"logprobs", nullptr},
                                   {"finish_reason", choices[i].cut ? "length" : "stop"}});
    }
    head["usage"] = usage_json(asked, choices);
    return dump(head);
}

// One frame per word, choice after choice.
std::deque<std::string> frames_of(const Asked& asked, const std::vector<Choice>& choices,
                                  Json head) {
    head["object"] = "chat.completion.chunk";
    std::deque<std::string> frames;
    const auto put = [&](std::size_t index, Json delta, Json finish) {
        Json chunk = head;
        chunk["choices"] = Json::array({{{"index", index},
                                         {"delta", std::move(delta)},
                                         {"logprobs", nullptr},
                                         {"finish_reason", std::move(finish)}}});
        if (asked.usage) chunk["usage"] = nullptr;
        frames.push_back("data: " + dump(chunk) + "\n\n");
    };
    for (std::size_t i = 0; i < choices.size(); ++i) {
        put(i, {{"role", "assistant"}, {"content", ""}}, nullptr);
        const Words& words = choices[i].words;
        for (std::size_t w = 0; w < words.size(); ++w) {
            put(i, {{"content", (w == 0 ? "" : " ") + words[w]}}, nullptr);
        }
        put(i, Json::object(), choices[i].cut ? "length" : "stop");
    }
    if (asked.usage) {
        head["choices"] = Json::array();
        head["usage"] = usage_json(asked, choices);
        frames.push_back("data: " + dump(head) + "\n\n");
    }
    frames.emplace_back("data: [DONE]\n\n");
    return frames;
}

class DemoAnswer final : public http::UpstreamAnswer {
public:
    DemoAnswer(int status, bool stream, std::deque<std::string> pieces, Milliseconds piece_time,
               const http::Abandonment* abandonment)
        : status_{status},
          headers_{{"Content-Type", stream ? "text/event-stream" : "application/json"}},
          pieces_{std::move(pieces)},
          piece_time_{piece_time},
          abandonment_{abandonment} {}

    int status() const override { return status_; }
    const http::Headers& headers() const override { return headers_; }
    http::Task<Result<std::string_view, http::UpstreamFailure>> read() override {
        if (pieces_.empty()) co_return std::string_view{};
        if (piece_time_ > Milliseconds{}) co_await http::after(piece_time_);
        if (abandonment_ != nullptr && abandonment_->is_abandoned()) {
            co_return fail(http::UpstreamFailure::Broken);
        }
        piece_ = std::move(pieces_.front());
        pieces_.pop_front();
        co_return std::string_view{piece_};
    }

private:
    const int status_;
    const http::Headers headers_;
    std::deque<std::string> pieces_;
    const Milliseconds piece_time_;
    const http::Abandonment* abandonment_;
    std::string piece_;
};

class DemoUpstream final : public Upstream {
public:
    DemoUpstream(DemoOptions options, const Clock& clock)
        : options_{std::move(options)}, clock_{clock} {}

    const UpstreamTraits& traits() const override { return options_.traits; }

    http::Task<Result<std::unique_ptr<http::UpstreamAnswer>, http::UpstreamFailure>> call(
        UpstreamCall call) override {
        co_return answer(call);
    }

private:
    static std::unique_ptr<http::UpstreamAnswer> refusal(std::string message, std::string code) {
        std::deque<std::string> error;
        error.push_back(dump({{"error",
                               {{"message", std::move(message)},
                                {"type", "invalid_request_error"},
                                {"param", "messages"},
                                {"code", std::move(code)}}}}));
        return std::make_unique<DemoAnswer>(400, false, std::move(error), Milliseconds{}, nullptr);
    }

    std::unique_ptr<http::UpstreamAnswer> answer(const UpstreamCall& call) const {
        const auto asked = parse(call.body);
        if (!asked) return refusal("No messages.", "invalid_value");
        if (asked->prompt.size() > options_.context) {
            return refusal("The prompt has " + std::to_string(asked->prompt.size()) +
                               " words; this model's context is " +
                               std::to_string(options_.context) + ".",
                           "context_length_exceeded");
        }
        std::vector<Choice> choices;
        for (std::size_t i = 0; i < asked->choices; ++i) choices.push_back(answer_to(*asked, i));
        const Json head{{"id", id_of(*asked)},
                        {"created", to_unix_seconds(clock_.now())},
                        {"model", asked->model}};
        if (call.stream) {
            return std::make_unique<DemoAnswer>(200, true, frames_of(*asked, choices, head),
                                                options_.token_time, call.abandonment);
        }
        std::deque<std::string> whole;
        whole.push_back(whole_answer(*asked, choices, head));
        return std::make_unique<DemoAnswer>(200, false, std::move(whole), Milliseconds{}, nullptr);
    }

    const DemoOptions options_;
    const Clock& clock_;
};

}  // namespace

std::unique_ptr<Upstream> make_demo_upstream(DemoOptions options, const Clock& clock) {
    return std::make_unique<DemoUpstream>(std::move(options), clock);
}

}  // namespace nutgate::proxy
