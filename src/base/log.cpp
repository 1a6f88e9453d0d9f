#include "nutgate/base/log.h"

#include <array>
#include <cctype>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace nutgate::log {
namespace {

spdlog::level::level_enum to_spdlog(Level level) {
    switch (level) {
        case Level::Debug:
            return spdlog::level::debug;
        case Level::Info:
            return spdlog::level::info;
        case Level::Warn:
            return spdlog::level::warn;
        case Level::Error:
            return spdlog::level::err;
    }
    return spdlog::level::info;
}

// The one process-wide object here: where lines go is a property of the process, as stderr is.
spdlog::logger& logger() {
    static spdlog::logger instance = [] {
        spdlog::logger made{"nutgate", std::make_shared<spdlog::sinks::stderr_sink_mt>()};
        made.set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %-5l %v", spdlog::pattern_time_type::utc);
        made.flush_on(spdlog::level::debug);
        return made;
    }();
    return instance;
}

bool needs_quotes(std::string_view text) {
    if (text.empty()) return true;
    for (const char c : text) {
        if (c == ' ' || c == '"' || c == '=') return true;
    }
    return false;
}

void write(Level level, std::string_view event, Fields fields) {
    if (!logger().should_log(to_spdlog(level))) return;
    std::string line{event};
    for (const Field& field : fields) {
        line += ' ';
        line += field.key;
        line += '=';
        if (const auto* number = std::get_if<std::int64_t>(&field.value)) {
            line += std::to_string(*number);
            continue;
        }
        const std::string text = redact(std::get<std::string_view>(field.value));
        if (!needs_quotes(text)) {
            line += text;
            continue;
        }
        line += '"';
        for (const char c : text) {
            if (c == '"') line += '\\';
            line += c;
        }
        line += '"';
    }
    logger().log(to_spdlog(level), line);
}

bool is_word(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_';
}

// How many characters of a secret that begins at `text` may stay; zero: no secret begins here.
std::size_t kept_prefix(std::string_view text) {
    constexpr std::array<std::string_view, 9> kPrefixes{"sk-",  "cashuA", "cashuB", "crawB", "lnbc",
                                                        "lntb", "lnbcrt", "creqA",  "CREQB"};
    constexpr std::size_t kLengthMin = 16;  // Shorter words are not secrets: "sk-" in a sentence.
    std::size_t length = 0;
    while (length < text.size() && is_word(text[length])) ++length;
    if (length < kLengthMin) return 0;
    for (const auto prefix : kPrefixes) {
        if (text.starts_with(prefix)) return prefix.size();
    }
    return 0;
}

}  // namespace

void set_level(Level level) { logger().set_level(to_spdlog(level)); }

void set_file(const std::string& path) {
    logger().flush();
    logger().sinks().resize(1);  // stderr
    if (path.empty()) return;
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
    sink->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %-5l %v");
    logger().sinks().push_back(std::move(sink));
}

void debug(std::string_view event, Fields fields) { write(Level::Debug, event, fields); }
void info(std::string_view event, Fields fields) { write(Level::Info, event, fields); }
void warn(std::string_view event, Fields fields) { write(Level::Warn, event, fields); }
void error(std::string_view event, Fields fields) { write(Level::Error, event, fields); }

std::string redact(std::string_view text) {
    std::string clean;
    clean.reserve(text.size());
    bool at_word_start = true;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const std::size_t kept = at_word_start ? kept_prefix(text.substr(i)) : 0;
        if (kept > 0) {
            clean += text.substr(i, kept);
            clean += "[…]";
            while (i + 1 < text.size() && is_word(text[i + 1])) ++i;
            at_word_start = false;
            continue;
        }
        const auto c = static_cast<unsigned char>(text[i]);
        at_word_start = !is_word(text[i]);
        if (c < ' ' || c == 0x7f) {
            constexpr std::string_view kHex = "0123456789abcdef";
            clean += "\\x";
            clean += kHex[c >> 4];
            clean += kHex[c & 15];
        } else {
            clean += text[i];
        }
    }
    return clean;
}

}  // namespace nutgate::log
