#include "dialects/event_stream.h"

#include <utility>

namespace nutgate::proxy {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

}  // namespace

void EventReader::feed(std::string_view piece, std::vector<StreamEvent>& events) {
    while (!piece.empty() && !overrun_) {
        if (std::exchange(after_cr_, false) && piece.front() == '\n') {
            piece.remove_prefix(1);
            continue;
        }
        const std::size_t end = piece.find_first_of("\r\n");
        const std::string_view part = piece.substr(0, end);
        if (line_.size() + part.size() + event_.data.size() > event_bytes_max_) {
            overrun_ = true;
            return;
        }
        line_ += part;
        if (end == std::string_view::npos) return;
        after_cr_ = piece[end] == '\r';
        piece.remove_prefix(end + 1);
        take_line(events);
    }
}

void EventReader::finish(std::vector<StreamEvent>& events) {
    if (overrun_) return;
    if (!line_.empty()) take_line(events);
    dispatch(events);
}

void EventReader::take_line(std::vector<StreamEvent>& events) {
    std::string_view line = line_;
    if (std::exchange(first_line_, false) && line.starts_with(kByteOrderMark)) {
        line.remove_prefix(kByteOrderMark.size());
    }
    if (line.empty()) {
        dispatch(events);
    } else if (line.front() == ':') {
        events.push_back({.name = {}, .data = {}, .comment = true});
    } else {
        take_field(line);
    }
    line_.clear();
}

void EventReader::take_field(std::string_view line) {
    const std::size_t colon = line.find(':');
    const std::string_view name = line.substr(0, colon);
    std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (name == "data") {
        if (has_data_) event_.data += '\n';
        event_.data += value;
        has_data_ = true;
    } else if (name == "event") {
        event_.name = value;
    }
}

void EventReader::dispatch(std::vector<StreamEvent>& events) {
    if (std::exchange(has_data_, false)) events.push_back(std::move(event_));
    event_ = {};
}

}  // namespace nutgate::proxy
