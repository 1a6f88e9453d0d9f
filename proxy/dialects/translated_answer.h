// An upstream's answer, read in the other dialect: what a caller of Upstream or of a client sees is
// an answer like any other. Streams pass event by event; whole answers and errors are read to
// their end first, within bounds.
#pragma once

#include <cstddef>
#include <memory>

#include "dialects/answer_translator.h"
#include "nutgate/http/message.h"
#include "nutgate/http/upstream_client.h"

namespace nutgate::proxy {

struct TranslationBounds {
    std::size_t whole_bytes_max = 64 * 1024 * 1024;
    std::size_t error_bytes_max = 64 * 1024;  // What is beyond is not looked at.
};

// Reading it fails as the upstream's answer fails, and as Broken where that is not of its dialect
// or was cut: nobody takes a part for the whole. What a stream had used until then is told first.
// The status is the upstream's but for what the dialects number differently. Of the headers
// Content-Type and Retry-After pass.
std::unique_ptr<http::UpstreamAnswer> translated(std::unique_ptr<http::UpstreamAnswer> upstream,
                                                 std::unique_ptr<AnswerTranslator> translator,
                                                 TranslationBounds bounds = {});

// An answer that is there already, as of a request that is refused before any upstream sees it.
std::unique_ptr<http::UpstreamAnswer> ready_answer(http::Response response);

}  // namespace nutgate::proxy
