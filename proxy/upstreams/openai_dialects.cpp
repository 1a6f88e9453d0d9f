#include "upstreams/openai_dialects.h"

#include <array>
#include <utility>

namespace nutgate::proxy {
namespace {

struct Dialect {
    std::string_view name;
    void (*speak)(OpenAiOptions& options);
};

constexpr std::array kDialects{
    Dialect{"openai", speak_to_openai}, Dialect{"azure", speak_to_azure},
    Dialect{"gemini", speak_to_gemini}, Dialect{"llama.cpp", speak_to_llama_cpp},
    Dialect{"ollama", speak_to_ollama}, Dialect{"openrouter", speak_to_openrouter},
    Dialect{"vllm", speak_to_vllm},
};

}  // namespace

std::optional<OpenAiOptions> openai_options(std::string_view dialect, http::Url url) {
    for (const Dialect& known : kDialects) {
        if (known.name != dialect) continue;
        OpenAiOptions options;
        options.url = std::move(url);
        known.speak(options);
        return options;
    }
    return std::nullopt;
}

}  // namespace nutgate::proxy
