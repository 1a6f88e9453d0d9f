#pragma once

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace nutgate::bench {

// The value of a header in a raw head, or nothing. Names in any case, as HTTP has them.
inline std::string_view header_of(std::string_view head, std::string_view name) {
    const auto same = [](char a, char b) {
        return std::tolower(static_cast<unsigned char>(a)) ==
               std::tolower(static_cast<unsigned char>(b));
    };
    for (std::size_t at = head.find("\r\n"); at != std::string_view::npos;) {
        const std::size_t begin = at + 2;
        at = head.find("\r\n", begin);
        const std::string_view line = head.substr(begin, at - begin);
        if (line.size() <= name.size() || line[name.size()] != ':') continue;
        bool equal = true;
        for (std::size_t i = 0; equal && i < name.size(); ++i) equal = same(line[i], name[i]);
        if (!equal) continue;
        std::string_view value = line.substr(name.size() + 1);
        while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
        return value;
    }
    return {};
}

// Reads one HTTP/1.1 answer out of bytes that come in any portions; bodies by length or chunked.
// After Done, the next byte belongs to the next answer: reset() and go on.
class AnswerReader {
public:
    enum class State { Head, Body, Size, Data, DataEnd, Trailer, Done, Broken };

    void reset() { *this = AnswerReader{}; }
    State state() const { return state_; }
    int status() const { return status_; }
    bool closes() const { return closes_; }  // No other answer follows on this connection.

    // Takes what it can of `bytes`, hands the body's bytes to `sink`, and says how many it took.
    template <typename Sink>
    std::size_t take(std::string_view bytes, Sink&& sink) {
        std::size_t at = 0;
        while (at < bytes.size() && state_ != State::Done && state_ != State::Broken) {
            const std::string_view rest = bytes.substr(at);
            if (state_ == State::Body || state_ == State::Data) {
                const std::size_t n = std::min<std::size_t>(rest.size(), left_);
                sink(rest.substr(0, n));
                at += n;
                left_ -= n;
                if (left_ == 0) state_ = state_ == State::Body ? State::Done : State::DataEnd;
            } else {
                at += take_line(rest);
            }
        }
        return at;
    }

private:
    // Takes up to the end of the line or, of a head, up to its empty line. Searched for and not
    // stepped to: who is measured by this reader pays for no more than a client that is fast.
    std::size_t take_line(std::string_view bytes) {
        const std::string_view end = state_ == State::Head ? "\r\n\r\n" : "\r\n";
        const std::size_t found = bytes.find(end);
        const bool is_found = found != std::string_view::npos;
        std::size_t taken = is_found ? found + end.size() : bytes.size();
        bool is_whole = is_found;
        // It may have begun in what came before.
        for (std::size_t before = end.size() - 1; before > 0; --before) {
            const std::string_view rest = end.substr(before);
            if (rest.size() > taken || !line_.ends_with(end.substr(0, before))) continue;
            if (!bytes.starts_with(rest)) continue;
            taken = rest.size();
            is_whole = true;
            break;
        }
        line_ += bytes.substr(0, taken);
        if (is_whole) end_of_line();
        return taken;
    }

    void end_of_line() {
        if (state_ == State::Head) return end_of_head();
        if (state_ == State::Size) {
            const auto parsed =
                std::from_chars(line_.data(), line_.data() + line_.size(), left_, 16);
            const bool good = parsed.ec == std::errc{};
            state_ = !good ? State::Broken : left_ == 0 ? State::Trailer : State::Data;
        } else if (state_ == State::DataEnd) {
            state_ = line_ == "\r\n" ? State::Size : State::Broken;
        } else if (line_ == "\r\n") {
            state_ = State::Done;
        }
        line_.clear();
    }

    void end_of_head() {
        const std::string_view head = line_;
        if (head.size() < 12 || !head.starts_with("HTTP/1.1 ")) {
            state_ = State::Broken;
            return;
        }
        std::from_chars(head.data() + 9, head.data() + 12, status_);
        const std::string_view length = header_of(head, "content-length");
        std::from_chars(length.data(), length.data() + length.size(), left_);
        const std::string_view connection = header_of(head, "connection");
        closes_ = connection == "close" || connection == "Close";
        if (header_of(head, "transfer-encoding") == "chunked") {
            state_ = State::Size;
        } else if (length.empty()) {
            state_ = State::Broken;
        } else {
            state_ = left_ == 0 ? State::Done : State::Body;
        }
        line_.clear();
    }

    State state_ = State::Head;
    int status_ = 0;
    bool closes_ = false;
    std::uint64_t left_ = 0;
    std::string line_;
};

}  // namespace nutgate::bench
