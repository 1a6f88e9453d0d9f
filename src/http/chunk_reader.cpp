#include "chunk_reader.h"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/error.hpp>

#include "nutgate/base/verify.h"

namespace nutgate::http {

ChunkReader::ChunkReader() {
    constexpr std::string_view kHead = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
    body_limit(boost::none);  // Counted here.
    Error error;
    const auto taken = put(boost::asio::buffer(kHead.data(), kHead.size()), error);
    VERIFY(!error && taken == kHead.size() && is_header_done());
    eager(true);
}

std::optional<std::size_t> ChunkReader::read(std::string_view bytes, std::string& body,
                                             const ChunkLimits& limits) {
    body_ = &body;
    limits_ = limits;
    Error error;
    const auto taken = put(boost::asio::buffer(bytes.data(), bytes.size()), error);
    if (error && error != boost::beast::http::error::need_more) return std::nullopt;
    return taken;
}

void ChunkReader::on_chunk_header_impl(std::uint64_t size, Text extensions, Error& error) {
    if (extensions.size() > limits_.extension_bytes_max) {
        failure_ = Failure::ExtensionTooLong;
        error = boost::beast::http::error::bad_chunk_extension;
    } else if (size > limits_.body_bytes_max - body_->size()) {
        failure_ = Failure::BodyTooLarge;
        error = boost::beast::http::error::body_limit;
    }
}

std::size_t ChunkReader::on_chunk_body_impl(std::uint64_t, Text body, Error&) {
    body_->append(body.data(), body.size());
    return body.size();
}

}  // namespace nutgate::http
