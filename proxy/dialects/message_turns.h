// The messages of a chat as Anthropic's turns: what system and developer say goes to the front,
// and neighbours of one side become one turn, so that the results of parallel calls stand together
// in the turn after them, where they must.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "dialects/raw_json.h"
#include "nutgate/base/result.h"
#include "nutgate/http/error_envelope.h"

namespace nutgate::proxy {

class MessageTurns {
public:
    Result<void, http::ApiError> add(const RawJson& message);

    std::string messages_json() const;
    const std::string& system_blocks() const { return system_; }  // Empty if there are none.
    bool empty() const { return turns_.empty(); }
    // The last turn of the model called tools and came without its signed thoughts: the upstream
    // does not think further there, and says so by an error.
    bool has_lost_thoughts() const { return lost_thoughts_; }

private:
    enum class Side { User, Assistant };
    struct Turn {
        Side side;
        std::string blocks;
    };
    using Added = Result<void, http::ApiError>;

    Added add_system(const RawObject& message);
    Added add_user(const RawObject& message);
    Added add_assistant(const RawObject& message);
    Added add_tool_result(const RawObject& message);
    void put(Side side, std::string_view block);

    std::vector<Turn> turns_;
    std::string system_;
    bool lost_thoughts_ = false;
};

// Anthropic takes letters, digits, '_' and '-' in the id of a call; the ids of others have more.
// Equal ids stay equal, and different ones different.
std::string tool_use_id(std::string_view id);

}  // namespace nutgate::proxy
