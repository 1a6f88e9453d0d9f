#include "mint_ways.h"

#include "nutgate/http/url.h"

namespace nutgate::app {

std::unique_ptr<cashu::MintClient> MintWays::connect(const cashu::MintUrl& url,
                                                     cashu::MintRole role) {
    const auto parsed = http::parse_url(url.text());
    if (!parsed) return nullptr;
    const bool here = http::is_loopback_host(parsed->host);
    if (roads_ == Roads::Play && !here) return nullptr;
    if (!parsed->tls && !here) return nullptr;
    const bool stranger_chose_it = role == cashu::MintRole::Guest && roads_ == Roads::Real;
    return cashu::make_remote_mint(
        url, client_, stranger_chose_it ? http::Reach::PublicOnly : http::Reach::Anywhere);
}

}  // namespace nutgate::app
