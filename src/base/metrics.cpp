#include "nutgate/base/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <utility>

#include "nutgate/base/sync.h"

namespace nutgate::metrics {
namespace {

class PrometheusCounter final : public Counter {
public:
    explicit PrometheusCounter(prometheus::Counter& counter) : counter_{counter} {}
    void add(std::uint64_t n) override { counter_.Increment(static_cast<double>(n)); }
    std::uint64_t value() const override { return static_cast<std::uint64_t>(counter_.Value()); }

private:
    prometheus::Counter& counter_;
};

class PrometheusGauge final : public Gauge {
public:
    explicit PrometheusGauge(prometheus::Gauge& gauge) : gauge_{gauge} {}
    void set(std::int64_t value) override { gauge_.Set(static_cast<double>(value)); }
    void add(std::int64_t difference) override {
        gauge_.Increment(static_cast<double>(difference));
    }
    std::int64_t value() const override { return static_cast<std::int64_t>(gauge_.Value()); }

private:
    prometheus::Gauge& gauge_;
};

class PrometheusHistogram final : public Histogram {
public:
    explicit PrometheusHistogram(prometheus::Histogram& histogram) : histogram_{histogram} {}
    void observe_microseconds(std::uint64_t value) override {
        histogram_.Observe(static_cast<double>(value) / 1e6);
    }

private:
    prometheus::Histogram& histogram_;
};

// Seconds: from 50 microseconds to one minute, about three to a decade.
const prometheus::Histogram::BucketBoundaries& buckets() {
    static const prometheus::Histogram::BucketBoundaries kBoundaries{
        0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05,
        0.1,     0.2,    0.5,    1,      2,     5,     10,    20,   60};
    return kBoundaries;
}

}  // namespace

struct Registry::Impl {
    using Key = std::pair<std::string, Labels>;

    prometheus::Registry registry;
    Mutex mutex;
    std::map<Key, std::unique_ptr<Counter>> counters GUARDED_BY(mutex);
    std::map<Key, std::unique_ptr<Gauge>> gauges GUARDED_BY(mutex);
    std::map<Key, std::unique_ptr<Histogram>> histograms GUARDED_BY(mutex);
};

Registry::Registry() : impl_{std::make_unique<Impl>()} {}
Registry::~Registry() = default;

Counter& Registry::counter(const std::string& name, const std::string& what, const Labels& labels) {
    const Lock lock{impl_->mutex};
    auto& slot = impl_->counters[{name, labels}];
    if (!slot) {
        auto& family = prometheus::BuildCounter().Name(name).Help(what).Register(impl_->registry);
        slot = std::make_unique<PrometheusCounter>(family.Add(labels));
    }
    return *slot;
}

Gauge& Registry::gauge(const std::string& name, const std::string& what, const Labels& labels) {
    const Lock lock{impl_->mutex};
    auto& slot = impl_->gauges[{name, labels}];
    if (!slot) {
        auto& family = prometheus::BuildGauge().Name(name).Help(what).Register(impl_->registry);
        slot = std::make_unique<PrometheusGauge>(family.Add(labels));
    }
    return *slot;
}

Histogram& Registry::histogram(const std::string& name, const std::string& what,
                               const Labels& labels) {
    const Lock lock{impl_->mutex};
    auto& slot = impl_->histograms[{name, labels}];
    if (!slot) {
        auto& family = prometheus::BuildHistogram().Name(name).Help(what).Register(impl_->registry);
        slot = std::make_unique<PrometheusHistogram>(family.Add(labels, buckets()));
    }
    return *slot;
}

std::string Registry::text() const {
    return prometheus::TextSerializer{}.Serialize(impl_->registry.Collect());
}

}  // namespace nutgate::metrics
