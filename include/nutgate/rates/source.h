// Where a rate can be asked for: public tickers of exchanges that trade bitcoins for US dollars
// (not for a token that is said to be worth one). Pure: an answer's text in, a quote out.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "nutgate/base/clock.h"
#include "nutgate/rates/btc_usd.h"

namespace nutgate::rates {

struct Quote {
    BtcUsd rate;
    std::optional<Time> at = std::nullopt;  // Where the source says so.
};

struct Ticker {
    std::string_view name;  // "kraken"
    std::string_view url;
    // The middle of what is bid and asked where both are there, else the last trade. Empty for an
    // error, another form, a rate that is none.
    std::optional<Quote> (*parse)(std::string_view body);
};

// kraken, coinbase, bitstamp, bitfinex.
std::span<const Ticker> tickers();

// "kraken", or "kraken=https://mirror.example/ticker": a ticker's form at another address.
struct Source {
    std::string name;
    std::string url;
    std::optional<Quote> (*parse)(std::string_view body);
};
// Empty if no ticker is of that name, or the address is none.
std::optional<Source> parse_source(std::string_view text);

}  // namespace nutgate::rates
