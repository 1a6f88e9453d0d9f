#include "nutgate/base/id.h"

#include <algorithm>

namespace nutgate {

bool is_text_id(std::string_view text) {
    return !text.empty() && text.size() <= 256 &&
           std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < '\x7f'; });
}

}  // namespace nutgate
