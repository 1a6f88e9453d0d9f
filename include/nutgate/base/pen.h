// Writes text into room that is there already: for what each request has, of known parts, where
// growing a string part by part costs more than the parts.
#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

#include "nutgate/base/verify.h"

namespace nutgate {

// Behind what `text` holds there is room for `most` more bytes until finish(), which takes back
// what was not used of it. Meanwhile nobody else changes the text, and it has bytes behind what was
// put that mean nothing. More than there is room for is a bug, and stops the process. Not
// thread-safe.
//
//     Pen pen{json, kReceiptBytesMax};
//     pen.put(R"({"total_msats":)");
//     pen.put(cost.raw());
//     pen.finish();
class Pen {
public:
    Pen(std::string& text, std::size_t most) : text_{text} {
        const std::size_t begin = text.size();
        text.resize(begin + most);
        at_ = text.data() + begin;
        end_ = at_ + most;
    }
    void finish() { text_.resize(static_cast<std::size_t>(at_ - text_.data())); }
    Pen(const Pen&) = delete;
    Pen& operator=(const Pen&) = delete;

    // Of a literal the size is known, so that it is copied by a few moves.
    template <std::size_t N>
    void put(const char (&literal)[N]) {  // NOLINT(*-avoid-c-arrays): literals are such.
        put_bytes(literal, N - 1);
    }
    void put(std::string_view text) { put_bytes(text.data(), text.size()); }
    void put(char c) { put_bytes(&c, 1); }
    template <std::integral Number>
        requires(!std::same_as<Number, char>)
    void put(Number number) {
        const auto [end, error] = std::to_chars(at_, end_, number);
        VERIFY(error == std::errc{});
        at_ = end;
    }

private:
    void put_bytes(const char* bytes, std::size_t size) {
        VERIFY(size <= static_cast<std::size_t>(end_ - at_));
        if (size == 0) return;  // There may be nothing at `bytes`.
        std::memcpy(at_, bytes, size);
        at_ += size;
    }

    std::string& text_;
    char* at_ = nullptr;
    char* end_ = nullptr;
};

}  // namespace nutgate
