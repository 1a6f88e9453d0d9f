#include "router.h"

#include <algorithm>
#include <utility>

#include "nutgate/base/verify.h"

namespace nutgate::http {
namespace {

std::string_view raw_path(const Request& request) {
    const std::string_view target = request.target;
    return target.substr(0, target.find('?'));
}

std::vector<std::string> split(std::string_view path) {
    std::vector<std::string> segments;
    VERIFY(path.starts_with('/'));
    path.remove_prefix(1);
    for (;;) {
        const auto slash = path.find('/');
        segments.emplace_back(path.substr(0, slash));
        if (slash == std::string_view::npos) return segments;
        path.remove_prefix(slash + 1);
    }
}

std::vector<std::string> split_decoded(std::string_view path) {
    auto segments = split(path);
    for (auto& segment : segments) {
        // The whole path was decoded before, so its parts can be.
        if (auto decoded = percent_decode(segment, Encoding::Path)) segment = std::move(*decoded);
    }
    return segments;
}

bool takes(Method route, Method request) {
    return route == request || (route == Method::Get && request == Method::Head);
}

bool is_value(std::string_view segment) { return segment.starts_with('{'); }
bool is_rest(std::string_view segment) { return segment.ends_with("*}"); }

}  // namespace

void Router::add(Endpoint endpoint) {
    const std::string& pattern = endpoint.route.pattern;
    VERIFY(pattern.starts_with('/'));
    endpoint.segments = split(pattern);
    if (pattern.find('{') == std::string::npos) plain_[pattern].push_back(endpoints_.size());
    endpoints_.push_back(std::move(endpoint));
}

bool Router::matches(const Endpoint& endpoint, const std::vector<std::string>& segments,
                     Values& values) {
    const auto& pattern = endpoint.segments;
    values.clear();
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (i >= segments.size()) return false;
        if (!is_value(pattern[i])) {
            if (pattern[i] != segments[i]) return false;
            continue;
        }
        if (is_rest(pattern[i])) {
            std::string rest = segments[i];
            for (auto j = i + 1; j < segments.size(); ++j) rest += "/" + segments[j];
            values.emplace_back(pattern[i].substr(1, pattern[i].size() - 3), std::move(rest));
            return true;
        }
        if (segments[i].empty()) return false;
        values.emplace_back(pattern[i].substr(1, pattern[i].size() - 2), segments[i]);
    }
    return segments.size() == pattern.size();
}

const Endpoint* Router::find(Request& request) const {
    request.path_values.clear();
    if (request.path == "*") return nullptr;
    if (const auto plain = plain_.find(request.path);
        plain != plain_.end() && raw_path(request) == request.path) {
        const Endpoint* found = nullptr;
        for (const auto index : plain->second) {
            const Endpoint& endpoint = endpoints_[index];
            if (endpoint.route.method == request.method) return &endpoint;
            if (takes(endpoint.route.method, request.method)) found = &endpoint;
        }
        if (found != nullptr) return found;
    }
    const auto segments = split_decoded(raw_path(request));
    for (const auto& endpoint : endpoints_) {
        if (takes(endpoint.route.method, request.method) &&
            matches(endpoint, segments, request.path_values)) {
            return &endpoint;
        }
    }
    request.path_values.clear();
    return nullptr;
}

std::string Router::methods_of(const Request& request) const {
    std::vector<std::string_view> methods;
    const auto note = [&methods](Method method) {
        const auto text = to_text(method);
        if (std::find(methods.begin(), methods.end(), text) == methods.end()) {
            methods.push_back(text);
        }
    };
    if (request.path != "*") {
        const auto segments = split_decoded(raw_path(request));
        Values values;
        for (const auto& endpoint : endpoints_) {
            if (!matches(endpoint, segments, values)) continue;
            note(endpoint.route.method);
            if (endpoint.route.method == Method::Get) note(Method::Head);
        }
        if (methods.empty()) return {};
    }
    note(Method::Options);
    std::string text;
    for (const auto method : methods) {
        if (!text.empty()) text += ", ";
        text += method;
    }
    return text;
}

}  // namespace nutgate::http
