// From a method and a path to the route that takes it. Filled before the server starts, constant
// after that, so read from all threads without a lock.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "nutgate/http/message.h"
#include "nutgate/http/server.h"

namespace nutgate::http {

struct Endpoint {
    Route route;
    AsyncHandler handler;  // One of the two is set.
    BlockingHandler blocking;
    std::vector<std::string> segments;  // Of the pattern.
};

class Router {
public:
    void add(Endpoint endpoint);

    // The endpoint for the request, whose path_values are then set. HEAD is taken by a route of
    // GET. A segment is decoded by itself, so an encoded slash never makes two of one.
    const Endpoint* find(Request& request) const;

    // For Allow: the methods of all routes that take this path, "GET, HEAD, OPTIONS". Empty: none.
    std::string methods_of(const Request& request) const;

private:
    using Values = std::vector<std::pair<std::string, std::string>>;
    static bool matches(const Endpoint& endpoint, const std::vector<std::string>& segments,
                        Values& values);

    std::vector<Endpoint> endpoints_;
    // Of patterns without "{": the usual case, found without splitting.
    std::unordered_map<std::string, std::vector<std::size_t>> plain_;
};

}  // namespace nutgate::http
