// The manners of a good client, once for all operations at one mint.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <list>
#include <mutex>

#include "nutgate/base/log.h"
#include "nutgate/base/verify.h"
#include "nutgate/cashu/mint_client.h"

namespace nutgate::cashu {
namespace {

// Calls at once, in the order in which they came.
class Turns {
public:
    Turns(std::size_t most, Milliseconds timeout) : free_{most}, timeout_{timeout} {}

    // False if it did not come in time.
    bool take() {
        std::unique_lock lock{mutex_};
        if (free_ > 0) {
            --free_;
            return true;
        }
        Waiter waiter;
        const auto place = waiters_.insert(waiters_.end(), &waiter);
        if (waiter.called.wait_for(lock, timeout_, [&waiter] { return waiter.is_called; })) {
            return true;
        }
        waiters_.erase(place);
        return false;
    }
    void give_back() {
        const std::lock_guard lock{mutex_};
        if (waiters_.empty()) {
            ++free_;
            return;
        }
        // Under the lock: the waiter goes as soon as it may.
        Waiter* const first = waiters_.front();
        waiters_.pop_front();
        first->is_called = true;
        first->called.notify_one();
    }

private:
    struct Waiter {
        std::condition_variable called;
        bool is_called = false;
    };

    std::mutex mutex_;
    std::size_t free_;  // Guarded by mutex_, as is waiters_.
    std::list<Waiter*> waiters_;
    const Milliseconds timeout_;
};

// When the mint may be asked again.
class Backoff {
public:
    // Calls that were sent before a wait began know nothing of it: sixteen of them refused at once
    // are one refusal.
    using Wave = std::uint64_t;

    Backoff(const PatientMintOptions& options, const Clock& clock, crypto::Random& random)
        : options_{options}, clock_{clock}, random_{random} {}

    // The wave of a call that may be sent now.
    std::optional<Wave> admit() {
        const std::lock_guard lock{mutex_};
        const auto left = until_ - clock_.now();
        // A clock that was set back makes no wait longer than it can have been.
        if (left > Milliseconds{0} && left <= longest()) return std::nullopt;
        return wave_;
    }
    void refused(Wave wave, std::optional<Seconds> retry_after) {
        const std::lock_guard lock{mutex_};
        const auto asked = std::min(retry_after.value_or(Seconds{0}), options_.retry_after_max);
        if (wave == wave_) {
            ++wave_;
            auto delay = Milliseconds{options_.backoff_first};
            for (int i = 0; i < refusals_ && delay < options_.backoff_max; ++i) delay *= 2;
            delay = std::min(delay, Milliseconds{options_.backoff_max});
            ++refusals_;
            until_ = clock_.now() + delay + by_chance(delay / 4);
        }
        until_ = std::max(until_, clock_.now() + asked);
    }
    void answered(Wave wave) {
        const std::lock_guard lock{mutex_};
        if (wave == wave_) refusals_ = 0;
    }

private:
    Milliseconds longest() const {
        return std::max<Milliseconds>(options_.retry_after_max, options_.backoff_max * 2);
    }
    Milliseconds by_chance(Milliseconds most) {
        const auto bytes = random_.bytes<4>();
        std::uint32_t value = 0;
        for (const std::byte byte : bytes)
            value = value << 8U | std::to_integer<std::uint32_t>(byte);
        return Milliseconds{value % (most.count() + 1)};
    }

    const PatientMintOptions& options_;
    const Clock& clock_;
    crypto::Random& random_;
    std::mutex mutex_;
    Time until_;  // Guarded by mutex_, as is all below.
    int refusals_ = 0;
    Wave wave_ = 0;
};

class PatientMint final : public MintClient {
public:
    PatientMint(MintClient& mint, PatientMintOptions options, const Clock& clock,
                crypto::Random& random, metrics::Registry& metrics)
        : mint_{mint},
          options_{std::move(options)},
          turns_{options_.calls_max, options_.turn_timeout},
          backoff_{options_, clock, random},
          calls_{metrics.counter("nutgate_mint_calls_total", "Calls of a mint", labels())},
          failures_{metrics.counter("nutgate_mint_call_failures_total",
                                    "Calls of a mint that brought no answer, or a 5xx", labels())},
          rate_limited_{metrics.counter("nutgate_mint_rate_limited_total",
                                        "Calls that a mint answered with: later", labels())},
          withheld_{metrics.counter("nutgate_mint_calls_withheld_total",
                                    "Calls not sent: the mint wants to be left alone, or too many "
                                    "wait",
                                    labels())},
          in_flight_{metrics.gauge("nutgate_mint_calls_in_flight", "Calls of a mint under way",
                                   labels())} {
        VERIFY(options_.calls_max > 0);
    }

    Result<MintAnswer, MintFailure> call(MintMethod method, std::string_view path,
                                         std::string_view body) override {
        // Who would only wait to be refused need not wait; and a refusal may come meanwhile.
        if (!backoff_.admit() || !turns_.take()) return withhold();
        const auto wave = backoff_.admit();
        if (!wave) {
            turns_.give_back();
            return withhold();
        }
        calls_.add();
        in_flight_.add(1);
        auto answer = mint_.call(method, path, body);
        in_flight_.add(-1);
        note(answer, *wave);
        // After the note: the next one is not sent if this one was told to wait.
        turns_.give_back();
        return answer;
    }

private:
    metrics::Labels labels() const { return {{"mint", options_.name}}; }

    Result<MintAnswer, MintFailure> withhold() {
        withheld_.add();
        return fail(MintFailure::NotSent);
    }
    void note(const Result<MintAnswer, MintFailure>& answer, Backoff::Wave wave) {
        if (!answer || answer->status >= 500) failures_.add();
        if (!answer) return;
        if (answer->status == 429 || (answer->status == 503 && answer->retry_after)) {
            rate_limited_.add();
            backoff_.refused(wave, answer->retry_after);
            log::info("mint_wants_to_be_left_alone",
                      {{"mint", options_.name}, {"status", answer->status}});
        } else if (answer->status < 500) {
            backoff_.answered(wave);
        }
    }

    MintClient& mint_;
    const PatientMintOptions options_;
    Turns turns_;
    Backoff backoff_;
    metrics::Counter& calls_;
    metrics::Counter& failures_;
    metrics::Counter& rate_limited_;
    metrics::Counter& withheld_;
    metrics::Gauge& in_flight_;
};

}  // namespace

std::unique_ptr<MintClient> make_patient_mint(MintClient& mint, PatientMintOptions options,
                                              const Clock& clock, crypto::Random& random,
                                              metrics::Registry& metrics) {
    return std::make_unique<PatientMint>(mint, std::move(options), clock, random, metrics);
}

}  // namespace nutgate::cashu
