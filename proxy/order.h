// A request that was read: what it orders, whichever path it came by. Each path that is sold is one
// file in endpoints/, which reads its bodies strictly and says here
//
//   - what model it wants, and whether that one sells such a thing;
//   - the most that it can use, in every unit that a price has;
//   - the body that an upstream gets: the client's bytes, but for those that have to change;
//   - how much of what is counted by the piece an answer brought.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "body_parser.h"
#include "form_passage.h"
#include "nutgate/base/result.h"
#include "nutgate/http/error_envelope.h"
#include "nutgate/http/message.h"
#include "nutgate/proxy/endpoint.h"
#include "nutgate/proxy/meter.h"
#include "nutgate/proxy/models.h"
#include "nutgate/proxy/pricing.h"
#include "nutgate/proxy/upstream.h"

namespace nutgate::proxy {

// What an answer that is no stream of events is.
enum class WholeForm {
    Json,   // The charge is put into it.
    Text,   // Awaited to its end; the charge is in its head.
    Bytes,  // Passed on as it comes, so the charge is known before: it is in its head.
};

class Order {
public:
    virtual ~Order() = default;
    Order(const Order&) = delete;
    Order& operator=(const Order&) = delete;

    Endpoint endpoint() const { return endpoint_; }
    WholeForm whole_form() const { return whole_form_; }
    const BodyFields& fields() const { return *fields_; }
    bool is_stream() const { return fields_->stream; }

    // Whether this model takes such a request.
    virtual Result<void, http::ApiError> check_against(const Model& model) const = 0;
    // What it can use at most. Upstreams are held to it by body_for().
    virtual TokenBounds bounds(std::size_t body_bytes, const Model& model) const = 0;
    // `body` is what this was read from.
    virtual std::string body_for(std::string_view body, const Model& model,
                                 const Destination& to) const = 0;
    // Of that body; empty: JSON.
    virtual std::string_view content_type() const { return {}; }
    // What is counted by the piece: of a whole answer; of one that brought nothing to be counted,
    // empty.
    virtual Pieces pieces_of(std::string_view answer) const;
    // The same of a stream, of which only this is known.
    virtual Pieces pieces_of_stream(bool complete) const;
    // The choices of a stream that may be ended before any of its frames, each of them by itself.
    // Zero: it may not.
    virtual std::int64_t stream_choices() const { return 0; }
    // Puts tokens to the kind that they are of, where the upstream does not say.
    virtual void sort_tokens(Usage&) const {}

protected:
    // `fields` is a member of whatever this is.
    Order(Endpoint endpoint, const BodyFields& fields) : endpoint_{endpoint}, fields_{&fields} {}
    void set_whole_form(WholeForm form) { whole_form_ = form; }

private:
    const Endpoint endpoint_;
    const BodyFields* const fields_;
    WholeForm whole_form_ = WholeForm::Json;
};

using Ordered = Result<std::unique_ptr<const Order>, http::ApiError>;
template <class Kind, class... Args>
Ordered make_order(Args&&... args) {
    return std::unique_ptr<const Order>{std::make_unique<const Kind>(std::forward<Args>(args)...)};
}

// By path. A body that can't be read for what it would cost is refused.
// `passage`: of a form of which the request's body has only the beginning; it outlives the order.
Ordered read_order(Endpoint endpoint, const http::Request& request,
                   const FormPassage* passage = nullptr);
// The rules of the path's forms; null where it takes none.
const FormRules* form_rules(Endpoint endpoint);

// One file each.
Ordered read_chat(std::string_view body);
Ordered read_completion(std::string_view body);
Ordered read_response(std::string_view body);
Ordered read_message(Endpoint endpoint, std::string_view body);  // Or what counts its tokens.
Ordered read_embedding(std::string_view body);
Ordered read_image(Endpoint endpoint, const http::Request& request, const FormPassage* passage);
const FormRules& edit_form_rules();
Ordered read_speech(std::string_view body);
Ordered read_audio(Endpoint endpoint, const http::Request& request, const FormPassage* passage);
const FormRules& audio_form_rules(Endpoint endpoint);
Ordered read_moderation(std::string_view body);

}  // namespace nutgate::proxy
