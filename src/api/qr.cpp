#include "qr.h"

#include <memory>
#include <qrencode.h>

namespace nutgate::api {
namespace {

constexpr int kQuietZone = 4;  // Modules around it, as the standard asks for.

struct FreeCode {
    void operator()(QRcode* code) const { QRcode_free(code); }
};

}  // namespace

std::optional<std::string> qr_svg(std::string_view text) {
    if (text.empty() || text.size() > kQrTextBytesMax) return std::nullopt;
    const std::string zero_ended{text};
    if (zero_ended.find('\0') != std::string::npos) return std::nullopt;
    const std::unique_ptr<QRcode, FreeCode> code{
        // Not all of it as bytes: an invoice in capitals needs a third less of them.
        QRcode_encodeString(zero_ended.c_str(), 0, QR_ECLEVEL_L, QR_MODE_8, 1)};
    if (!code) return std::nullopt;

    const int side = code->width + 2 * kQuietZone;
    const std::string extent = std::to_string(side);
    std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + extent + " " +
                      extent + "\" shape-rendering=\"crispEdges\"><rect width=\"" + extent +
                      "\" height=\"" + extent + "\" fill=\"#fff\"/><path fill=\"#000\" d=\"";
    for (int y = 0; y < code->width; ++y) {
        for (int x = 0; x < code->width; ++x) {
            const int index = y * code->width + x;
            if ((code->data[index] & 1) == 0) continue;
            svg += "M" + std::to_string(x + kQuietZone) + " " + std::to_string(y + kQuietZone) +
                   "h1v1h-1z";
        }
    }
    return svg + "\"/></svg>";
}

}  // namespace nutgate::api
