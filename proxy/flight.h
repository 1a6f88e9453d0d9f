// One request under way: what was set aside for it, what was metered of it, and its end, which
// comes exactly once however the request ends.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "elastic_hold.h"
#include "form_passage.h"
#include "nutgate/base/metrics.h"
#include "nutgate/proxy/meter.h"
#include "nutgate/proxy/models.h"
#include "nutgate/proxy/till.h"
#include "nutgate/proxy/usage_rows.h"
#include "order.h"
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
    metrics::Counter& stopped;
    metrics::Counter& retries;
};

class Flight {
public:
    // `slice` as of ElasticHold. `row`: what is known of its row by now, whose names these are.
    Flight(const Model& model, std::unique_ptr<const Order> order, TokenBounds bounds,
           std::int64_t slice, const Price& price, Draw draw, ModelMetrics& metrics,
           std::string provider, const UsageRow& row);
    // Cancelled: settles what was metered, if the upstream was called.
    ~Flight();
    Flight(const Flight&) = delete;
    Flight& operator=(const Flight&) = delete;

    const Model& model() const { return model_; }
    const Order& order() const { return *order_; }
    // Set where its form passes through while it is under way; it outlives the calls.
    FormPassage* passage() const { return passage_; }
    void set_passage(FormPassage* passage) { passage_ = passage; }
    ModelMetrics& metrics() { return metrics_; }
    // Of a stream: made when it is asked for.
    SseMeter& meter() {
        if (!meter_) {
            meter_ = std::make_unique<SseMeter>(meter_options());
        }
        return *meter_;
    }

    // From here on leaving costs what was metered, and something is metered from the start: the
    // upstream reads the prompt. Taken back only where it certainly read nothing. `name` is its
    // number in rows, `cost` what it takes for this, where that is known, and `price` what is
    // charged for it, where that is not the model's.
    void upstream_called(std::int64_t name, const std::optional<Price>& cost,
                         const std::optional<Price>& price) {
        called_ = true;
        row_.upstream = name;
        upstream_cost_ = cost;
        upstream_price_ = price;
    }
    void upstream_not_reached() { called_ = false; }
    // Of a form that passes through: it has all of it only now.
    void upstream_reached() { called_ = true; }

    // Whether what the meter has seen of a stream is covered by what is held, and if not, whether
    // it is after the books were asked: why not, where it is not.
    bool is_covered() { return hold_.holds_all() || hold_.covers(output_so_far()); }
    http::Task<std::optional<DrawRefusal::Why>> cover() { return hold_.stretch(output_so_far()); }

    enum class End { Complete, Cut };
    // Before a settlement of the same: where it costs more than is held, as when a model has
    // thought unseen, the rest of it is held as far as there is as much, and the bounds allow it.
    bool holds_all() const { return hold_.holds_all(); }
    http::Task<void> reach(End end, std::optional<UsageFields> usage, Delivered delivered);
    // Charges what `usage` says, or an estimate of what was delivered where it says too little.
    Receipt settle(End end, const std::optional<UsageFields>& usage, const Delivered& delivered);
    // The same, of what the meter saw of a stream.
    Receipt settle_stream(End end);
    // No answer, no charge.
    void let_go();

private:
    SseMeter::Options meter_options() const;
    std::int64_t output_so_far() const;
    struct Charge {
        std::optional<Cost> cost;  // Empty: more money than there is.
        const Price& price;
    };
    Charge charge_for(const Usage& usage) const;
    const UsageRow& row_of(const MeteredUsage& found, const Price& price);
    MeteredUsage tokens(End end, const std::optional<UsageFields>& usage,
                        const Delivered& delivered) const;
    MeteredUsage metered(End end, const std::optional<UsageFields>& usage,
                         const Delivered& delivered) const;

    const Model& model_;
    const std::unique_ptr<const Order> order_;
    const TokenBounds bounds_;
    const Price price_;  // By which money was held, and above which nothing is charged.
    ElasticHold hold_;
    ModelMetrics& metrics_;
    const std::string provider_;
    std::unique_ptr<SseMeter> meter_;
    UsageRow row_;
    std::optional<Price> upstream_cost_;
    std::optional<Price> upstream_price_;
    FormPassage* passage_ = nullptr;
    bool called_ = false;
    bool ended_ = false;
};

}  // namespace nutgate::proxy
