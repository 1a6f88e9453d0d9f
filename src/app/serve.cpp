#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <malloc.h>
#include <optional>
#include <string>
#include <system_error>
#include <unistd.h>

#include "commands.h"
#include "data_dir.h"
#include "node.h"
#include "nutgate/base/log.h"
#include "nutgate/crypto/random.h"
#include "price_config.h"
#include "price_file.h"
#include "quick_start.h"

namespace nutgate::app {
namespace {

std::optional<std::string> read_file(const std::string& path) {
    std::error_code unknown;
    if (std::filesystem::is_directory(path, unknown)) return std::nullopt;
    std::ifstream file{path, std::ios::binary};
    if (!file) return std::nullopt;
    return std::string{std::istreambuf_iterator<char>{file}, {}};
}

log::Level level_of(const std::string& name) {
    if (name == "debug") return log::Level::Debug;
    if (name == "warn") return log::Level::Warn;
    if (name == "error") return log::Level::Error;
    return log::Level::Info;
}

}  // namespace

std::vector<Mistake> assemble(const ServeArguments& arguments, const Environment& environment,
                              Config& config) {
    std::string text;
    if (!arguments.config_file.empty()) {
        const auto file = read_file(arguments.config_file);
        if (!file) return {{"--config", "can't read " + arguments.config_file}};
        text = *file;
    }
    // The variable that --upstream-key-env names is no key of ours, whatever it begins with.
    Environment ours = environment;
    std::erase_if(ours,
                  [&](const auto& entry) { return entry.first == arguments.upstream_key_env; });
    auto mistakes = load(text, ours, config);
    if (!arguments.data_dir.empty()) config.data_dir = arguments.data_dir;
    if (!arguments.listen.empty()) config.public_listen = arguments.listen;
    if (!arguments.operator_listen.empty()) config.operator_listen = arguments.operator_listen;
    config.dev = arguments.dev;
    config.dev_allow_upstream = arguments.dev_allow_upstream;
    if (config.dev) apply_dev_defaults(config);
    // Models that have no price there have it from the file of prices.
    const PriceFile prices = read_price_file(prices_path(config), !config.prices_file.empty());
    mistakes.insert(mistakes.end(), prices.mistakes.begin(), prices.mistakes.end());
    lay_prices(prices.entries, config);
    for (const Mistake& mistake : add_quick_start(arguments, environment, config)) {
        mistakes.push_back(mistake);
    }
    for (const Mistake& mistake : check(config, environment)) mistakes.push_back(mistake);
    return mistakes;
}

namespace {

void print_walk(const std::string& url, bool dev) {
    std::printf("ready %s\n", url.c_str());
    if (dev) {
        std::printf(
            "\nPlay money: invoices pay themselves. To copy:\n\n"
            "  curl -s %s/lightning/invoice -H 'content-type: application/json' "
            "-d '{\"amount_sats\":1000,\"purpose\":\"create\"}'\n"
            "  curl -s %s/lightning/invoice/$ID/status\n"
            "  curl -s %s/v1/chat/completions -H \"authorization: Bearer $KEY\" "
            "-H 'content-type: application/json' "
            "-d '{\"model\":\"demo\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}'\n"
            "  curl -s %s/v1/balance/info -H \"authorization: Bearer $KEY\"\n"
            "  curl -s %s/v1/balance/refund -H \"authorization: Bearer $KEY\" -X POST\n\n"
            "ID is the invoice_id of the first answer, KEY the api_key of the second. "
            "The page to top up: %s/\n",
            url.c_str(), url.c_str(), url.c_str(), url.c_str(), url.c_str(), url.c_str());
    }
    std::fflush(stdout);
}

// A long body lives for milliseconds. As it comes, glibc gives memory of its size back to the
// kernel at once, and takes it again page by page for the next: a third of what such a request
// costs. So each thread's heap keeps some of what is free.
void keep_freed_memory() {
#ifdef __GLIBC__
    constexpr int kOfItsOwnFrom = 4 * 1024 * 1024;
    constexpr int kKeptMax = 16 * 1024 * 1024;
    (void)mallopt(M_MMAP_THRESHOLD, kOfItsOwnFrom);
    (void)mallopt(M_TRIM_THRESHOLD, kKeptMax);
#endif
}

// Blocked in every thread, so that they wait for main to take them.
sigset_t block_signals(bool dev) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    // Play ends with its terminal.
    if (!dev || isatty(STDIN_FILENO) == 0) sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
    // A file beyond the process's limit is then an error of that write, as on a full disk.
    std::signal(SIGXFSZ, SIG_IGN);
    return signals;
}

}  // namespace

int serve(const ServeArguments& arguments) {
    keep_freed_memory();
    const sigset_t signals = block_signals(arguments.dev);
    const Environment environment = process_environment();
    Config config;
    const auto mistakes = assemble(arguments, environment, config);
    if (!mistakes.empty()) return complain(mistakes);
    if (arguments.check) {
        std::fputs(to_toml(config).c_str(), stdout);
        return kDone;
    }
    log::set_level(level_of(config.log_level));
    for (std::string* address : {&config.public_listen, &config.operator_listen}) {
        const auto resolved = resolve_port(*address);
        if (!resolved) return complain("no free port on " + *address);
        *address = *resolved;
    }

    crypto::SystemRandom random;
    auto folder = DataDir::own(config.data_dir, random);
    if (!folder) return complain(folder.error().detail, kMisused);
    auto node = Node::start(config, *std::move(folder), environment);
    if (!node) return complain(node.error().detail, node.error().misused ? kMisused : kFailed);

    const auto address = parse_host_port(config.public_listen);
    const bool v6 = address->host.find(':') != std::string::npos;
    print_walk("http://" + (v6 ? "[" + address->host + "]" : address->host) + ":" +
                   std::to_string((*node)->public_port()),
               config.dev);

    int signal = 0;
    while (sigwait(&signals, &signal) == 0 && signal == SIGHUP) (void)(*node)->take_prices();
    log::info("draining", {{"signal", signal}, {"limit_ms", config.drain_ms}});
    (*node)->drain(Milliseconds{config.drain_ms});
    const bool sound = !(*node)->read_only();
    node->reset();
    log::info("stopped");
    return sound ? kDone : kFailed;
}

}  // namespace nutgate::app
