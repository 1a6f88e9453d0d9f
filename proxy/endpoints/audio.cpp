// POST /v1/audio/transcriptions and /v1/audio/translations: forms with a file of audio.
//
// Charged by the second or by the tokens that the upstream tells, as the price has it. Seconds are
// told by `usage`, by `duration`, or by the last line of subtitles; where nothing tells them they
// are estimated from the file's size, and never more than what was held: as many seconds as a file
// of that size can have at all.
#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <utility>

#include "endpoints/forms.h"
#include "order.h"

namespace nutgate::proxy {
namespace {

// For estimates: 32 kbit/s, and 16 bits of 16 kHz where nothing is compressed.
constexpr std::int64_t kBytesPerSecondUsual = 4'000;
constexpr std::int64_t kBytesPerSecondPlain = 32'000;
constexpr std::int64_t kTokensPerSecond = 10;
constexpr std::int64_t kMsPerSecond = 1'000;
constexpr std::int64_t kMsMax = 1'000'000'000;  // What is told beyond eleven days is not believed.

constexpr auto kTranscriptionFields = sorted(std::array<std::string_view, 10>{
    "file", "model", "language", "prompt", "response_format", "temperature",
    "timestamp_granularities[]", "stream", "include[]", "chunking_strategy"});
constexpr auto kTranslationFields = sorted(
    std::array<std::string_view, 5>{"file", "model", "prompt", "response_format", "temperature"});
constexpr std::array<std::string_view, 1> kFiles{"file"};
constexpr std::array<std::string_view, 1> kNeeded{"model"};
// Of those that may come again none is among them.
constexpr std::array<std::string_view, 4> kPriced{"model", "stream", "prompt", "response_format"};
constexpr FormRules kTranscriptionRules{.known = kTranscriptionFields,
                                        .files = kFiles,
                                        .needed = kNeeded,
                                        .priced = kPriced,
                                        .file_bytes_max = kAudioBytesMax};
constexpr FormRules kTranslationRules{.known = kTranslationFields,
                                      .files = kFiles,
                                      .needed = kNeeded,
                                      .priced = kPriced,
                                      .file_bytes_max = kAudioBytesMax};

struct AudioRequest : BodyFields {
    std::string form_type;
    std::uint64_t file_bytes = 0;  // Of one that passes through, the most that it can have.
    const FormPassage* passage = nullptr;
    bool is_plain = false;  // Uncompressed, by its first letters.
    bool wants_text = false;
    bool wants_subtitles = false;
};

std::int64_t tokens_in(std::int64_t ms) { return ms * kTokensPerSecond / kMsPerSecond; }

std::int64_t ms_of(std::uint64_t bytes, std::int64_t bytes_per_second) {
    return (static_cast<std::int64_t>(bytes) * kMsPerSecond + bytes_per_second - 1) /
           bytes_per_second;
}

// The end of the last "00:00:01,000 --> 00:01:02,500", of SRT or VTT.
std::optional<std::int64_t> end_of_subtitles(std::string_view text) {
    constexpr std::string_view kArrow = "--> ";
    const std::size_t arrow = text.rfind(kArrow);
    if (arrow == std::string_view::npos) return std::nullopt;
    std::string_view time = text.substr(arrow + kArrow.size());
    time = time.substr(0, std::min(time.find_first_of(" \r\n"), time.size()));
    std::int64_t whole = 0;
    for (;;) {
        int part = 0;
        const auto parsed = std::from_chars(time.data(), time.data() + time.size(), part);
        if (parsed.ec != std::errc{} || part < 0) return std::nullopt;
        whole = whole * 60 + part;
        if (whole > kMsMax) return std::nullopt;
        time.remove_prefix(static_cast<std::size_t>(parsed.ptr - time.data()));
        if (!time.starts_with(':')) break;
        time.remove_prefix(1);
    }
    int thousandths = 0;
    if (!time.empty()) {
        std::from_chars(time.data() + 1, time.data() + time.size(), thousandths);
    }
    if (thousandths < 0 || thousandths >= kMsPerSecond) return std::nullopt;
    return whole * kMsPerSecond + thousandths;
}

// `duration` of a verbose answer: a number, or one in quotes.
std::optional<std::int64_t> told_duration(std::string_view answer) {
    std::optional<std::int64_t> told;
    JsonReader reader{answer};
    if (reader.next() != JsonToken::BeginObject) return told;
    while (const auto member = reader.next_member()) {
        if (key_is(member->key, "duration")) {
            std::string_view number = reader.raw();
            if (member->first == JsonToken::String) number = number.substr(1, number.size() - 2);
            told = milliseconds_of(number);
        }
        if (!reader.skip(member->first)) break;
    }
    return told;
}

Result<AudioRequest, http::ApiError> read_form(Endpoint endpoint, const http::Request& request,
                                               const FormPassage* passage) {
    AudioRequest asked;
    TRY(const auto form, FormFields::read(request, audio_form_rules(endpoint), passage, asked));
    const auto file = form.files("file");
    if (file.count == 0) return fail(bad_value("file", "a file"));
    if (file.bytes > static_cast<std::size_t>(kAudioBytesMax)) {
        return fail(bad_value("file", "at most " + std::to_string(kAudioBytesMax) + " bytes"));
    }
    asked.file_bytes = passage == nullptr ? file.bytes : passage->file_bytes_most();
    asked.passage = passage;
    asked.is_plain = file.first.starts_with("RIFF") || file.first.starts_with("FORM") ||
                     file.first.starts_with("fLaC");
    asked.text_bytes = form.text("prompt").size();
    TRY(asked.stream, form.flag("stream"));
    asked.form_type = form.content_type();
    const std::string_view format = form.text("response_format");
    asked.wants_subtitles = format == "srt" || format == "vtt";
    asked.wants_text = asked.wants_subtitles || format == "text";
    if (!asked.wants_text && !format.empty() && format != "json" && format != "verbose_json") {
        return fail(unsupported("response_format", "That format is not sold here."));
    }
    return asked;
}

class AudioOrder final : public Order {
public:
    AudioOrder(Endpoint endpoint, AudioRequest request)
        : Order{endpoint, request_}, request_{std::move(request)} {
        if (request_.wants_text) set_whole_form(WholeForm::Text);
    }

    Result<void, http::ApiError> check_against(const Model& model) const override {
        return check_other_fields(request_, model);
    }

    TokenBounds bounds(std::size_t, const Model& model) const override {
        return {.input = model.context,
                .output = model.output_max,
                .input_audio = model.context,
                .audio_ms = ms_of(request_.file_bytes, kAudioBytesPerSecondLeast)};
    }

    std::string body_for(std::string_view body, const Model&,
                         const Destination& to) const override {
        BodyEdits edits{body, request_};
        edits.name_model_in_form(to.model);
        return edits.apply();
    }

    std::string_view content_type() const override { return request_.form_type; }

    Pieces pieces_of(std::string_view answer) const override {
        const auto told = request_.wants_text
                              ? (request_.wants_subtitles ? end_of_subtitles(answer) : std::nullopt)
                              : told_duration(answer);
        if (!told) return estimate();
        return {.audio_ms = *told, .input_tokens = tokens_in(*told)};
    }
    Pieces pieces_of_stream(bool) const override { return estimate(); }

    // What such a model reads is audio, but for the prompt.
    void sort_tokens(Usage& usage) const override {
        if (usage.in_audio == 0) usage.in_audio = std::exchange(usage.in_uncached, 0);
    }

private:
    Pieces estimate() const {
        // What has passed by now, where it did.
        const FormPassage* const passage = request_.passage;
        const std::uint64_t bytes =
            passage == nullptr ? request_.file_bytes : passage->file_bytes();
        const std::int64_t ms =
            ms_of(bytes, request_.is_plain ? kBytesPerSecondPlain : kBytesPerSecondUsual);
        return {.audio_ms = ms, .is_estimate = true, .input_tokens = tokens_in(ms)};
    }

    const AudioRequest request_;
};

}  // namespace

const FormRules& audio_form_rules(Endpoint endpoint) {
    return endpoint == Endpoint::Transcriptions ? kTranscriptionRules : kTranslationRules;
}

Ordered read_audio(Endpoint endpoint, const http::Request& request, const FormPassage* passage) {
    TRY(auto asked, read_form(endpoint, request, passage));
    return make_order<AudioOrder>(endpoint, std::move(asked));
}

}  // namespace nutgate::proxy
