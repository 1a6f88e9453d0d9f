// One request under way: what was set aside for it, what was metered of it, and its end, which
// comes exactly once however the request ends.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "chat_request.h"
#include "nutgate/base/metrics.h"
#include "nutgate/proxy/meter.h"
#include "nutgate/proxy/models.h"
#include "nutgate/proxy/till.h"
#include "report.h"

namespace nutgate::proxy {

// Of one model. Labels come from the configuration.
struct ModelMetrics {
    ModelMetrics(metrics::Registry& registry, const std::string& model);

    metrics::Counter& requests;
    metrics::Counter& charged_msat;
    metrics::Counter& uncharged;
    metrics::Counter& usage_missing;
    metrics::Counter& clients_gone;
    metrics::Counter& loss_msat;
    metrics::Counter& frames_unseen;
};

class Flight {
public:
    Flight(const Model& model, ChatRequest request, TokenBounds bounds, Draw draw,
           ModelMetrics& metrics, std::string provider);
    // Cancelled: settles what was metered, if the upstream was called.
    ~Flight();
    Flight(const Flight&) = delete;
    Flight& operator=(const Flight&) = delete;

    const Model& model() const { return model_; }
    const ChatRequest& request() const { return request_; }
    ModelMetrics& metrics() { return metrics_; }
    SseMeter& meter() { return meter_; }

    // From here on leaving costs what was metered, and something is metered from the start: the
    // upstream reads the prompt. Taken back only where it certainly read nothing.
    void upstream_called() { called_ = true; }
    void upstream_not_reached() { called_ = false; }

    enum class End { Complete, Cut };
    // Charges what `usage` says, or an estimate of what was delivered where it says too little.
    Receipt settle(End end, const std::optional<UsageFields>& usage, const Delivered& delivered);
    // The same, of what the meter saw of a stream.
    Receipt settle_stream(End end) { return settle(end, meter_.usage(), meter_.delivered()); }
    // No answer, no charge.
    void let_go();

private:
    MeteredUsage metered(End end, const std::optional<UsageFields>& usage,
                         const Delivered& delivered) const;

    const Model& model_;
    const ChatRequest request_;
    const TokenBounds bounds_;
    Draw draw_;
    ModelMetrics& metrics_;
    const std::string provider_;
    SseMeter meter_{SseMeter::Options{}};
    bool called_ = false;
    bool ended_ = false;
};

}  // namespace nutgate::proxy
