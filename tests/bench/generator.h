// What the three load generators have in common: their arguments, the request that they send, and
// what they make of the answers. One thread each, so nothing here is synchronised.
#pragma once

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "answer_reader.h"

namespace nutgate::bench {

using SteadyClock = std::chrono::steady_clock;
using Instant = SteadyClock::time_point;
using Microseconds = std::chrono::microseconds;

// Nothing may be silent for longer than this: whatever is then unanswered is an error.
constexpr std::chrono::seconds kPatience{30};

// A generator that has seen this many errors measures nothing any more.
constexpr std::uint64_t kErrorsMax = 100;

// `--name value`, in any order; a name may come more than once.
class Arguments {
public:
    Arguments(int argc, char** argv) {
        for (int i = 1; i + 1 < argc; i += 2) values_.emplace(argv[i], argv[i + 1]);
    }

    std::string text(const std::string& name, const std::string& otherwise = {}) const {
        const auto found = values_.find(name);
        return found == values_.end() ? otherwise : found->second;
    }

    std::vector<std::string> texts(const std::string& name) const {
        std::vector<std::string> found;
        const auto [begin, end] = values_.equal_range(name);
        for (auto at = begin; at != end; ++at) found.push_back(at->second);
        return found;
    }

    int integer(const std::string& name, int otherwise) const {
        const auto found = values_.find(name);
        return found == values_.end() ? otherwise : std::stoi(found->second);
    }

    double number(const std::string& name, double otherwise) const {
        const auto found = values_.find(name);
        return found == values_.end() ? otherwise : std::stod(found->second);
    }

private:
    std::multimap<std::string, std::string> values_;
};

// One POST, the same each time but for its key: the next of --keys-file, in turn.
class Request {
public:
    // A key is its place in the list; without --keys-file there is one, and nothing is sent of it.
    using Key = std::size_t;

    explicit Request(const Arguments& arguments);

    Key next_key() { return next_++ % keys_.size(); }

    // Sends what the kernel takes of what follows the first `sent` bytes, and adds it to `sent`.
    // False: the connection is broken.
    bool send(int fd, Key key, std::size_t& sent) const;
    bool whole(Key key, std::size_t sent) const;

private:
    std::string before_;  // The head up to the key.
    std::vector<std::string> keys_;
    std::string after_;  // The rest of the head, and the body.
    std::size_t next_ = 0;
};

inline std::uint32_t microseconds_between(Instant from, Instant to) {
    const auto n = std::chrono::duration_cast<Microseconds>(to - from).count();
    return static_cast<std::uint32_t>(std::max<std::int64_t>(n, 0));
}

// What came within a share of all cases; the order of `values` is lost.
inline std::uint32_t percentile(std::vector<std::uint32_t>& values, double share) {
    if (values.empty()) return 0;
    const auto at = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
    std::nth_element(values.begin(), values.begin() + at, values.end());
    return values[static_cast<std::size_t>(at)];
}

// Looks for a text in bytes that come in portions, and cuts them into server-sent events.
class BodyReader {
public:
    void reset() {
        text_.clear();  // Its memory stays.
        searched_ = 0;
        found_ = false;
    }
    const std::string& text() const { return text_; }

    // Whether `wanted` has come by now. To be called before the events are cut off.
    bool holds(std::string_view wanted) {
        found_ = found_ || text_.find(wanted, searched_) != std::string::npos;
        searched_ = text_.size() - std::min(text_.size(), wanted.size());
        return found_;
    }

    void add(std::string_view part) { text_ += part; }

    // Hands each whole event to `sink`, and forgets it.
    template <typename Sink>
    void cut_events(Sink&& sink) {
        std::size_t used = 0;
        for (std::size_t end = 0; (end = text_.find("\n\n", used)) != std::string::npos;
             used = end + 2) {
            sink(std::string_view{text_}.substr(used, end - used));
        }
        text_.erase(0, used);
        searched_ -= std::min(searched_, used);
    }

private:
    std::string text_;
    std::size_t searched_ = 0;
    bool found_ = false;
};

// Whether an event is a piece of the answer: neither a comment nor the closing mark.
inline bool is_frame(std::string_view event) { return event.starts_with("data: {"); }

// When the upstream meant to send this frame: it writes the steady clock's microseconds into the
// text, and the clock is the same for every process of the machine.
inline std::optional<Instant> due_of(std::string_view event) {
    constexpr std::string_view kMark = "\"content\":\"@";
    const std::size_t at = event.find(kMark);
    if (at == std::string_view::npos) return std::nullopt;
    std::int64_t count = 0;
    const char* const begin = event.data() + at + kMark.size();
    if (std::from_chars(begin, event.data() + event.size(), count).ec != std::errc{}) {
        return std::nullopt;
    }
    return Instant{Microseconds{count}};
}

}  // namespace nutgate::bench
