// What every TLS connection of ours to somebody else has in common: who is believed, and that the
// certificate is of the host that was asked for.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>

#include <string>

#include "net.h"

namespace nutgate::http {

using TlsStream = boost::asio::ssl::stream<Socket&>;

// TLS 1.2 and later; certificates from `ca_file`, or the system's if it is empty. Says what went
// wrong: then nobody would be believed.
NetError set_up(boost::asio::ssl::context& tls, const std::string& ca_file);

// Over a connected socket: names the host (SNI) and checks that the certificate does, too.
Task<NetError> shake_hands(TlsStream& stream, std::string host);

}  // namespace nutgate::http
