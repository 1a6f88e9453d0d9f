// A chunked body, in both directions: Beast's parser, which is told of a head that says no more.
#pragma once

#include <boost/beast/http/basic_parser.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace nutgate::http {

struct ChunkLimits {
    std::size_t extension_bytes_max = std::numeric_limits<std::size_t>::max();
    std::size_t body_bytes_max = std::numeric_limits<std::size_t>::max();
};

// Not reusable.
class ChunkReader final : public boost::beast::http::basic_parser<true> {
public:
    enum class Failure { Malformed, ExtensionTooLong, BodyTooLarge };

    ChunkReader();

    // Takes what it can of `bytes` into `body`, and says how many they were; zero: it wants more.
    // Trailers mean nothing. Empty after a failure().
    std::optional<std::size_t> read(std::string_view bytes, std::string& body,
                                    const ChunkLimits& limits);
    bool is_whole() const { return is_done(); }
    Failure failure() const { return failure_; }

private:
    using Verb = boost::beast::http::verb;
    using Field = boost::beast::http::field;
    using Text = boost::beast::string_view;
    using Error = boost::beast::error_code;

    void on_request_impl(Verb, Text, Text, int, Error&) override {}
    void on_response_impl(int, Text, int, Error&) override {}
    void on_field_impl(Field, Text, Text, Error&) override {}
    void on_header_impl(Error&) override {}
    void on_body_init_impl(const boost::optional<std::uint64_t>&, Error&) override {}
    std::size_t on_body_impl(Text body, Error&) override { return body.size(); }
    void on_chunk_header_impl(std::uint64_t size, Text extensions, Error& error) override;
    std::size_t on_chunk_body_impl(std::uint64_t, Text body, Error&) override;
    void on_finish_impl(Error&) override {}

    std::string* body_ = nullptr;
    ChunkLimits limits_;
    Failure failure_ = Failure::Malformed;
};

}  // namespace nutgate::http
