// A head as Boost.Beast reads it: a second reader, by other people, of what ours takes. What ours
// takes Beast must take, and find the same in it.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nutgate::test {

template <bool is_request>
class BeastHead final : public boost::beast::http::basic_parser<is_request> {
public:
    // `raw` is a whole head.
    explicit BeastHead(std::string_view raw) {
        this->header_limit(static_cast<std::uint32_t>(raw.size() + 1));
        this->body_limit(boost::none);
        Error error;
        this->put(boost::asio::buffer(raw.data(), raw.size()), error);
        is_taken =
            this->is_header_done() && (!error || error == boost::beast::http::error::need_more);
    }

    bool is_taken = false;
    int version = 0;
    int status = 0;
    std::string method;
    std::string target;
    std::vector<std::pair<std::string, std::string>> headers;

private:
    using Text = boost::beast::string_view;
    using Error = boost::beast::error_code;

    void on_request_impl(boost::beast::http::verb, Text text, Text at, int spoken,
                         Error&) override {
        method = {text.data(), text.size()};
        target = {at.data(), at.size()};
        version = spoken;
    }
    void on_response_impl(int code, Text, int spoken, Error&) override {
        status = code;
        version = spoken;
    }
    void on_field_impl(boost::beast::http::field, Text name, Text value, Error&) override {
        headers.emplace_back(std::string{name.data(), name.size()},
                             std::string{value.data(), value.size()});
    }
    void on_header_impl(Error&) override {}
    void on_body_init_impl(const boost::optional<std::uint64_t>&, Error&) override {}
    std::size_t on_body_impl(Text body, Error&) override { return body.size(); }
    void on_chunk_header_impl(std::uint64_t, Text, Error&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, Text body, Error&) override {
        return body.size();
    }
    void on_finish_impl(Error&) override {}
};

}  // namespace nutgate::test
