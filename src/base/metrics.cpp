#include "nutgate/base/metrics.h"

#include <array>
#include <atomic>
#include <cstddef>
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

// Which of a number's parts this thread counts in.
std::size_t part_of_this_thread(std::size_t parts) {
    static std::atomic<std::size_t> threads{0};
    thread_local const std::size_t mine = threads.fetch_add(1, std::memory_order_relaxed);
    return mine % parts;
}

// In as many parts as threads are likely to count at once, each on a cache line of its own: every
// request counts several times, and threads that share a line wait for each other.
class Parts {
public:
    void add(std::uint64_t n) {
        parts_[part_of_this_thread(parts_.size())].n.fetch_add(n, std::memory_order_relaxed);
    }
    std::uint64_t sum() const {
        std::uint64_t all = 0;
        for (const Part& part : parts_) all += part.n.load(std::memory_order_relaxed);
        return all;
    }

private:
    struct alignas(64) Part {
        std::atomic<std::uint64_t> n{0};
    };
    std::array<Part, 8> parts_;
};

// The library's own numbers are brought up to date when somebody reads the page.
class PartedCounter final : public Counter {
public:
    explicit PartedCounter(prometheus::Counter& shown) : shown_{shown} {}
    void add(std::uint64_t n) override { parts_.add(n); }
    std::uint64_t value() const override { return parts_.sum(); }
    void show() { shown_.Increment(static_cast<double>(value()) - shown_.Value()); }

private:
    Parts parts_;
    prometheus::Counter& shown_;
};

class AtomicGauge final : public Gauge {
public:
    explicit AtomicGauge(prometheus::Gauge& shown) : shown_{shown} {}
    void set(std::int64_t value) override { value_.store(value, std::memory_order_relaxed); }
    void add(std::int64_t difference) override {
        value_.fetch_add(difference, std::memory_order_relaxed);
    }
    std::int64_t value() const override { return value_.load(std::memory_order_relaxed); }
    void show() { shown_.Set(static_cast<double>(value())); }

private:
    std::atomic<std::int64_t> value_{0};
    prometheus::Gauge& shown_;
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
    std::map<Key, std::unique_ptr<PartedCounter>> counters GUARDED_BY(mutex);
    std::map<Key, std::unique_ptr<AtomicGauge>> gauges GUARDED_BY(mutex);
    std::map<Key, std::unique_ptr<Histogram>> histograms GUARDED_BY(mutex);
};

Registry::Registry() : impl_{std::make_unique<Impl>()} {}
Registry::~Registry() = default;

Counter& Registry::counter(const std::string& name, const std::string& what, const Labels& labels) {
    const Lock lock{impl_->mutex};
    auto& slot = impl_->counters[{name, labels}];
    if (!slot) {
        auto& family = prometheus::BuildCounter().Name(name).Help(what).Register(impl_->registry);
        slot = std::make_unique<PartedCounter>(family.Add(labels));
    }
    return *slot;
}

Gauge& Registry::gauge(const std::string& name, const std::string& what, const Labels& labels) {
    const Lock lock{impl_->mutex};
    auto& slot = impl_->gauges[{name, labels}];
    if (!slot) {
        auto& family = prometheus::BuildGauge().Name(name).Help(what).Register(impl_->registry);
        slot = std::make_unique<AtomicGauge>(family.Add(labels));
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
    const Lock lock{impl_->mutex};  // Two readers at once would each add what is new.
    for (const auto& [key, counter] : impl_->counters) counter->show();
    for (const auto& [key, gauge] : impl_->gauges) gauge->show();
    return prometheus::TextSerializer{}.Serialize(impl_->registry.Collect());
}

}  // namespace nutgate::metrics
