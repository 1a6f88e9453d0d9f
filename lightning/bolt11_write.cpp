#include <algorithm>
#include <string>

#include "bolt11_format.h"
#include "nutgate/base/bech32.h"
#include "nutgate/base/verify.h"
#include "nutgate/crypto/signature.h"
#include "nutgate/lightning/invoice.h"
#include "utf8.h"

namespace nutgate {
namespace {

using namespace bolt11;

// The shortest way to say it, as BOLT11 wants.
std::string amount_text(Msat amount) {
    const auto whole = [&](Msat unit) { return amount.raw() % unit.raw() == 0; };
    const auto count = [&](Msat unit) {
        return std::to_string(amount.raw() / unit.raw());  // style: a count of units, no money.
    };
    if (whole(kBitcoin)) return count(kBitcoin);
    for (const auto& multiplier : kMultipliers) {
        if (whole(multiplier.unit)) return count(multiplier.unit) + multiplier.letter;
    }
    return std::to_string(amount.raw()) + '0' + kPico;
}

// At least `size` groups, the most significant first.
Groups number_groups(std::uint64_t number, std::size_t size = 1) {
    Groups groups;
    for (; number > 0 || groups.size() < size; number /= 32) {
        groups.push_back(static_cast<std::uint8_t>(number % 32));
    }
    std::ranges::reverse(groups);
    return groups;
}

Groups feature_groups() {
    constexpr auto kVariableOnion = static_cast<std::size_t>(Feature::VariableOnion);
    constexpr auto kPaymentSecret = static_cast<std::size_t>(Feature::PaymentSecret);
    constexpr auto kMultiPartOptional = static_cast<std::size_t>(Feature::MultiPart) + 1;
    return number_groups((1ULL << kVariableOnion) | (1ULL << kPaymentSecret) |
                         (1ULL << kMultiPartOptional));
}

void append_field(Groups& data, Tag tag, GroupsView field) {
    VERIFY(field.size() < 1024);
    data.push_back(static_cast<std::uint8_t>(tag));
    data.push_back(static_cast<std::uint8_t>(field.size() / 32));
    data.push_back(static_cast<std::uint8_t>(field.size() % 32));
    data.insert(data.end(), field.begin(), field.end());
}

}  // namespace

std::string write_bolt11(const Bolt11Order& order, const crypto::Scalar& node_key) {
    const std::int64_t created_at = to_unix_seconds(order.created_at);
    VERIFY(created_at >= 0 && static_cast<std::uint64_t>(created_at) <= kTimestampMax);
    VERIFY(order.expiry >= Seconds{0} && order.expiry <= kExpiryMax);
    VERIFY(!order.amount || *order.amount > Msat{});

    const auto* const network = std::ranges::find(kNetworks, order.network, &NetworkName::network);
    VERIFY(network != kNetworks.end());
    std::string prefix{kPrefix};
    prefix += network->name;
    if (order.amount) prefix += amount_text(*order.amount);

    Groups data = number_groups(static_cast<std::uint64_t>(created_at), kTimestampGroups);
    append_field(data, Tag::PaymentHash, to_groups(order.payment_hash.bytes()));
    append_field(data, Tag::PaymentSecret, to_groups(order.payment_secret));
    append_field(data, Tag::Description,
                 to_groups(as_bytes(cut_utf8(order.description, kFieldBytesMax))));
    append_field(data, Tag::Expiry,
                 number_groups(static_cast<std::uint64_t>(order.expiry.count())));
    append_field(data, Tag::MinFinalCltv, number_groups(order.min_final_cltv));
    append_field(data, Tag::Features, feature_groups());

    const auto signature = crypto::ecdsa_sign(node_key, signing_digest(prefix, data));
    Bytes bytes{signature.compact.begin(), signature.compact.end()};
    bytes.push_back(static_cast<std::byte>(signature.recovery_id));
    const auto groups = to_groups(bytes);
    data.insert(data.end(), groups.begin(), groups.end());
    return encode_bech32(prefix, data);
}

}  // namespace nutgate
