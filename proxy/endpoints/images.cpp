// POST /v1/images/generations (JSON) and /v1/images/edits (a form with files).
//
// Charged by the image, by the tokens that the upstream tells, or by both, as the price has it. The
// price of an image is one price: where it is all there is, what makes an image dearer than usual
// (quality, size) is refused unless the operator lets it pass. A stream is sold for one image.
#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "endpoints/forms.h"
#include "order.h"

namespace nutgate::proxy {
namespace {

constexpr std::int64_t kUsualSide = 1024;  // Pixels.
// For estimates: one of 1024 by 1024 pixels, at a medium quality.
constexpr std::int64_t kTokensPerImageUsual = 1'056;

constexpr auto kGenerationFields = sorted(std::array<std::string_view, 15>{
    "model", "prompt", "n", "size", "quality", "style", "response_format", "background",
    "moderation", "output_format", "output_compression", "partial_images", "stream", "user",
    "seed"});
constexpr auto kEditFields = sorted(std::array<std::string_view, 16>{
    "model", "prompt", "n", "size", "quality", "response_format", "background", "output_format",
    "output_compression", "partial_images", "stream", "user", "input_fidelity", "image", "image[]",
    "mask"});
constexpr std::array<std::string_view, 3> kEditFiles{"image", "image[]", "mask"};
constexpr std::array<std::string_view, 2> kEditNeeded{"model", "prompt"};
constexpr std::array<std::string_view, 6> kEditPriced{"model",  "stream", "n",
                                                      "prompt", "size",   "quality"};
// How many bytes a picture has says nothing about its price.
constexpr FormRules kEditRules{.known = kEditFields,
                               .files = kEditFiles,
                               .needed = kEditNeeded,
                               .priced = kEditPriced,
                               .file_bytes_max = std::numeric_limits<std::uint64_t>::max()};

struct ImageRequest : BodyFields {
    std::int64_t images = 1;        // n
    std::int64_t images_given = 0;  // To be edited, with their masks.
    std::string size;
    std::string quality;
    std::string form_type;  // Empty: JSON.
};

// "1024x1024" or less on each side; what is not said is the model's usual.
bool is_usual_size(std::string_view size) {
    if (size.empty() || size == "auto") return true;
    const std::size_t times = size.find('x');
    if (times == std::string_view::npos) return false;
    const auto width = json_integer(size.substr(0, times));
    const auto height = json_integer(size.substr(times + 1));
    return width && height && *width <= kUsualSide && *height <= kUsualSide;
}

bool is_usual_quality(std::string_view quality) {
    return quality.empty() || quality == "standard" || quality == "low" || quality == "medium";
}

class Parser : BodyParser {
public:
    explicit Parser(std::string_view body) : BodyParser{body, kGenerationFields, request_} {}

    Result<ImageRequest, http::ApiError> parse() {
        TRY_VOID(walk(
            [this](std::string_view field, JsonToken first) { return read_field(field, first); }));
        if (!has_prompt_) return fail(bad_value("prompt", "text"));
        return std::move(request_);
    }

private:
    Parsed read_field(std::string_view field, JsonToken first) {
        if (field == "model") return read_model(first);
        if (field == "stream") return read_flag(field, first, request_.stream);
        if (field == "n") {
            TRY(const auto count, read_integer(field, first));
            request_.images = count.value_or(1);
            return {};
        }
        if (field == "prompt") {
            if (first != JsonToken::String) return fail(bad_value("prompt", "text"));
            count_text(first);
            has_prompt_ = true;
            return {};
        }
        if (field == "size" || field == "quality") {
            if (first != JsonToken::String && first != JsonToken::Null) {
                return fail(bad_value(field, "text"));
            }
            (field == "size" ? request_.size : request_.quality) = text_of(first);
            return {};
        }
        return read_other(field, first);
    }

    ImageRequest request_;
    bool has_prompt_ = false;
};

Result<ImageRequest, http::ApiError> read_edit(const http::Request& request,
                                               const FormPassage* passage) {
    ImageRequest edit;
    TRY(const auto form, FormFields::read(request, kEditRules, passage, edit));
    TRY(edit.stream, form.flag("stream"));
    TRY(edit.images, form.count("n"));
    edit.images_given = static_cast<std::int64_t>(
        form.files("image").count + form.files("image[]").count + form.files("mask").count);
    if (edit.images_given == 0) return fail(bad_value("image", "a file"));
    // More may follow.
    if (passage != nullptr) edit.images_given = Form::kPartsMax;
    if (!form.has("prompt")) return fail(bad_value("prompt", "text"));
    edit.text_bytes = form.text("prompt").size();
    edit.size = form.text("size");
    edit.quality = form.text("quality");
    edit.form_type = form.content_type();
    return edit;
}

class ImageOrder final : public Order {
public:
    ImageOrder(Endpoint endpoint, ImageRequest request)
        : Order{endpoint, request_}, request_{std::move(request)} {}

    Result<void, http::ApiError> check_against(const Model& model) const override {
        if (request_.images > model.choices_max) {
            return fail(bad_value("n", "at most " + std::to_string(model.choices_max)));
        }
        if (request_.stream && request_.images > 1) {
            return fail(unsupported("n", "A stream is sold for one image."));
        }
        const bool by_tokens = model.price.sells(PriceKind::OutputImage);
        if (by_tokens && request_.images_given > 0 && !model.tokens_per_image_max) {
            return fail(unsupported("image", "This model takes no images."));
        }
        if (!by_tokens && !is_usual_size(request_.size) && !lets_pass(model, "size")) {
            return fail(unsupported("size", "Images of that size are not sold here."));
        }
        if (!by_tokens && !is_usual_quality(request_.quality) && !lets_pass(model, "quality")) {
            return fail(unsupported("quality", "Images of that quality are not sold here."));
        }
        return check_other_fields(request_, model);
    }

    TokenBounds bounds(std::size_t, const Model& model) const override {
        // Byte-level encodings make at most a token of a byte. Beyond its context a model refuses.
        const std::int64_t images = std::min(request_.images_given, model.context) *
                                    std::min(model.tokens_per_image_max.value_or(0), model.context);
        const std::int64_t input =
            static_cast<std::int64_t>(request_.text_bytes) + model.template_tokens + images;
        return {.input = std::min(input, model.context),
                .output = model.output_max,
                .input_image = std::min(images, model.context),
                .output_image = model.output_max,
                .images = request_.images};
    }

    std::string body_for(std::string_view body, const Model&,
                         const Destination& to) const override {
        BodyEdits edits{body, request_};
        if (request_.form_type.empty()) {
            edits.name_model(to.model);
        } else {
            edits.name_model_in_form(to.model);
        }
        return edits.apply();
    }

    std::string_view content_type() const override { return request_.form_type; }

    // Those that came. One that is refused by the upstream's own filter is none.
    Pieces pieces_of(std::string_view answer) const override {
        Pieces pieces;
        JsonReader reader{answer};
        if (reader.next() != JsonToken::BeginObject) return pieces;
        while (const auto member = reader.next_member()) {
            if (!key_is(member->key, "data") || member->first != JsonToken::BeginArray) {
                (void)reader.skip(member->first);
                continue;
            }
            for (JsonToken item = reader.next();
                 item != JsonToken::EndArray && item != JsonToken::Error; item = reader.next()) {
                if (item == JsonToken::BeginObject) ++pieces.images;
                (void)reader.skip(item);
            }
        }
        pieces.images = std::min(pieces.images, request_.images);
        pieces.output_tokens = pieces.images * kTokensPerImageUsual;
        return pieces;
    }

    // It was drawn, and how far nobody knows; what is cut may be whole already.
    Pieces pieces_of_stream(bool complete) const override {
        return {.images = 1, .is_estimate = !complete, .output_tokens = kTokensPerImageUsual};
    }

    // What such a model makes is images, and some say no more than how many tokens.
    void sort_tokens(Usage& usage) const override {
        if (usage.out_image == 0) usage.out_image = std::exchange(usage.out_text, 0);
    }

private:
    static bool lets_pass(const Model& model, std::string_view field) {
        const auto& extra = model.extra_fields;
        return std::find(extra.begin(), extra.end(), field) != extra.end();
    }

    const ImageRequest request_;
};

}  // namespace

const FormRules& edit_form_rules() { return kEditRules; }

Ordered read_image(Endpoint endpoint, const http::Request& request, const FormPassage* passage) {
    if (endpoint == Endpoint::ImageEdits) {
        TRY(auto edit, read_edit(request, passage));
        return make_order<ImageOrder>(endpoint, std::move(edit));
    }
    TRY(auto asked, Parser{request.body}.parse());
    return make_order<ImageOrder>(endpoint, std::move(asked));
}

}  // namespace nutgate::proxy
