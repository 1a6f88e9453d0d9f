// A request that is paid for by itself, with a token in X-Cashu (NUT-24, routstr-contract 1.6).
// What it did not cost goes back with its answer, as a token of its own.
//
// What is wrong with a request that came whole is told before its token is touched. From its
// redemption on each outcome that the gateway tells, a refusal too, ends in change. What is not
// handed out so stays on the balance, and who has the token asks for it: where the client is gone,
// the change is not at hand in time, or the server itself refuses what is left of a body.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "nutgate/base/id.h"
#include "nutgate/base/metrics.h"
#include "nutgate/base/result.h"
#include "nutgate/http/error_envelope.h"
#include "nutgate/http/server.h"
#include "nutgate/proxy/endpoint.h"
#include "nutgate/proxy/gateway.h"

namespace nutgate::proxy {

// Whether a token that was refused with that is whole, and worth to be given back as it came.
bool leaves_token(const http::ApiError& refusal);

// Puts the change into a refusal: into its head and into its error.
void add_change(http::ApiError& refusal, const std::string& token);

// The client of such a request, as the rest of the gateway sees it. An answer that is charged when
// it is sent has the change in its head. A stream has it in an event of its own, behind the charge
// and before [DONE]: in a chunk without choices where chunks are what it is made of, which every
// client of such streams knows, since usage comes in one.
class PaidExchange final : public http::Exchange {
public:
    // All of them outlive it.
    PaidExchange(http::Exchange& client, Endpoint endpoint, TokenRedeemer& redeemer,
                 const KeyId& key, metrics::Counter& withheld)
        : client_{client},
          endpoint_{endpoint},
          redeemer_{redeemer},
          key_{key},
          withheld_{withheld} {}

    // Once nothing is held for the request. Empty: nothing that makes a token, or not at hand.
    http::Task<std::string> change();

    const http::Request& request() const override { return client_.request(); }
    bool has_whole_body() const override { return client_.has_whole_body(); }
    std::optional<std::uint64_t> body_bytes() const override { return client_.body_bytes(); }
    http::Task<Result<void, http::BodyFailure>> read_body(std::size_t bytes_min) override {
        return client_.read_body(bytes_min);
    }
    void shed_body() override { client_.shed_body(); }
    http::Task<bool> respond(http::Response response) override;
    http::Task<bool> begin(http::Response head_and_first_piece) override;
    http::Task<bool> write(std::string_view piece) override;
    http::Task<bool> end(std::string_view last_piece) override;
    http::Task<void> client_gone() override { return client_.client_gone(); }
    void on_client_gone(std::function<void()> gone) override {
        client_.on_client_gone(std::move(gone));
    }
    void set_alarm(Milliseconds delay, std::function<void()> ring) override {
        client_.set_alarm(delay, std::move(ring));
    }

private:
    http::Task<void> add_to(http::Headers& head);
    std::string_view held_back(std::string_view piece);
    std::string event_with(const std::string& token) const;

    http::Exchange& client_;
    const Endpoint endpoint_;
    TokenRedeemer& redeemer_;
    const KeyId key_;
    metrics::Counter& withheld_;
    bool is_stream_ = false;
    bool owes_done_ = false;  // A [DONE] was held back: nobody reads what stands behind it.
};

}  // namespace nutgate::proxy
