#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace nutgate::api {

inline constexpr std::size_t kQrTextBytesMax = 2'048;

// A QR code as an SVG image, black on white with a quiet zone. Empty if the text is empty or does
// not fit.
std::optional<std::string> qr_svg(std::string_view text);

}  // namespace nutgate::api
