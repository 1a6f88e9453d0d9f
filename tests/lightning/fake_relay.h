// A Nostr relay on loopback, as far as wallets use one: subscriptions, events, what it keeps of
// them, authentication (NIP-42); and, where a test wants it, a hostile one. All of it runs on one
// thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "nutgate/base/verify.h"

namespace nutgate::test {

class FakeRelay {
public:
    using Json = nlohmann::json;
    enum class Verdict { Taken, Refused, Silence };

    FakeRelay() { start(); }
    ~FakeRelay() { stop(); }
    FakeRelay(const FakeRelay&) = delete;
    FakeRelay& operator=(const FakeRelay&) = delete;

    std::string url() const { return "ws://127.0.0.1:" + std::to_string(port_); }

    // Under the same address each time; it keeps what it kept.
    void start() {
        auto io = std::make_unique<Io>();
        acceptor_ = std::make_unique<Acceptor>(*io);
        const Endpoint endpoint{boost::asio::ip::address_v4::loopback(), port_};
        acceptor_->open(endpoint.protocol());
        acceptor_->set_option(Acceptor::reuse_address{true});
        acceptor_->bind(endpoint);
        acceptor_->listen();
        port_ = acceptor_->local_endpoint().port();
        accept();
        thread_ = std::jthread{[&now = *io] { now.run(); }};
        const std::lock_guard lock{io_mutex_};
        io_ = std::move(io);
    }
    void stop() {
        std::unique_ptr<Io> io;
        {
            const std::lock_guard lock{io_mutex_};
            io = std::move(io_);
        }
        if (!io) return;
        io->stop();
        thread_.join();
        sessions_.clear();
        acceptor_.reset();
        io.reset();
        const std::lock_guard lock{mutex_};
        subscribed_ = 0;
    }

    // Called with each event that a client publishes. Set before anybody connects.
    void on_publish(std::function<Verdict(const Json&)> heard) {
        post([this, heard = std::move(heard)] { heard_ = heard; });
    }
    // From then on nobody is served who did not say who he is.
    void require_authentication() {
        post([this] { is_locked_ = true; });
    }
    // Keeps it for whoever subscribes later, in place of an older one of its kind.
    void keep(const Json& event) {
        post([this, event] {
            std::erase_if(kept_, [&](const Json& old) { return old["kind"] == event["kind"]; });
            kept_.push_back(event);
        });
        publish(event);
    }
    // To whoever has subscribed to such.
    void publish(const Json& event) {
        post([this, event] {
            for (const auto& session : sessions_) pass_on(*session, event);
        });
    }
    // To every client, whatever it is.
    void send(const std::string& text) {
        post([this, text] {
            for (const auto& session : sessions_) write(*session, text);
        });
    }
    // Over and over, to every client that there is, until it goes.
    void flood(const std::string& text) {
        post([this, text] { flood_ = text; });
        send(text);
    }

    // Until so many clients have all their subscriptions here, since the last start.
    void wait_for_subscribed(int n) {
        std::unique_lock lock{mutex_};
        changed_.wait(lock, [&] { return subscribed_ >= n; });
    }
    // Until so many frames of that kind came in, since the beginning.
    void wait_for(const std::string& kind, int n) {
        std::unique_lock lock{mutex_};
        changed_.wait(lock, [&] { return std::ranges::count(log_, kind) >= n; });
    }
    void wait_for_departures(int n) {
        std::unique_lock lock{mutex_};
        changed_.wait(lock, [&] { return departures_ >= n; });
    }
    // The kinds of the frames that came in, in order.
    std::vector<std::string> log() const {
        const std::lock_guard lock{mutex_};
        return log_;
    }

private:
    using Io = boost::asio::io_context;
    using Tcp = boost::asio::ip::tcp;
    using Acceptor = Tcp::acceptor;
    using Endpoint = Tcp::endpoint;
    using Error = boost::system::error_code;

    struct Session {
        explicit Session(Tcp::socket socket) : stream{std::move(socket)} {}
        boost::beast::websocket::stream<Tcp::socket> stream;
        boost::beast::flat_buffer buffer;
        std::deque<std::string> queue;
        std::map<std::string, Json> subscriptions;
        bool is_writing = false;
        bool is_known = false;
    };
    using SessionPtr = std::shared_ptr<Session>;

    void post(std::function<void()> action) {
        const std::lock_guard lock{io_mutex_};
        if (io_) boost::asio::post(*io_, std::move(action));
    }
    void note(const std::string& kind) {
        const std::lock_guard lock{mutex_};
        log_.push_back(kind);
        changed_.notify_all();
    }

    void accept() {
        acceptor_->async_accept([this](const Error& error, Tcp::socket socket) {
            if (error) return;
            auto session = std::make_shared<Session>(std::move(socket));
            session->stream.async_accept([this, session](const Error& failure) {
                if (failure) return;
                sessions_.push_back(session);
                if (is_locked_) write(*session, Json::array({"AUTH", kChallenge}).dump());
                read(session);
            });
            accept();
        });
    }
    void read(const SessionPtr& session) {
        session->stream.async_read(
            session->buffer, [this, session](const Error& error, std::size_t) {
                if (error) {
                    std::erase(sessions_, session);
                    const std::lock_guard lock{mutex_};
                    ++departures_;
                    return changed_.notify_all();
                }
                const auto text = boost::beast::buffers_to_string(session->buffer.data());
                session->buffer.consume(session->buffer.size());
                take(*session, Json::parse(text));
                read(session);
            });
    }
    void write(Session& session, const std::string& text) {
        session.queue.push_back(text);
        if (!session.is_writing) write_next(session);
    }
    void write_next(Session& session) {
        if (session.queue.empty() && !flood_.empty()) session.queue.push_back(flood_);
        session.is_writing = !session.queue.empty();
        if (!session.is_writing) return;
        const auto found = std::ranges::find(sessions_, &session, &SessionPtr::get);
        if (found == sessions_.end()) return;
        session.stream.async_write(boost::asio::buffer(session.queue.front()),
                                   [this, kept = *found](const Error& error, std::size_t) {
                                       kept->queue.pop_front();
                                       if (!error) write_next(*kept);
                                   });
    }

    void take(Session& session, const Json& message) {
        const auto kind = message.at(0).get<std::string>();
        if (kind == "REQ") subscribe(session, message);
        if (kind == "CLOSE") session.subscriptions.erase(message.at(1).get<std::string>());
        if (kind == "EVENT") take_event(session, message.at(1));
        if (kind == "AUTH") {
            const Json& event = message.at(1);
            session.is_known =
                event.at("kind") == 22'242 &&
                event.at("tags") == Json::array({{"relay", url()}, {"challenge", kChallenge}});
            answer(session, event, session.is_known, "");
        }
        note(kind);
    }
    void subscribe(Session& session, const Json& message) {
        const auto name = message.at(1).get<std::string>();
        if (is_locked_ && !session.is_known) {
            return write(session,
                         Json::array({"CLOSED", name, "auth-required: who are you?"}).dump());
        }
        const bool is_asking = name.starts_with("ask-");
        session.subscriptions[name] = message.at(2);
        for (const Json& event : kept_) {
            if (fits(message.at(2), event)) {
                write(session, Json::array({"EVENT", name, event}).dump());
            }
        }
        write(session, Json::array({"EOSE", name}).dump());
        const std::lock_guard lock{mutex_};
        if (!is_asking && session.subscriptions.size() == 2) ++subscribed_;
        changed_.notify_all();
    }
    void take_event(Session& session, const Json& event) {
        if (is_locked_ && !session.is_known) {
            return answer(session, event, false, "auth-required: who are you?");
        }
        switch (heard_ ? heard_(event) : Verdict::Taken) {
            case Verdict::Taken:
                return answer(session, event, true, "");
            case Verdict::Refused:
                return answer(session, event, false, "error: not now");
            case Verdict::Silence:
                return;
        }
    }
    void answer(Session& session, const Json& event, bool taken, const std::string& why) {
        write(session, Json::array({"OK", event.at("id"), taken, why}).dump());
    }

    static bool fits(const Json& filter, const Json& event) {
        const auto has = [](const Json& list, const Json& value) {
            return std::find(list.begin(), list.end(), value) != list.end();
        };
        if (filter.contains("kinds") && !has(filter["kinds"], event["kind"])) return false;
        if (filter.contains("authors") && !has(filter["authors"], event["pubkey"])) return false;
        for (const std::string tag : {"p", "e"}) {
            if (!filter.contains("#" + tag)) continue;
            const bool is_there = std::ranges::any_of(event["tags"], [&](const Json& one) {
                return one.at(0) == tag && has(filter["#" + tag], one.at(1));
            });
            if (!is_there) return false;
        }
        return true;
    }
    void pass_on(Session& session, const Json& event) {
        for (const auto& [name, filter] : session.subscriptions) {
            if (fits(filter, event)) {
                write(session, Json::array({"EVENT", name, event}).dump());
            }
        }
    }

    static constexpr const char* kChallenge = "a challenge";

    std::uint16_t port_ = 0;

    // The relay's thread's.
    std::function<Verdict(const Json&)> heard_;
    bool is_locked_ = false;
    std::list<SessionPtr> sessions_;
    std::vector<Json> kept_;
    std::string flood_;

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::string> log_;  // Guarded by mutex_, as is all below.
    int subscribed_ = 0;
    int departures_ = 0;

    std::mutex io_mutex_;
    std::unique_ptr<Io> io_;  // Guarded by io_mutex_. Null while it is stopped.
    std::unique_ptr<Acceptor> acceptor_;
    std::jthread thread_;
};

}  // namespace nutgate::test
