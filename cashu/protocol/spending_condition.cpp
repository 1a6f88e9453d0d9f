#include "nutgate/cashu/spending_condition.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <set>

#include "nutgate/base/json_depth.h"
#include "nutgate/cashu/token.h"

namespace nutgate::cashu {

namespace {

using Json = nlohmann::json;
using Fault = ConditionFault;
using Tag = std::vector<std::string>;

constexpr std::string_view kP2pk = "P2PK";
constexpr std::string_view kHtlc = "HTLC";

template <class T>
using Read = Result<T, Fault>;

// JSON lets a name come twice, and every reader makes something else of it.
Read<Json> parse_unambiguous(std::string_view text) {
    if (nests_too_deep(text)) return fail(Fault::Malformed);
    std::vector<std::set<std::string>> names;  // Of the objects that are open.
    bool is_ambiguous = false;
    const auto watch = [&](int, Json::parse_event_t event, Json& parsed) {
        if (event == Json::parse_event_t::object_start) {
            names.emplace_back();
        } else if (event == Json::parse_event_t::object_end) {
            names.pop_back();
        } else if (event == Json::parse_event_t::key) {
            is_ambiguous |= !names.back().insert(parsed.get<std::string>()).second;
        }
        return true;
    };
    Json json = Json::parse(text, watch, false);
    if (json.is_discarded()) return fail(Fault::Malformed);
    if (is_ambiguous) return fail(Fault::DuplicateTag);
    return json;
}

Read<std::vector<Tag>> read_tags(const Json& fields) {
    std::vector<Tag> tags;
    const auto found = fields.find("tags");
    if (found == fields.end() || found->is_null()) return tags;
    if (!found->is_array()) return fail(Fault::Malformed);
    for (const Json& item : *found) {
        if (!item.is_array() || item.empty()) return fail(Fault::Malformed);
        Tag& tag = tags.emplace_back();
        for (const Json& part : item) {
            if (!part.is_string() || part.get_ref<const std::string&>().empty()) {
                return fail(Fault::Malformed);
            }
            tag.push_back(part.get<std::string>());
        }
        if (std::ranges::count(tags, tag[0], [](const Tag& other) { return other[0]; }) > 1) {
            return fail(Fault::DuplicateTag);
        }
    }
    return tags;
}

Read<LockTerms> read_terms(std::string_view secret) {
    if (secret.size() > kSecretBytesMax) return fail(Fault::Malformed);
    TRY(const Json json, parse_unambiguous(secret));
    if (!json.is_array() || json.size() != 2 || !json[0].is_string() || !json[1].is_object()) {
        return fail(Fault::Malformed);
    }
    const Json& fields = json[1];
    for (const char* name : {"nonce", "data"}) {
        const auto found = fields.find(name);
        if (found == fields.end() || !found->is_string()) return fail(Fault::Malformed);
    }
    TRY(auto tags, read_tags(fields));
    return LockTerms{json[0].get<std::string>(), fields["data"].get<std::string>(),
                     std::move(tags)};
}

const Tag* find(const std::vector<Tag>& tags, std::string_view name) {
    const auto found = std::ranges::find(tags, name, [](const Tag& tag) { return tag[0]; });
    return found == tags.end() ? nullptr : &*found;
}

// The value of a tag that has exactly one.
Read<std::optional<std::string>> single(const std::vector<Tag>& tags, std::string_view name) {
    const Tag* const tag = find(tags, name);
    if (tag == nullptr) return std::optional<std::string>{};
    if (tag->size() != 2) return fail(Fault::Malformed);
    return std::optional{(*tag)[1]};
}

Read<std::vector<crypto::Point>> keys_of(std::span<const std::string> texts) {
    std::vector<crypto::Point> keys;
    for (const std::string& text : texts) {
        const auto key = crypto::Point::from_hex(text);
        if (!key) return fail(Fault::KeyInvalid);
        const auto is_same = [&](const crypto::Point& other) {
            return other.x_only() == key->x_only();
        };
        if (std::ranges::any_of(keys, is_same)) return fail(Fault::DuplicateKey);
        keys.push_back(*key);
    }
    return keys;
}

std::optional<std::int64_t> number(const std::string& digits) {
    std::int64_t value = 0;
    const char* const end = digits.data() + digits.size();
    const auto [stop, failure] = std::from_chars(digits.data(), end, value);
    if (failure != std::errc{} || stop != end || digits.starts_with('-')) return std::nullopt;
    return value;
}

Read<Pathway> pathway_of(std::vector<crypto::Point> keys, const std::vector<Tag>& tags,
                         std::string_view count_name) {
    TRY(const auto text, single(tags, count_name));
    std::size_t needed = keys.empty() ? 0 : 1;
    if (text) {
        const auto count = number(*text);
        if (!count || *count < 1 || static_cast<std::uint64_t>(*count) > keys.size()) {
            return fail(Fault::SignatureCount);
        }
        needed = static_cast<std::size_t>(*count);
    }
    return Pathway{std::move(keys), needed};
}

// The values of a tag that lists keys, behind `first`. A list of nothing could be taken for no list
// or for one that nobody is on.
Read<std::vector<std::string>> listed(const std::vector<Tag>& tags, std::string_view name,
                                      std::vector<std::string> first) {
    const Tag* const tag = find(tags, name);
    if (tag == nullptr) return first;
    if (tag->size() < 2) return fail(Fault::Malformed);
    first.insert(first.end(), tag->begin() + 1, tag->end());
    return first;
}

Read<void> read_pathways(SpendingCondition& condition) {
    const LockTerms& terms = condition.terms;
    std::vector<std::string> first;
    if (condition.kind == LockKind::P2pk) first.push_back(terms.data);
    TRY(const auto main, listed(terms.tags, "pubkeys", std::move(first)));
    TRY(auto main_keys, keys_of(main));
    TRY(condition.main, pathway_of(std::move(main_keys), terms.tags, "n_sigs"));
    TRY(const auto refund, listed(terms.tags, "refund", {}));
    TRY(auto refund_keys, keys_of(refund));
    TRY(auto pathway, pathway_of(std::move(refund_keys), terms.tags, "n_sigs_refund"));
    if (!pathway.keys.empty()) condition.refund = std::move(pathway);
    return {};
}

Read<SpendingCondition> condition_of(LockTerms terms) {
    SpendingCondition condition;
    condition.terms = std::move(terms);
    const auto& tags = condition.terms.tags;
    if (condition.terms.kind == kHtlc) {
        condition.kind = LockKind::Htlc;
        condition.hash = array_from_hex<32>(condition.terms.data);
        if (!condition.hash) return fail(Fault::HashInvalid);
    } else if (condition.terms.kind != kP2pk) {
        return fail(Fault::UnknownKind);
    }
    TRY(const auto sigflag, single(tags, "sigflag"));
    if (sigflag == "SIG_ALL") {
        condition.sigflag = SigFlag::All;
    } else if (sigflag && *sigflag != "SIG_INPUTS") {
        return fail(Fault::UnknownSigFlag);
    }
    TRY(const auto locktime, single(tags, "locktime"));
    if (locktime) condition.locktime = number(*locktime);
    condition.locktime_unreadable = locktime && !condition.locktime;
    TRY_VOID(read_pathways(condition));
    return condition;
}

}  // namespace

Result<std::optional<SpendingCondition>, ConditionFault> parse_condition(std::string_view secret) {
    const auto first = secret.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos || secret[first] != '[') {
        return std::optional<SpendingCondition>{};
    }
    TRY(auto terms, read_terms(secret));
    TRY(auto condition, condition_of(std::move(terms)));
    return std::optional{std::move(condition)};
}

LockTerms lock_to(const crypto::Point& key) { return {std::string{kP2pk}, key.hex(), {}}; }

std::string write_condition(const LockTerms& terms, std::string_view nonce) {
    nlohmann::ordered_json fields{{"nonce", nonce}, {"data", terms.data}};
    if (!terms.tags.empty()) fields["tags"] = terms.tags;
    const auto secret = nlohmann::ordered_json::array({terms.kind, std::move(fields)});
    return secret.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string write_condition(const LockTerms& terms, crypto::Random& random) {
    return write_condition(terms, to_hex(random.bytes<32>()));
}

bool is_locked_as(std::string_view secret, const LockTerms& terms) {
    const auto found = parse_condition(secret);
    const auto asked = parse_condition(write_condition(terms, ""));
    if (!found || !*found || !asked || !*asked) return false;
    const SpendingCondition& condition = **found;
    const SpendingCondition& wanted = **asked;
    return condition.kind == wanted.kind && condition.sigflag == wanted.sigflag &&
           condition.hash == wanted.hash && condition.main == wanted.main &&
           condition.refund == wanted.refund && condition.locktime == wanted.locktime &&
           condition.locktime_unreadable == wanted.locktime_unreadable;
}

}  // namespace nutgate::cashu
