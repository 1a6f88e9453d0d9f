#include "operator_face.h"

#include "nutgate/base/bytes.h"
#include "nutgate/http/client.h"

namespace nutgate::app {
namespace {

std::string message_of(const Json& body, int status) {
    const bool explained = body.is_object() && body.contains("error") &&
                           body["error"].is_object() && body["error"].contains("message") &&
                           body["error"]["message"].is_string();
    if (explained) return body["error"]["message"].get<std::string>();
    return "the node answered " + std::to_string(status);
}

}  // namespace

Result<Json, OperatorError> ask_node(const std::string& data_dir, const OperatorRequest& request) {
    TRY(const auto folder, DataDir::look(data_dir));
    TRY(const auto token, folder.operator_token());
    TRY(const auto address, folder.operator_address());
    const auto client = http::make_client({});
    const auto answer = client->call(
        {.method = request.method,
         .url = "http://" + address + request.path,
         .headers = {{"Authorization", "Bearer " + std::string{as_text(token.reveal())}}},
         .body = request.method == http::Method::Post ? request.body.dump() : std::string{},
         .timeout = request.timeout});
    if (!answer) {
        return fail(OperatorError{
            "no answer from the node at " + address + ": " + answer.error().detail, true});
    }
    Json body = Json::parse(answer->body, nullptr, false);
    if (answer->status != 200 || !body.is_object()) {
        return fail(OperatorError{message_of(body, answer->status), answer->status >= 500});
    }
    return body;
}

}  // namespace nutgate::app
