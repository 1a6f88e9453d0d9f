// Server-sent events out of a stream that comes in pieces, cut anywhere: lines end with LF, CR or
// CRLF, data has any number of lines, a byte order mark may stand at the front.
//
// Bounded: an event beyond `event_bytes_max` is an overrun, and nothing behind it is read.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace nutgate::proxy {

struct StreamEvent {
    std::string name;  // Of its `event:` line; empty if there is none.
    std::string data;
    bool comment = false;  // A line that says nothing but that somebody is still there.
};

class EventReader {
public:
    explicit EventReader(std::size_t event_bytes_max) : event_bytes_max_{event_bytes_max} {}

    void feed(std::string_view piece, std::vector<StreamEvent>& events);
    // The stream ended. Some leave the last line ends out, so what is left may be an event; or a
    // part of one.
    void finish(std::vector<StreamEvent>& events);
    bool overrun() const { return overrun_; }

private:
    void take_line(std::vector<StreamEvent>& events);
    void take_field(std::string_view line);
    void dispatch(std::vector<StreamEvent>& events);

    const std::size_t event_bytes_max_;
    std::string line_;  // The line that has not ended.
    StreamEvent event_;
    bool has_data_ = false;
    bool after_cr_ = false;  // An LF now belongs to the line end before it.
    bool first_line_ = true;
    bool overrun_ = false;
};

}  // namespace nutgate::proxy
