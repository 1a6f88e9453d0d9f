// The fields of a form with files, checked as those of a JSON body are.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "body_parser.h"
#include "form_passage.h"
#include "multipart.h"
#include "nutgate/base/result.h"
#include "nutgate/http/message.h"

namespace nutgate::proxy {

class FormFields {
public:
    // Of one that passes through, up to its first file.
    static Result<FormFields, http::ApiError> read(const http::Request& request,
                                                   const FormRules& rules,
                                                   const FormPassage* passage, BodyFields& fields);

    const std::string& content_type() const { return form_.content_type; }
    // Of a field that is no file; empty if it is not there.
    std::string_view text(std::string_view name) const;
    bool has(std::string_view name) const;
    // Bytes of all files of that name, and how many they are.
    struct Files {
        std::size_t count = 0;
        std::size_t bytes = 0;
        std::string_view first = {};
    };
    Files files(std::string_view name) const;
    // "true", "false" or nothing.
    Result<bool, http::ApiError> flag(std::string_view name) const;
    // At least 1; nothing is 1.
    Result<std::int64_t, http::ApiError> count(std::string_view name) const;

private:
    explicit FormFields(std::string_view body, Form form) : body_{body}, form_{std::move(form)} {}
    const FormPart* find(std::string_view name) const;

    std::string_view body_;  // Of the request, which is read while it is there.
    Form form_;
};

}  // namespace nutgate::proxy
