// Several relays as one channel to one other key. Nothing is published at a relay before it says
// that it has subscribed us to the answer; what is asked is asked at all of them at once. Relays
// are anybody's. One may be away, slow, silent, or hostile: nothing that it says is believed but
// what that key signed, an event counts once however many bring it, and one that sends too much is
// left alone for a while.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "nostr_message.h"
#include "nutgate/base/clock.h"
#include "nutgate/http/websocket.h"

namespace nutgate::lightning {

inline constexpr std::size_t kAsksMax = 64;              // Under way at once.
inline constexpr std::size_t kNotesRememberedMax = 512;  // To know one when it comes again.
inline constexpr int kBadFramesMax = 64;                 // Since the last good one.
inline constexpr int kFramesMax = 6'000;                 // Unasked for, in each
inline constexpr std::chrono::seconds kFramesPeriod{60};
inline constexpr int kFramesPerRequest = 8;        // That are asked for.
inline constexpr int kChallengesMax = 4;           // That are answered, in one connection.
inline constexpr Milliseconds kRelayRest{60'000};  // Of one that was too much.
// By how much the other's clock may be behind ours.
inline constexpr Seconds kClockSkewMax{600};

struct RelayOptions {
    std::string name;  // For the log.
    std::vector<std::string> urls;
    ByteArray<32> peer{};          // Whose events are wanted.
    int profile_kind = 0;          // Of it the newest event counts, and is kept by relays.
    int answer_kind = 0;           // Names what it answers in a tag "e".
    std::set<int> note_kinds;      // Name us in a tag "p".
    Milliseconds patience{5'000};  // With relays that are all away.
    Milliseconds backoff_first{1'000};
    Milliseconds backoff_max{60'000};
};

enum class RelayError {
    NotSent,   // Certainly no relay was given it.
    NotTaken,  // Every relay that was given it says that it did not take it.
    NoAnswer,  // None came in time: of what was asked nothing is known.
};

// Whether a request goes to a relay that comes back while it is waited for, too.
enum class Repeat { No, Yes };

// Thread-safe. Calls block, and so are not for the sockets' thread.
class NostrRelays {
public:
    // `on_note` is called on the sockets' thread, with verified events, once for each.
    NostrRelays(RelayOptions options, const crypto::Scalar& key, http::WebSockets& sockets,
                const Clock& clock, crypto::Random& random,
                std::function<void(const NostrEvent&)> on_note);
    ~NostrRelays();
    NostrRelays(const NostrRelays&) = delete;
    NostrRelays& operator=(const NostrRelays&) = delete;

    // The newest of its kind that a relay has shown. NoAnswer: none has one.
    Result<NostrEvent, RelayError> profile(Milliseconds timeout);
    // Publishes what we signed, and waits for the peer's answer to it.
    Result<NostrEvent, RelayError> ask(const NostrEvent& request, Repeat repeat,
                                       Milliseconds timeout);
    // Who waits is told NoAnswer at once, now and from now on.
    void cease();

    std::size_t ready() const;  // Relays that are subscribed at.

private:
    using Steady = std::chrono::steady_clock;
    enum class Reach { Connecting, Away, Open, Ready };
    enum class Admission { Taken, PassedOver, TooMuch };  // Of a frame.
    struct Relay {
        std::string url;
        std::string host;  // For the log.
        Reach reach = Reach::Connecting;
        std::set<std::string> stored;  // Subscriptions that are up to date.
        std::optional<NostrId> authentication;
        bool is_authenticated = false;
        int challenges = 0;
        int bad_frames = 0;
        int frames = 0;
        Steady::time_point period_began;
    };
    struct Asked {
        std::string subscription;
        std::string subscribe;  // The texts that go to a relay.
        std::string publish;
        Repeat repeat;
        std::set<std::size_t> tried;    // Relays that are to be subscribed at,
        std::set<std::size_t> given;    // those of them that were given the request,
        std::set<std::size_t> refused;  // and those that said no,
        std::set<std::size_t> locked;   // or no until we say who we are.
        std::optional<NostrEvent> answer;

        bool is_refused() const { return refused.size() == tried.size(); }
    };

    http::WebSocketOptions socket_options(const std::string& url) const;
    http::WebSocketEvents socket_events(std::size_t number);

    // On the sockets' thread.
    void opened(std::size_t number, http::WebSocket& socket);
    void closed(std::size_t number, const http::WebSocketEnd& end);
    void message(std::size_t number, http::WebSocket& socket, std::string_view text);
    void take(std::size_t number, http::WebSocket& socket, const RelayEvent& message);
    void take(std::size_t number, http::WebSocket& socket, const RelayAnswer& message);
    void take(std::size_t number, http::WebSocket& socket, const RelayStored& message);
    void take(std::size_t number, http::WebSocket& socket, const RelayClosed& message);
    void take(std::size_t number, http::WebSocket& socket, const RelayNotice& message);
    void take(std::size_t number, http::WebSocket& socket, const RelayChallenge& message);
    void subscribe(http::WebSocket& socket);
    void bad_frame(std::size_t number, http::WebSocket& socket);
    void rest(std::size_t number, http::WebSocket& socket, std::string_view why);
    Admission admit(std::size_t number);
    void authenticated(std::size_t number, http::WebSocket& socket);
    void publish(std::size_t number, http::WebSocket& socket, const std::string& subscription);
    static bool is_ours(const std::string& subscription);

    void drop(const NostrId& request, std::size_t number);

    // Under mutex_.
    bool is_wanted(const NostrEvent& event) const;
    bool keep(const NostrEvent& event);  // Whether it is a note to be told of.
    bool is_any(Reach reach) const;
    Asked* find(std::string_view subscription);
    // By either clock: the steady one goes on whatever becomes of the other.
    struct Deadline {
        Time time;
        Steady::time_point steady;
    };
    Deadline after(Milliseconds timeout) const {
        return {clock_.now() + timeout, Steady::now() + timeout};
    }
    bool wait(std::unique_lock<std::mutex>& lock, const Deadline& deadline,
              const std::function<bool()>& done);

    const RelayOptions options_;
    const crypto::Scalar key_;
    const std::string us_;  // Our public key, in hex.
    const Clock& clock_;
    crypto::Random& random_;
    const std::function<void(const NostrEvent&)> on_note_;

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Relay> relays_;  // Guarded by mutex_, as is all below.
    std::map<NostrId, Asked> asked_;
    std::set<NostrId> notes_;
    std::deque<NostrId> notes_in_order_;
    std::optional<NostrEvent> profile_;
    Steady::time_point away_since_ = Steady::now();  // All of them.
    bool has_ceased_ = false;

    // Constant after construction; last: their callbacks use all above.
    std::vector<std::unique_ptr<http::WebSocket>> sockets_;
};

}  // namespace nutgate::lightning
