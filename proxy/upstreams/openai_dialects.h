// What is particular to each who speaks OpenAI's dialect, one file each.
#pragma once

#include "nutgate/proxy/upstream.h"

namespace nutgate::proxy {

void speak_to_azure(OpenAiOptions& options);
void speak_to_gemini(OpenAiOptions& options);
void speak_to_llama_cpp(OpenAiOptions& options);
void speak_to_ollama(OpenAiOptions& options);
void speak_to_openai(OpenAiOptions& options);
void speak_to_openrouter(OpenAiOptions& options);
void speak_to_vllm(OpenAiOptions& options);

}  // namespace nutgate::proxy
