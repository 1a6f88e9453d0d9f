#include <algorithm>
#include <charconv>
#include <ctime>

#include "nutgate/base/log.h"
#include "nutgate/cashu/mint_client.h"
#include "nutgate/http/client.h"
#include "nutgate/store/store.h"

namespace nutgate::cashu {
namespace {

// A swap takes milliseconds; issuing may wait for the mint's Lightning node to be asked.
constexpr Milliseconds kTimeout{20'000};
constexpr std::size_t kAnswerBytesMax = 8 * 1024 * 1024;

// "Fri, 20 Nov 2026 15:40:01 GMT", in Unix time.
std::optional<std::int64_t> parse_date(std::string_view text) {
    std::tm parts{};
    const std::string copy{text};
    const char* const end = ::strptime(copy.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    if (end == nullptr || *end != '\0') return std::nullopt;
    return ::timegm(&parts);
}

// Seconds, or a date, which is measured by the mint's own clock: by the Date of the same answer.
std::optional<Seconds> retry_after(const http::Headers& headers) {
    const auto text = headers.find("retry-after");
    if (!text) return std::nullopt;
    std::uint32_t seconds = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), seconds);
    if (error == std::errc{} && end == text->data() + text->size()) return Seconds{seconds};
    const auto date = headers.find("date");
    const auto now = date ? parse_date(*date) : std::nullopt;
    const auto until = parse_date(*text);
    if (!now || !until) return std::nullopt;
    return Seconds{std::max<std::int64_t>(*until - *now, 0)};
}

class RemoteMint final : public MintClient {
public:
    RemoteMint(MintUrl url, http::Client& client, http::Reach reach)
        : url_{std::move(url)}, client_{client}, reach_{reach} {}

    Result<MintAnswer, MintFailure> call(MintMethod method, std::string_view path,
                                         std::string_view body) override {
        VERIFY(store::open_on_this_thread() == 0);
        http::ClientRequest request;
        request.method = method == MintMethod::Get ? http::Method::Get : http::Method::Post;
        request.url = url_.text() + std::string{path};  // Below a base path, if it has one.
        request.headers = {{"accept", "application/json"}};
        request.body = std::string{body};
        request.timeout = kTimeout;
        request.reach = reach_;
        request.response_bytes_max = kAnswerBytesMax;
        auto response = client_.call(request);
        if (!response) return fail(failure_of(response.error()));
        const auto wait = retry_after(response->headers);
        return MintAnswer{
            .status = response->status, .body = std::move(response->body), .retry_after = wait};
    }

private:
    MintFailure failure_of(const http::ClientError& error) const {
        log::warn("mint_call_failed", {{"mint", url_.text()}, {"why", error.detail}});
        switch (error.kind) {
            case http::ClientError::Kind::Invalid:
            case http::ClientError::Kind::NotSent:
                return MintFailure::NotSent;
            case http::ClientError::Kind::Ambiguous:
            case http::ClientError::Kind::TooLarge:
                return MintFailure::Ambiguous;
        }
        VERIFY(false);
        return MintFailure::Ambiguous;
    }

    const MintUrl url_;
    http::Client& client_;
    const http::Reach reach_;
};

}  // namespace

std::unique_ptr<MintClient> make_remote_mint(MintUrl url, http::Client& client, http::Reach reach) {
    return std::make_unique<RemoteMint>(std::move(url), client, reach);
}

}  // namespace nutgate::cashu
