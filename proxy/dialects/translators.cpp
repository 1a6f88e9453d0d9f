#include <utility>

#include "dialects/answer_translator.h"
#include "dialects/chat_stream.h"
#include "dialects/error_shapes.h"
#include "dialects/message_stream.h"
#include "dialects/whole_answers.h"

namespace nutgate::proxy {
namespace {

class ToChatTranslator final : public AnswerTranslator {
public:
    explicit ToChatTranslator(ToChat options) : options_{options} {}

    std::unique_ptr<StreamTranslator> stream() const override {
        return std::make_unique<MessageStream>(options_);
    }
    std::optional<std::string> whole(std::string_view body) const override {
        return message_to_completion(body, options_.created);
    }
    TranslatedError error(int status, std::string_view body) const override {
        return error_to_chat(status, body);
    }

private:
    const ToChat options_;
};

class ToMessagesTranslator final : public AnswerTranslator {
public:
    explicit ToMessagesTranslator(ToMessages options) : options_{std::move(options)} {}

    std::unique_ptr<StreamTranslator> stream() const override {
        return std::make_unique<ChatStream>(options_);
    }
    std::optional<std::string> whole(std::string_view body) const override {
        return completion_to_message(body, options_);
    }
    TranslatedError error(int status, std::string_view body) const override {
        return error_to_message(status, body);
    }

private:
    const ToMessages options_;
};

}  // namespace

std::unique_ptr<AnswerTranslator> make_to_chat(ToChat options) {
    return std::make_unique<ToChatTranslator>(options);
}

std::unique_ptr<AnswerTranslator> make_to_messages(ToMessages options) {
    return std::make_unique<ToMessagesTranslator>(std::move(options));
}

}  // namespace nutgate::proxy
