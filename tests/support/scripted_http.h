// Two http::Clients for tests: one that answers from a script, and one that stands before any other
// client and loses, doubles or cuts calls.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nutgate/http/client.h"

namespace nutgate::test {

// Thread-safe. A call takes the next answer of then(), if any is left, else the last on() whose
// method and URL's beginning match; without either it answers NotSent, "unscripted".
class ScriptedHttp final : public http::Client {
public:
    using Outcome = Result<http::Response, http::ClientError>;
    using Answer = std::function<Outcome(const http::ClientRequest&)>;

    static Answer answer(int status, std::string body) {
        return [status, body = std::move(body)](const http::ClientRequest&) -> Outcome {
            return http::json_response(status, body);
        };
    }
    static Answer failure(http::ClientError::Kind kind) {
        return [kind](const http::ClientRequest&) -> Outcome {
            return fail(http::ClientError{kind, "scripted"});
        };
    }

    void then(Answer answer) {
        const std::lock_guard lock{mutex_};
        next_.push_back(std::move(answer));
    }
    void on(http::Method method, std::string url_prefix, Answer answer) {
        const std::lock_guard lock{mutex_};
        rules_.push_back({method, std::move(url_prefix), std::move(answer)});
    }

    Outcome call(const http::ClientRequest& request) override {
        Answer answer;
        {
            const std::lock_guard lock{mutex_};
            calls_.push_back(request);
            answer = choose(request);
        }
        // Outside of the lock: an answer may itself call, or wait for another call.
        if (!answer) {
            return fail(
                http::ClientError{http::ClientError::Kind::NotSent, "unscripted: " + request.url});
        }
        return answer(request);
    }

    std::vector<http::ClientRequest> calls() const {
        const std::lock_guard lock{mutex_};
        return calls_;
    }
    std::size_t count() const { return calls().size(); }

private:
    struct Rule {
        http::Method method;
        std::string url_prefix;
        Answer answer;
    };

    Answer choose(const http::ClientRequest& request) {
        if (!next_.empty()) {
            auto answer = std::move(next_.front());
            next_.pop_front();
            return answer;
        }
        for (auto rule = rules_.rbegin(); rule != rules_.rend(); ++rule) {
            if (rule->method == request.method && request.url.starts_with(rule->url_prefix)) {
                return rule->answer;
            }
        }
        return {};
    }

    mutable std::mutex mutex_;
    std::deque<Answer> next_;
    std::vector<Rule> rules_;
    std::vector<http::ClientRequest> calls_;
};

// What networks do. Thread-safe if the client behind is.
class UnreliableHttp final : public http::Client {
public:
    enum class Fault {
        None,
        RefuseConnection,  // NotSent: the other side saw nothing.
        LoseRequest,       // Ambiguous: the other side saw nothing.
        LoseAnswer,        // Ambiguous: the other side acted.
        Double,            // The other side sees it twice; the second answer comes back.
    };
    using Plan = std::function<Fault(std::size_t number, const http::ClientRequest&)>;

    // `plan` is asked for each call, whose numbers begin at 1.
    UnreliableHttp(http::Client& behind, Plan plan) : behind_{behind}, plan_{std::move(plan)} {}

    Result<http::Response, http::ClientError> call(const http::ClientRequest& request) override {
        using Kind = http::ClientError::Kind;
        Fault fault = Fault::None;
        {
            const std::lock_guard lock{mutex_};
            fault = plan_(++count_, request);
        }
        switch (fault) {
            case Fault::None:
                break;
            case Fault::RefuseConnection:
                return fail(http::ClientError{Kind::NotSent, "refused"});
            case Fault::LoseRequest:
                return fail(http::ClientError{Kind::Ambiguous, "lost"});
            case Fault::LoseAnswer: {
                const auto unseen = behind_.call(request);
                return fail(http::ClientError{Kind::Ambiguous, unseen ? "lost" : "failed"});
            }
            case Fault::Double: {
                const auto unseen = behind_.call(request);
                static_cast<void>(unseen);
                break;
            }
        }
        return behind_.call(request);
    }

    std::size_t count() const {
        const std::lock_guard lock{mutex_};
        return count_;
    }

private:
    http::Client& behind_;
    mutable std::mutex mutex_;
    Plan plan_;
    std::size_t count_ = 0;
};

}  // namespace nutgate::test
