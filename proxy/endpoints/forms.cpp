#include "endpoints/forms.h"

#include <span>
#include <utility>

namespace nutgate::proxy {
namespace {

constexpr std::size_t kTextBytesMax = 64 * 1024;  // Of a field that is no file.

}  // namespace

Result<FormFields, http::ApiError> FormFields::read(const http::Request& request,
                                                    const FormRules& rules,
                                                    const FormPassage* passage,
                                                    BodyFields& fields) {
    const auto type = request.headers.find("content-type").value_or("");
    TRY(auto form, passage == nullptr ? parse_form(request.body, type)
                                      : parse_form_beginning(request.body, type));
    const std::span<const FormPart> parts{form.parts};
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const FormPart& part = parts[i];
        TRY(const bool is_known, check_part(rules, parts.first(i), part));
        if (!is_known) fields.other_fields.push_back(part.name);
        if (!part.is_file && part.content(request.body).size() > kTextBytesMax) {
            return fail(
                bad_value(part.name, "at most " + std::to_string(kTextBytesMax) + " bytes"));
        }
    }
    FormFields found{request.body, std::move(form)};
    const FormPart* model = found.find("model");
    if (model == nullptr || model->content(request.body).empty()) {
        return fail(bad_value("model", "a model's id"));
    }
    fields.model = model->content(request.body);
    fields.model_place = model->place;
    return found;
}

const FormPart* FormFields::find(std::string_view name) const {
    for (const FormPart& part : form_.parts) {
        if (part.name == name) return &part;
    }
    return nullptr;
}

std::string_view FormFields::text(std::string_view name) const {
    const FormPart* part = find(name);
    return part != nullptr ? part->content(body_) : std::string_view{};
}

bool FormFields::has(std::string_view name) const { return find(name) != nullptr; }

FormFields::Files FormFields::files(std::string_view name) const {
    Files files;
    for (const FormPart& part : form_.parts) {
        if (part.name != name || !part.is_file) continue;
        const std::string_view content = part.content(body_);
        if (files.count++ == 0) files.first = content;
        files.bytes += content.size();
    }
    return files;
}

Result<bool, http::ApiError> FormFields::flag(std::string_view name) const {
    const std::string_view value = text(name);
    if (value == "true") return true;
    if (value.empty() || value == "false") return false;
    return fail(bad_value(name, "true or false"));
}

Result<std::int64_t, http::ApiError> FormFields::count(std::string_view name) const {
    if (!has(name)) return std::int64_t{1};
    const auto value = json_integer(text(name));
    if (!value || *value < 1 || *value > kTokensMax) {
        return fail(bad_value(name, "an integer of at least 1"));
    }
    return *value;
}

}  // namespace nutgate::proxy
