// What of `anthropic-beta` a seller's upstream gets to see.
#pragma once

#include <string>

#include "nutgate/http/message.h"

namespace nutgate::proxy {

// The names in it that change how an answer is thought of and written, joined by commas; empty if
// there are none. The others are left out, as an upstream leaves out what it does not know: they
// reach what the seller keeps there (files, skills, containers), are run by Anthropic and charged
// by the call, or make a prompt longer than the model's `context`, which is what money is held for.
std::string passed_betas(const http::Headers& headers);

}  // namespace nutgate::proxy
