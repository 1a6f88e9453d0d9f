// Counters, gauges and histograms, in the text format that Prometheus reads.
//
// Metrics are handles: registered once at start, cheap to bump from any thread. Labels are fixed at
// registration and come from the configuration, never from a request, so their number is bounded.
// Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace nutgate::metrics {

using Labels = std::map<std::string, std::string>;

class Counter {
public:
    virtual ~Counter() = default;
    virtual void add(std::uint64_t n = 1) = 0;
    virtual std::uint64_t value() const = 0;
};

class Gauge {
public:
    virtual ~Gauge() = default;
    virtual void set(std::int64_t value) = 0;
    virtual void add(std::int64_t difference) = 0;
    virtual std::int64_t value() const = 0;
};

class Histogram {
public:
    virtual ~Histogram() = default;
    virtual void observe_microseconds(std::uint64_t value) = 0;
};

class Registry {
public:
    Registry();
    ~Registry();
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    // Asking again for the same name and labels gives the same metric. It lives as long as this.
    Counter& counter(const std::string& name, const std::string& what, const Labels& labels = {});
    Gauge& gauge(const std::string& name, const std::string& what, const Labels& labels = {});
    // Buckets in seconds on the page, from 50 µs to 60 s.
    Histogram& histogram(const std::string& name, const std::string& what,
                         const Labels& labels = {});

    // The page of /metrics.
    std::string text() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace nutgate::metrics
