// An open-loop load generator: requests are due at a fixed rate, whether or not the server keeps
// up, and every latency counts from when its request was due. A request that is due while all
// connections are busy waits for one, and that wait is the server's: so no pause of it hides the
// requests that would have met it (coordinated omission). Prints one JSON object.
#include <cstdint>
#include <cstdio>
#include <deque>
#include <optional>
#include <vector>

#include "exchanges.h"

namespace nutgate::bench {
namespace {

// Requests that came first fill caches and pools; they are answered, and not part of the figures.
constexpr std::chrono::milliseconds kWarmUp{300};

constexpr std::chrono::milliseconds kLead{30};  // Until the first is due.

class Arrivals {
public:
    explicit Arrivals(const Arguments& arguments)
        : exchanges_{arguments},
          interval_{SteadyClock::duration{
              static_cast<std::int64_t>(1e9 / arguments.number("--per-second", 100))}},
          count_{static_cast<std::uint64_t>(arguments.number("--per-second", 100) *
                                            arguments.number("--seconds", 3))},
          under_way_(exchanges_.size()) {}

    int run() {
        for (std::size_t i = 0; i < exchanges_.size(); ++i) {
            if (!exchanges_.open(i)) return 1;
            free_.push_back(i);
        }
        began_ = SteadyClock::now();
        bool heard = true;
        while (heard && errors_ < kErrorsMax && (arrived_ < count_ || exchanges_.busy() > 0)) {
            let_arrive();
            const Instant next = arrived_ < count_ ? due(arrived_) : Instant::max();
            heard = exchanges_.wait(next, [this](std::size_t index) { serve(index); });
        }
        errors_ += exchanges_.busy() + waiting_.size();
        print();
        return errors_ == 0 ? 0 : 1;
    }

private:
    struct UnderWay {
        Instant due;
        bool begun = false;  // Its first frame has come.
    };

    Instant due(std::uint64_t number) const {
        return began_ + kLead + static_cast<std::int64_t>(number) * interval_;
    }
    bool counts(Instant due) const { return due - began_ >= kWarmUp; }

    void let_arrive() {
        const Instant now = SteadyClock::now();
        for (; arrived_ < count_ && due(arrived_) <= now; ++arrived_) {
            if (free_.empty()) {
                ++queued_;
                waiting_.push_back(due(arrived_));
                continue;
            }
            const std::size_t index = free_.back();
            free_.pop_back();
            // This generator's own lateness, which is in every latency.
            if (counts(due(arrived_))) {
                late_us_.push_back(microseconds_between(due(arrived_), SteadyClock::now()));
            }
            begin(index, due(arrived_));
        }
    }

    void begin(std::size_t index, Instant due) {
        under_way_[index] = {.due = due};
        exchanges_.begin(index);
    }

    void serve(std::size_t index) {
        UnderWay& request = under_way_[index];
        const auto outcome = exchanges_.serve(index, [&](std::string_view event, Instant now) {
            if (request.begun || !is_frame(event)) return;
            request.begun = true;
            if (counts(request.due)) first_us_.push_back(microseconds_between(request.due, now));
        });
        switch (outcome) {
            case Exchanges::Outcome::Underway:
                return;
            case Exchanges::Outcome::Answered:
                ++answered_;
                if (counts(request.due)) {
                    latency_us_.push_back(microseconds_between(request.due, SteadyClock::now()));
                }
                break;
            case Exchanges::Outcome::Broken:
                if (!exchanges_.open(index)) return;
                [[fallthrough]];
            case Exchanges::Outcome::Wrong:
                ++errors_;
                break;
        }
        if (waiting_.empty()) return free_.push_back(index);
        begin(index, waiting_.front());
        waiting_.pop_front();
    }

    static void print_percentiles(const char* name, std::vector<std::uint32_t>& values) {
        std::printf(",\"%s_p50_us\":%u,\"%s_p99_us\":%u,\"%s_p999_us\":%u,\"%s_max_us\":%u", name,
                    percentile(values, 0.5), name, percentile(values, 0.99), name,
                    percentile(values, 0.999), name, percentile(values, 1.0));
    }

    void print() {
        std::printf("{\"answered\":%llu,\"errors\":%llu,\"queued\":%llu",
                    static_cast<unsigned long long>(answered_),
                    static_cast<unsigned long long>(errors_),
                    static_cast<unsigned long long>(queued_));
        print_percentiles("whole", latency_us_);
        print_percentiles("first", first_us_);
        print_percentiles("sent_late", late_us_);
        std::printf("}\n");
    }

    Exchanges exchanges_;
    SteadyClock::duration interval_;
    std::uint64_t count_;
    Instant began_;
    std::uint64_t arrived_ = 0;
    std::uint64_t queued_ = 0;  // Were due while every connection was busy.
    std::uint64_t answered_ = 0;
    std::uint64_t errors_ = 0;
    std::vector<UnderWay> under_way_;
    std::vector<std::size_t> free_;
    std::deque<Instant> waiting_;
    std::vector<std::uint32_t> latency_us_;
    std::vector<std::uint32_t> first_us_;  // Streams: until the first frame.
    std::vector<std::uint32_t> late_us_;
};

}  // namespace
}  // namespace nutgate::bench

int main(int argc, char** argv) {
    return nutgate::bench::Arrivals{nutgate::bench::Arguments{argc, argv}}.run();
}
