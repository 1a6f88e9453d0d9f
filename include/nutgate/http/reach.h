// Whom an outgoing call may reach. A URL that a stranger chose (in a token, a payment request, a
// Lightning address) may name a machine that only we can talk to: this host, the operator's
// network, a cloud's metadata service. Such calls say PublicOnly: the host is resolved by us, all
// its addresses are checked, and the connection goes to a checked address, so that a second answer
// of the name server changes nothing. Names in certificates are compared with the URL's all along.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nutgate::http {

enum class Reach {
    Anywhere,    // Of URLs that the operator configured.
    PublicOnly,  // Of URLs that somebody else chose.
};

// True of addresses that the internet routes to one host. False of loopback, private, link-local,
// shared (100.64/10), multicast, unspecified, documentation, benchmark, reserved and tunnel
// ranges, of IPv4 within IPv6 (mapped, NAT64) that is one of these, and of what is no address in
// its usual form: a number, hex, octal, a short form, a zone.
bool is_public_address(std::string_view address);

// The name service. Thread-safe.
class Resolver {
public:
    virtual ~Resolver() = default;
    // All addresses of that name, as text, in the order in which to try them; none if there are
    // none. Blocks for as long as it takes: callers leave it on a thread of its own.
    virtual std::vector<std::string> resolve(const std::string& host) = 0;
};

// What a test puts in the place of the system's name service, and of the rule above: a server on
// loopback is the only one it has.
struct ReachRules {
    Resolver* resolver = nullptr;  // Null: the system's. Outlives its user.
    bool (*is_public)(std::string_view address) = &is_public_address;
};

}  // namespace nutgate::http
