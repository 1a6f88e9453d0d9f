// What went wrong, in either dialect's words:
//
//     OpenAI     {"error":{"message","type","code","param"}}
//     Anthropic  {"type":"error","error":{"type","message"},"request_id"}
#pragma once

#include <string>
#include <string_view>

#include "dialects/answer_translator.h"
#include "dialects/raw_json.h"

namespace nutgate::proxy {

// What an error says, wherever its dialect keeps it. All may be empty.
struct ToldError {
    std::string type;
    std::string code;  // OpenAI's, in some dialects a number.
    std::string message;
};
// Of an `error` member: an object, or just the words.
ToldError read_error(const RawJson& error);

// `overloaded_error` and its like by what an answer's status says.
std::string_view message_error_type(int status);

// A body, or the data of an `error` event. No request id: none is named.
std::string message_error_json(std::string_view type, std::string_view message,
                               std::string_view request_id);
std::string chat_error_json(const ToldError& anthropic);

TranslatedError error_to_chat(int status, std::string_view body);
TranslatedError error_to_message(int status, std::string_view body);

}  // namespace nutgate::proxy
