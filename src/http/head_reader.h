// A message's head, line by line, as strictly as RFC 9112 lets anybody be: no line is joined to
// another, nothing is skipped, and no character stands where another reader may end or split
// something. Written by hand, since each request has two heads to be read and two to be written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "nutgate/http/message.h"

namespace nutgate::http {

// Without spaces and tabs around it.
std::string_view trimmed(std::string_view text);

// What a head says of its own message and connection, noted while its headers are read. Views are
// into the head.
struct HeadFacts {
    std::size_t lengths = 0;  // Of Content-Length and of Transfer-Encoding: how many there are.
    std::size_t codings = 0;
    std::string_view length;  // The last of each.
    std::string_view coding;
    bool closes = false;  // Connection: close, or what some write for it.

    // Whose framing could be read in one way only: not two lengths, not both, no other coding.
    bool is_plain() const;
    // Digits, and so few that no sum of them wraps.
    bool length_of_body(std::uint64_t& bytes) const;
};

// For a head that is all there, up to its empty line. Both are false after what is malformed, and
// nothing is read behind it.
class HeadReader {
public:
    explicit HeadReader(std::string_view head) : at_{head.data()}, end_{at_ + head.size()} {}

    // Without its line end.
    bool start_line(std::string_view& line);
    // All headers, in their order: `on_header` is called with name and value and says whether to go
    // on; if not, this is false, too. Spaces around a value are not part of it.
    template <class OnHeader>
    bool headers(HeadFacts& facts, OnHeader on_header) {
        std::string_view name;
        std::string_view value;
        while (!is_at_empty_line()) {
            if (!next(name, value) || !note(facts, name, value) || !on_header(name, value)) {
                return false;
            }
        }
        return true;
    }

private:
    bool is_at_empty_line() const { return end_ - at_ == 2 && at_[0] == '\r' && at_[1] == '\n'; }
    bool next(std::string_view& name, std::string_view& value);
    static bool note(HeadFacts& facts, std::string_view name, std::string_view value);

    const char* at_;
    const char* end_;
};

// "HTTP/1.1" is 11; zero if it is no version. Those we do not speak are versions, too.
int version_of(std::string_view text);

}  // namespace nutgate::http
