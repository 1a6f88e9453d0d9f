#include <cstdint>
#include <string_view>
#include <vector>

#include "nutgate/base/verify.h"
#include "proxy/multipart.h"

// A form is the same in memory and passing through, however it is cut: the same parts in the same
// places, or refused in both. The first byte says where to cut; the boundary is "xYz".
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace nutgate::proxy;
    if (size == 0) return 0;
    const std::string_view body{reinterpret_cast<const char*>(data) + 1, size - 1};
    const std::size_t step_bytes = data[0] + std::size_t{1};
    const auto whole = parse_form(body, "multipart/form-data; boundary=xYz");

    FormScanner scanner{"xYz"};
    std::vector<FormPart> parts;
    bool is_good = true;
    for (std::size_t at = 0; at < body.size() && is_good; at += step_bytes) {
        auto piece = body.substr(at, step_bytes);
        while (!piece.empty() && is_good) {
            const auto step = scanner.next(piece);
            is_good = step.has_value();
            if (!is_good) break;
            VERIFY(step->taken > 0 && step->taken <= piece.size());
            piece.remove_prefix(step->taken);
            if (step->event == FormScanner::Event::Part) parts.push_back(scanner.part());
            if (step->event != FormScanner::Event::PartEnd) continue;
            parts.back() = scanner.part();
            const auto& place = parts.back().place;
            VERIFY(scanner.content_bytes() == place.end - place.begin);
        }
    }
    is_good = is_good && scanner.finish().has_value();
    VERIFY(is_good == whole.has_value());
    if (!whole) return 0;
    VERIFY(parts.size() == whole->parts.size());
    VERIFY(parts.size() == scanner.parts());
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const FormPart& one = whole->parts[i];
        VERIFY(parts[i].name == one.name && parts[i].is_file == one.is_file);
        VERIFY(parts[i].place.begin == one.place.begin && parts[i].place.end == one.place.end);
        VERIFY(one.place.begin <= one.place.end && one.place.end <= body.size());
        VERIFY(one.content(body).find("\r\n--xYz") == std::string_view::npos);
    }
    return 0;
}
