// N paced streams at a time. They begin at an even rate, so that their frames are spread over the
// interval; once all have begun the window opens, in which frames are counted; each stream ends by
// itself, so that it is charged whole. Prints `open` and `closed` with the window, and then one
// JSON object.
//
// A frame is due when the upstream's clock says, which is written in it. It stalls if it comes
// later than three intervals, or 200 ms where that is more.
#include <cstdint>
#include <cstdio>
#include <vector>

#include "exchanges.h"

namespace nutgate::bench {
namespace {

constexpr Microseconds kStallMin{200'000};

class Streams {
public:
    explicit Streams(const Arguments& arguments)
        : exchanges_{arguments},
          stall_{std::max(kStallMin, 3 * Microseconds{arguments.integer("--interval-us", 40'000)})},
          gap_{SteadyClock::duration{
              static_cast<std::int64_t>(1e9 / arguments.number("--begin-per-second", 2000))}},
          window_{std::chrono::duration_cast<SteadyClock::duration>(
              std::chrono::duration<double>{arguments.number("--seconds", 5)})},
          settle_{std::chrono::milliseconds{arguments.integer("--settle-ms", 500)}},
          has_begun_(exchanges_.size()) {}

    int run() {
        began_ = SteadyClock::now();
        opens_ = began_ + static_cast<std::int64_t>(exchanges_.size()) * gap_ + settle_;
        closes_ = opens_ + window_;
        bool heard = true;
        while (heard && (next_ < exchanges_.size() || exchanges_.busy() > 0)) {
            if (!begin_what_is_due()) return 1;
            tell_the_window();
            heard = exchanges_.wait(next_instant(), [this](std::size_t index) { serve(index); });
        }
        tell_the_window();
        errors_ += exchanges_.busy();
        print();
        return errors_ == 0 ? 0 : 1;
    }

private:
    Instant begin_of(std::size_t index) const {
        return began_ + static_cast<std::int64_t>(index) * gap_;
    }

    Instant next_instant() const {
        if (next_ < exchanges_.size()) return begin_of(next_);
        if (!open_) return opens_;
        return closed_ ? Instant::max() : closes_;
    }

    bool begin_what_is_due() {
        for (; next_ < exchanges_.size() && begin_of(next_) <= SteadyClock::now(); ++next_) {
            if (!exchanges_.open(next_)) return false;
            exchanges_.begin(next_);
        }
        return true;
    }

    // Whoever reads this measures the servers between the two lines.
    void tell_the_window() {
        const Instant now = SteadyClock::now();
        if (!open_ && now >= opens_ && next_ == exchanges_.size()) {
            open_ = true;
            opens_ = now;
            streams_open_ = exchanges_.busy();
            tell("open");
        }
        if (open_ && !closed_ && now >= closes_) {
            closed_ = true;
            closes_ = now;
            streams_closed_ = exchanges_.busy();
            tell("closed");
        }
    }

    static void tell(const char* what) {
        std::puts(what);
        std::fflush(stdout);
    }

    void serve(std::size_t index) {
        const auto outcome = exchanges_.serve(index, [&](std::string_view event, Instant now) {
            if (const auto due = due_of(event)) take_frame(index, *due, now);
        });
        switch (outcome) {
            case Exchanges::Outcome::Underway:
                return;
            case Exchanges::Outcome::Answered:
                ++answered_;
                exchanges_.close(index);
                return;
            case Exchanges::Outcome::Wrong:
                exchanges_.close(index);
                [[fallthrough]];
            case Exchanges::Outcome::Broken:
                ++errors_;
                return;
        }
    }

    void take_frame(std::size_t index, Instant due, Instant now) {
        if (!has_begun_[index]) {
            has_begun_[index] = true;
            first_us_.push_back(microseconds_between(exchanges_.began(index), now));
        }
        ++frames_;
        const bool stalled = now - due > stall_;
        if (stalled) ++(open_ && !closed_ ? stalls_ : stalls_outside_);
        if (!open_ || closed_) return;
        lateness_us_.push_back(microseconds_between(due, now));
    }

    void print() {
        const double seconds = std::chrono::duration<double>(closes_ - opens_).count();
        std::printf(
            "{\"answered\":%llu,\"errors\":%llu,\"frames\":%llu,\"frames_in_window\":%zu,"
            "\"frames_per_second\":%.1f,\"streams_open\":%zu,\"streams_closed\":%zu,"
            "\"stalls\":%llu,\"stalls_outside\":%llu,\"first_p50_us\":%u,\"first_p99_us\":%u,"
            "\"late_p50_us\":%u,\"late_p99_us\":%u,\"late_max_us\":%u}\n",
            static_cast<unsigned long long>(answered_), static_cast<unsigned long long>(errors_),
            static_cast<unsigned long long>(frames_), lateness_us_.size(),
            static_cast<double>(lateness_us_.size()) / seconds, streams_open_, streams_closed_,
            static_cast<unsigned long long>(stalls_),
            static_cast<unsigned long long>(stalls_outside_), percentile(first_us_, 0.5),
            percentile(first_us_, 0.99), percentile(lateness_us_, 0.5),
            percentile(lateness_us_, 0.99), percentile(lateness_us_, 1.0));
    }

    Exchanges exchanges_;
    SteadyClock::duration stall_;
    SteadyClock::duration gap_;  // Between the beginnings of two streams.
    SteadyClock::duration window_;
    SteadyClock::duration settle_;  // From the last beginning to the window.
    Instant began_;
    Instant opens_;  // When the window shall, and then when it did.
    Instant closes_;
    bool open_ = false;
    bool closed_ = false;
    std::size_t next_ = 0;
    std::size_t streams_open_ =
        0;  // Under way when the window opened and closed: all, or it is void.
    std::size_t streams_closed_ = 0;
    std::vector<char> has_begun_;  // By stream: its first frame has come.
    std::uint64_t answered_ = 0;
    std::uint64_t errors_ = 0;
    std::uint64_t frames_ = 0;
    std::uint64_t stalls_ = 0;
    std::uint64_t stalls_outside_ = 0;
    std::vector<std::uint32_t> first_us_;
    std::vector<std::uint32_t> lateness_us_;
};

}  // namespace
}  // namespace nutgate::bench

int main(int argc, char** argv) {
    return nutgate::bench::Streams{nutgate::bench::Arguments{argc, argv}}.run();
}
