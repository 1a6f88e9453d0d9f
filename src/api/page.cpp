#include "page.h"

#include "page_assets.h"
#include "qr.h"

namespace nutgate::api {
namespace {

http::Response asset(std::string_view type, std::string_view body) {
    http::Response response;
    response.headers.add("Content-Type", std::string{type});
    response.headers.add("Content-Security-Policy",
                         "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
                         "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; "
                         "base-uri 'none'");
    response.headers.add("X-Content-Type-Options", "nosniff");
    response.headers.add("Referrer-Policy", "no-referrer");
    response.headers.add("Cache-Control", "no-cache");
    response.body = std::string{body};
    return response;
}

}  // namespace

void add_page_routes(http::Server& server) {
    const auto serve = [&](std::string path, std::string_view type, std::string_view body) {
        server.route_blocking({.method = http::Method::Get, .pattern = std::move(path)},
                              [type, body](const http::Request&) { return asset(type, body); });
    };
    serve("/", "text/html; charset=utf-8", kPageHtml);
    serve("/page.css", "text/css; charset=utf-8", kPageCss);
    serve("/page.js", "text/javascript; charset=utf-8", kPageScript);
    serve("/icon.svg", "image/svg+xml", kPageIcon);
    server.route_blocking({.method = http::Method::Get, .pattern = "/qr.svg"}, [](const http::
                                                                                      Request&
                                                                                          request) {
        const auto svg = qr_svg(request.query_value("text").value_or(""));
        if (!svg)
            return http::json_response(
                400,
                R"({"error":{"message":"text must be 1 to 2048 bytes","type":"invalid_request_error","code":"invalid_text","param":"text"}})");
        auto response = asset("image/svg+xml", *svg);
        response.headers.set("Cache-Control", "no-store");
        return response;
    });
}

}  // namespace nutgate::api
