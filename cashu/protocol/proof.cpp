#include "nutgate/cashu/proof.h"

#include <algorithm>
#include <bit>
#include <limits>

namespace nutgate::cashu {

namespace {

constexpr std::size_t kMintUrlBytesMax = 512;
constexpr std::string_view kEmbedded = "embedded";

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lower(std::string_view text) {
    std::string result{text};
    std::ranges::transform(result, result.begin(), [](char c) { return lower(c); });
    return result;
}

template <class Item>
std::optional<Amount> sum_of(const std::vector<Item>& items) {
    Amount total = 0;
    for (const Item& item : items) {
        const auto next = add(total, item.amount);
        if (!next) return std::nullopt;
        total = *next;
    }
    return total;
}

}  // namespace

std::optional<Amount> add(Amount a, Amount b) {
    Amount result = 0;
    if (__builtin_add_overflow(a, b, &result)) return std::nullopt;
    return result;
}

std::string_view to_text(Unit unit) {
    switch (unit) {
        case Unit::Sat:
            return "sat";
        case Unit::Msat:
            return "msat";
    }
    return "sat";
}

std::optional<Unit> parse_unit(std::string_view text) {
    if (text == "sat") return Unit::Sat;
    if (text == "msat") return Unit::Msat;
    return std::nullopt;
}

std::optional<nutgate::Msat> to_msat(Amount amount, Unit unit) {
    const auto limit = static_cast<Amount>(unit == Unit::Sat ? Sat::kMax : nutgate::Msat::kMax);
    if (amount > limit) return std::nullopt;
    const auto raw = static_cast<std::int64_t>(amount);
    return nutgate::Msat::from_raw(unit == Unit::Sat ? raw * 1000 : raw);
}

Amount to_amount_floor(nutgate::Msat msat, Unit unit) {
    if (unit == Unit::Sat) return static_cast<Amount>(to_sat_floor(msat).raw());
    return static_cast<Amount>(msat.raw());
}

std::optional<MintUrl> MintUrl::parse(std::string_view text) {
    if (text == kEmbedded) return embedded();
    if (text.size() > kMintUrlBytesMax) return std::nullopt;
    const bool printable =
        std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f' && c != '\\'; });
    const auto colon = text.find("://");
    if (!printable || colon == std::string_view::npos) return std::nullopt;
    const std::string scheme = lower(text.substr(0, colon));
    if (scheme != "http" && scheme != "https") return std::nullopt;

    std::string_view rest = text.substr(colon + 3);
    // A mint's address is a place, not a question: what follows '?' or '#' would be lost in use.
    if (rest.find_first_of("?#") != std::string_view::npos) return std::nullopt;
    while (rest.ends_with('/')) rest.remove_suffix(1);
    const auto slash = rest.find('/');
    const std::string_view path = slash == std::string_view::npos ? "" : rest.substr(slash);
    std::string authority = lower(rest.substr(0, slash));
    // "https://mint.example@evil.example" would be read as the one and be the other.
    if (authority.empty() || authority.find('@') != std::string::npos) return std::nullopt;
    const std::string_view default_port = scheme == "https" ? ":443" : ":80";
    if (authority.ends_with(default_port)) authority.resize(authority.size() - default_port.size());
    if (authority.empty() || authority.starts_with(':')) return std::nullopt;
    return MintUrl{scheme + "://" + authority + std::string{path}};
}

MintUrl MintUrl::embedded() { return MintUrl{std::string{kEmbedded}}; }
bool MintUrl::is_embedded() const { return text_ == kEmbedded; }

std::optional<Amount> sum(const std::vector<Proof>& proofs) { return sum_of(proofs); }
std::optional<Amount> sum(const std::vector<BlindedMessage>& outputs) { return sum_of(outputs); }

Amount input_fee(const std::vector<Proof>& inputs,
                 const std::map<KeysetId, std::uint64_t>& ppk_of) {
    __extension__ using Wide = unsigned __int128;
    Wide total = 0;
    for (const Proof& input : inputs) {
        const auto ppk = ppk_of.find(input.id);
        VERIFY(ppk != ppk_of.end());
        total += ppk->second;
    }
    // A foreign mint may claim any fee; one that fits no amount is more than anybody has.
    return static_cast<Amount>(
        std::min<Wide>((total + 999) / 1000, std::numeric_limits<Amount>::max()));
}

std::vector<Amount> split(Amount amount) {
    std::vector<Amount> result;
    while (amount != 0) {
        result.push_back(std::bit_floor(amount));
        amount -= result.back();
    }
    return result;
}

std::size_t blank_outputs(Amount most) {
    // ceil(log2(most)): what is below 2^n needs n powers of two at most, and 2^n itself only one.
    if (most == 0) return 0;
    return std::max<std::size_t>(1, static_cast<std::size_t>(std::bit_width(most - 1)));
}

}  // namespace nutgate::cashu
