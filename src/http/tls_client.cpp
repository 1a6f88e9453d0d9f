#include "tls_client.h"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>

namespace nutgate::http {

NetError set_up(boost::asio::ssl::context& tls, const std::string& ca_file) {
    using boost::asio::ssl::context;
    NetError error;
    tls.set_options(context::default_workarounds | context::no_tlsv1 | context::no_tlsv1_1, error);
    if (!error && ca_file.empty()) tls.set_default_verify_paths(error);
    if (!error && !ca_file.empty()) tls.load_verify_file(ca_file, error);
    return error;
}

Task<NetError> shake_hands(TlsStream& stream, std::string host) {
    NetError error;
    stream.set_verify_mode(boost::asio::ssl::verify_peer, error);
    if (error) co_return error;
    stream.set_verify_callback(boost::asio::ssl::host_name_verification{host}, error);
    if (error) co_return error;
    NetError is_name;
    boost::asio::ip::make_address(host, is_name);
    // Server name indication, which takes names only. (The macro casts in the old style.)
    if (is_name && ::SSL_ctrl(stream.native_handle(), SSL_CTRL_SET_TLSEXT_HOSTNAME,
                              TLSEXT_NAMETYPE_host_name, host.data()) != 1) {
        co_return boost::asio::error::invalid_argument;
    }
    const auto [failure] =
        co_await stream.async_handshake(boost::asio::ssl::stream_base::client, as_result);
    co_return failure;
}

}  // namespace nutgate::http
