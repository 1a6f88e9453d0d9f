// One line per event: `2026-11-20T15:40:01.123Z info  event key=value key="a value"`, on stderr.
//
// A value is a number or text. There is no overload for Secret, Preimage or anything else that is
// money, so a secret can't be logged by accident; text is passed through redact() on top of that.
// Thread-safe.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

#include "nutgate/base/amount.h"

namespace nutgate::log {

enum class Level { Debug, Info, Warn, Error };

struct Field {
    std::string_view key;
    std::variant<std::int64_t, std::string_view> value;

    Field(std::string_view k, std::string_view v) : key{k}, value{v} {}
    Field(std::string_view k, const char* v) : key{k}, value{std::string_view{v}} {}
    Field(std::string_view k, const std::string& v) : key{k}, value{std::string_view{v}} {}
    template <class Integer>
        requires std::is_integral_v<Integer>
    Field(std::string_view k, Integer v) : key{k}, value{static_cast<std::int64_t>(v)} {}
    Field(std::string_view k, Msat v) : key{k}, value{v.raw()} {}
};
using Fields = std::initializer_list<Field>;

// Events below it are dropped. Info until somebody says otherwise.
void set_level(Level level);
// For tests that look for secrets: every line also goes to this file. Empty: stderr only. Not while
// another thread logs.
void set_file(const std::string& path);

void debug(std::string_view event, Fields fields = {});
void info(std::string_view event, Fields fields = {});
void warn(std::string_view event, Fields fields = {});
void error(std::string_view event, Fields fields = {});

// The text with everything that looks like a key (`sk-…`), a token (`cashuA…`, `cashuB…`) or an
// invoice (`lnbc…`) cut to its prefix, and control characters escaped.
std::string redact(std::string_view text);

}  // namespace nutgate::log
