#include <nlohmann/json.hpp>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "nutgate/base/log.h"
#include "src/app/commands.h"
#include "src/app/node.h"
#include "src/app/quick_start.h"
#include "support/raw_socket.h"
#include "support/temp_dir.h"

namespace {

using namespace nutgate;
using nlohmann::json;

struct Answer {
    int status = 0;
    std::string head;
    std::string body;
};

struct Target {
    std::string_view method;
    std::string_view path;
};
constexpr std::array kTargets{
    Target{"POST", "/v1/chat/completions"},
    Target{"POST", "/v1/completions"},
    Target{"POST", "/v1/embeddings"},
    Target{"GET", "/v1/models"},
    Target{"GET", "/v1/info"},
    Target{"GET", "/v1/balance"},
    Target{"GET", "/v1/balance/info"},
    Target{"GET", "/v1/balance/create"},
    Target{"POST", "/v1/balance/create"},
    Target{"POST", "/v1/balance/topup"},
    Target{"POST", "/v1/balance/refund"},
    Target{"GET", "/v1/balance/history"},
    Target{"POST", "/v1/balance/child-key"},
    Target{"POST", "/v1/balance/child-key/reset"},
    Target{"POST", "/lightning/invoice"},
    Target{"POST", "/lightning/recover"},
    Target{"GET", "/lightning/invoice/"},
    Target{"GET", "/qr.svg"},
    Target{"GET", "/"},
    Target{"GET", "/mint/v1/keys"},
    Target{"GET", "/mint/v1/keysets"},
    Target{"GET", "/mint/v1/info"},
    Target{"POST", "/mint/v1/swap"},
    Target{"POST", "/mint/v1/mint/quote/bolt11"},
    Target{"POST", "/mint/v1/mint/bolt11"},
    Target{"POST", "/mint/v1/melt/quote/bolt11"},
    Target{"POST", "/mint/v1/melt/bolt11"},
    Target{"POST", "/mint/v1/checkstate"},
    Target{"POST", "/mint/v1/restore"},
    Target{"GET", "/mint/v1/mint/quote/bolt11/"},
    Target{"GET", "/mint/v1/melt/quote/bolt11/"},
    Target{"POST", "/admin/wallet/send"},
    Target{"GET", "/metrics"},
};

class DevNode {
public:
    DevNode() : config_{make_config(folder_.path())} {
        log::set_level(log::Level::Error);
        crypto::SystemRandom random;
        auto owned = app::DataDir::own(config_.data_dir, random);
        VERIFY(owned.has_value());
        const auto token = owned->operator_token();
        VERIFY(token.has_value());
        operator_token_ = as_text(token->reveal());
        auto node = app::Node::start(config_, *std::move(owned), {});
        VERIFY(node.has_value());
        node_ = *std::move(node);
        key_ = paid_key();
        spare_ = paid_key();
    }

    // To the operator's face if `path` is one of its.
    Answer ask(std::string_view method, std::string_view path, std::string_view headers,
               std::string_view body) {
        const bool is_operators = path.starts_with("/admin/") || path.starts_with("/metrics");
        const auto port = is_operators ? node_->operator_port() : node_->public_port();
        auto socket = test::RawSocket::connect(port);
        std::string request{method};
        request.append(" ").append(path).append(" HTTP/1.1\r\nHost: 127.0.0.1:");
        request.append(std::to_string(port)).append("\r\nConnection: close\r\n").append(headers);
        request.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n\r\n");
        VERIFY(socket.send(request.append(body)));
        const std::string answer = socket.read_to_end();
        VERIFY(socket.was_closed());
        VERIFY(answer.starts_with("HTTP/1.1 ") && answer.size() > 12);
        const auto end = answer.find("\r\n\r\n");
        VERIFY(end != std::string::npos);
        return {std::stoi(answer.substr(9, 3)), answer.substr(0, end), answer.substr(end + 4)};
    }

    std::string credential(std::uint8_t which, std::string_view first_line) const {
        switch (which % 6) {
            case 0:
                return "";
            case 1:
                return "Authorization: Bearer " + key_ + "\r\n";
            case 2:
                return "Authorization: Bearer " + spare_ + "\r\n";
            case 3:
                return "Authorization: Bearer " + operator_token_ + "\r\n";
            case 4:
                return "Authorization: Bearer " + std::string{first_line} + "\r\n";
            default:
                return "X-Cashu: " + std::string{first_line} + "\r\n";
        }
    }

    void audit() const { VERIFY(app::audit(config_.data_dir, true, app::Output::Json) == 0); }

private:
    static app::Config make_config(const std::filesystem::path& folder) {
        app::Config config;
        config.dev = true;
        app::apply_dev_defaults(config);
        config.data_dir = folder.string();
        const auto face = app::resolve_port("127.0.0.1:0");
        const auto operators = app::resolve_port("127.0.0.1:0");
        VERIFY(face.has_value() && operators.has_value());
        config.public_listen = *face;
        config.operator_listen = *operators;
        config.simulated_settle_ms = 0;
        config.demo_token_ms = 0;
        config.data_threads = 1;
        config.control_threads = 1;
        config.open_invoices_max = 1'000'000;
        for (auto* limit :
             {&config.invoices_per_client_per_minute, &config.creates_per_client_per_minute,
              &config.status_per_client_per_minute}) {
            *limit = 1'000'000'000;
        }
        return config;
    }

    std::string paid_key() {
        const auto made = ask("POST", "/lightning/invoice", "", R"({"amount_sats":1000000})");
        VERIFY(made.status == 200);
        const std::string id = json::parse(made.body)["invoice_id"];
        for (;;) {
            const auto state = ask("GET", "/lightning/invoice/" + id + "/status", "", "");
            VERIFY(state.status == 200);
            const json status = json::parse(state.body);
            if (status["status"] == "paid") return status["api_key"];
        }
    }

    test::TempDir folder_;
    const app::Config config_;
    std::string operator_token_;
    std::unique_ptr<app::Node> node_;
    std::string key_;
    std::string spare_;
};

}  // namespace

// Any body, query and credential, on any route of either face, has an answer of the API's own; none
// is a failure of the node, and afterwards the books are as sound as before. The first byte names
// the route, the second the credential.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2 || size > 16'384) return 0;
    static DevNode node;
    const Target& target = kTargets[data[0] % kTargets.size()];
    const std::string_view rest{reinterpret_cast<const char*>(data) + 2, size - 2};
    const auto first_line = rest.substr(0, rest.find('\n'));
    if (!http::is_header_value(first_line) && data[1] % 6 >= 4) return 0;

    const bool has_body = target.method == "POST";
    std::string path{target.path};
    if (!has_body && !rest.empty()) {
        // Both of a path that ends in a value, and of a query.
        path += path.ends_with("/") && path.size() > 1 ? http::percent_encode(rest) + "/status"
                                                       : "?" + http::percent_encode(rest);
    }
    const auto answer = node.ask(target.method, path, node.credential(data[1], first_line),
                                 has_body ? rest : std::string_view{});
    VERIFY(answer.status >= 200 && answer.status != 500 && answer.status < 600);
    if (answer.head.find("application/json") != std::string::npos) {
        VERIFY(json::accept(answer.body));
    }
    static std::uint64_t asked = 0;
    if (asked++ % 1024 == 0) node.audit();
    return 0;
}
