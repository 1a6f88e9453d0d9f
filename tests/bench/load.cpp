// A closed-loop load generator: N connections, each sends the same POST again as soon as its answer
// is whole. Prints one JSON object: how many were answered, how fast, and, for streams, how late.
//
// A closed loop says how much a server can do and what one request costs. It does not say what a
// client would see at a given rate of arrivals, since it waits with the server: arrivals.cpp does.
#include <cstdint>
#include <cstdio>
#include <vector>

#include "exchanges.h"

namespace nutgate::bench {
namespace {

class Load {
public:
    explicit Load(const Arguments& arguments)
        : exchanges_{arguments},
          stream_{arguments.text("--stream") == "yes"},
          interval_{arguments.integer("--interval-us", 20'000)},
          began_{SteadyClock::now()},
          stop_{began_ + std::chrono::duration_cast<SteadyClock::duration>(
                             std::chrono::duration<double>{arguments.number("--seconds", 3)})},
          streams_(exchanges_.size()) {}

    int run() {
        for (std::size_t i = 0; i < exchanges_.size(); ++i) {
            if (!exchanges_.open(i)) return 1;
            begin(i);
        }
        while (exchanges_.busy() > 0 &&
               exchanges_.wait(Instant::max(), [this](std::size_t index) { serve(index); })) {
        }
        errors_ += exchanges_.busy();
        print(std::chrono::duration<double>(SteadyClock::now() - began_).count());
        return errors_ == 0 ? 0 : 1;
    }

private:
    struct Stream {
        int frames = 0;
        Instant first;
        bool stalled = false;
    };

    void begin(std::size_t index) {
        streams_[index] = {};
        exchanges_.begin(index);
    }

    void serve(std::size_t index) {
        const auto outcome = exchanges_.serve(index, [&](std::string_view event, Instant now) {
            if (is_frame(event)) take_frame(index, now);
        });
        const Instant now = SteadyClock::now();
        switch (outcome) {
            case Exchanges::Outcome::Underway:
                return;
            case Exchanges::Outcome::Answered:
                ++answered_;
                if (streams_[index].stalled) ++streams_stalled_;
                latency_us_.push_back(microseconds_between(exchanges_.began(index), now));
                break;
            case Exchanges::Outcome::Broken:
                if (now < stop_ && !exchanges_.open(index)) return;
                [[fallthrough]];
            case Exchanges::Outcome::Wrong:
                ++errors_;
                break;
        }
        if (now < stop_ && errors_ < kErrorsMax) begin(index);
    }

    // The pace is that of the stream's first frame: how late that one is, first_us_ says.
    void take_frame(std::size_t index, Instant now) {
        Stream& stream = streams_[index];
        if (stream.frames == 0) {
            stream.first = now;
            first_us_.push_back(microseconds_between(exchanges_.began(index), now));
        }
        const Instant due = stream.first + stream.frames * interval_;
        lateness_us_.push_back(microseconds_between(due, now));
        if (now - due >= interval_) {
            ++stalls_;
            stream.stalled = true;
        }
        ++stream.frames;
    }

    void print(double seconds) {
        std::printf(
            "{\"answered\":%llu,\"errors\":%llu,\"seconds\":%.4f,\"per_second\":%.1f,"
            "\"reopened\":%llu,\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u",
            static_cast<unsigned long long>(answered_), static_cast<unsigned long long>(errors_),
            seconds, static_cast<double>(answered_) / seconds,
            static_cast<unsigned long long>(exchanges_.reopened()), percentile(latency_us_, 0.5),
            percentile(latency_us_, 0.99), percentile(latency_us_, 1.0));
        if (stream_) {
            std::printf(
                ",\"frames\":%zu,\"stalls\":%llu,\"streams_stalled\":%llu,"
                "\"first_p50_us\":%u,\"first_p99_us\":%u,\"late_p50_us\":%u,\"late_p99_us\":%u",
                lateness_us_.size(), static_cast<unsigned long long>(stalls_),
                static_cast<unsigned long long>(streams_stalled_), percentile(first_us_, 0.5),
                percentile(first_us_, 0.99), percentile(lateness_us_, 0.5),
                percentile(lateness_us_, 0.99));
        }
        std::printf("}\n");
    }

    Exchanges exchanges_;
    bool stream_;
    Microseconds interval_;  // Of the upstream's frames.
    Instant began_;
    Instant stop_;
    std::vector<Stream> streams_;
    std::uint64_t answered_ = 0;
    std::uint64_t errors_ = 0;
    std::uint64_t stalls_ = 0;  // Frames that came a whole interval or more after they were due.
    std::uint64_t streams_stalled_ = 0;
    std::vector<std::uint32_t> latency_us_;
    std::vector<std::uint32_t> first_us_;     // Streams: request to first frame.
    std::vector<std::uint32_t> lateness_us_;  // Streams: each frame against its due time.
};

}  // namespace
}  // namespace nutgate::bench

int main(int argc, char** argv) {
    return nutgate::bench::Load{nutgate::bench::Arguments{argc, argv}}.run();
}
