// Anthropic's turns as the messages of a chat: a turn with the results of calls becomes a message
// for each, and what else was said in that turn comes after them, since they must follow the calls.
#pragma once

#include <string>
#include <string_view>

#include "dialects/raw_json.h"
#include "nutgate/base/result.h"
#include "nutgate/http/error_envelope.h"

namespace nutgate::proxy {

class ChatMessages {
public:
    using Added = Result<void, http::ApiError>;

    Added add_system(const RawJson& content);
    Added add_turn(const RawJson& message);

    std::string json() const { return '[' + list_ + ']'; }
    bool empty() const { return list_.empty(); }
    bool ends_with_assistant() const { return ends_with_assistant_; }
    std::size_t image_bytes() const { return image_bytes_; }  // Of json(), in images.

private:
    Added add_user(const RawJson& content);
    Added add_assistant(const RawJson& content);
    void add(ObjectText message) { add_item(list_, message.end()); }

    std::string list_;
    std::size_t image_bytes_ = 0;
    bool ends_with_assistant_ = false;
};

}  // namespace nutgate::proxy
