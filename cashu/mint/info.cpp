// What the mint says of itself. Only what is true: a wallet that believes a NUT uses it.
#include <algorithm>

#include "mint/impl.h"

namespace nutgate::cashu {

namespace {

std::string write(const std::vector<const MintKeyset*>& keysets) {
    std::vector<Keyset> described;
    for (const MintKeyset* keyset : keysets) described.push_back(keyset->described());
    return wire::write_keys(described);
}

}  // namespace

Answered Mint::Impl::keys() {
    auto active = keysets.all();
    std::erase_if(active, [](const MintKeyset* keyset) { return !keyset->active; });
    return write(active);
}

Answered Mint::Impl::keys_of(std::string_view id) {
    const auto parsed = KeysetId::parse(id);
    const MintKeyset* const keyset = parsed ? keysets.find(*parsed) : nullptr;
    if (keyset == nullptr) return fail(MintError{MintCode::KeysetUnknown, "unknown keyset"});
    return write({keyset});
}

Answered Mint::Impl::list_keysets() {
    std::vector<Keyset> described;
    for (const MintKeyset* keyset : keysets.all()) described.push_back(keyset->described());
    return wire::write_keysets(described);
}

Answered Mint::Impl::info() {
    wire::Info info;
    info.name = options.name;
    info.version = "Nutgate/" NUTGATE_VERSION;
    info.description = options.description;
    if (!options.url.empty()) info.urls.push_back(options.url);
    info.time = to_unix_seconds(clock.now());
    const bool makes_offers = offer_backend() != nullptr;
    for (const Unit unit : options.units) {
        const std::string text{to_text(unit)};
        info.mint_methods.push_back({"bolt11", text, 1, options.mint_amount_max, true});
        if (makes_offers) {
            info.mint_methods.push_back({"bolt12", text, 1, options.mint_amount_max, true});
        }
        info.melt_methods.push_back({"bolt11", text, 1, options.melt_amount_max, false});
    }
    info.mint_disabled = options.mint_disabled;
    info.melt_disabled = options.melt_disabled;
    info.supported = {7, 8, 9, 12, 20};
    info.cached_endpoints = {
        {"POST", "/v1/swap"}, {"POST", "/v1/mint/bolt11"}, {"POST", "/v1/melt/bolt11"}};
    if (makes_offers) info.cached_endpoints.push_back({"POST", "/v1/mint/bolt12"});
    info.max_array_length = std::min(options.inputs_max, options.outputs_max);
    return wire::write_info(info);
}

}  // namespace nutgate::cashu
