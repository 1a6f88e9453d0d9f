#include "data_dir.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <sys/stat.h>

#include "nutgate/crypto/mnemonic.h"
#include "nutgate/store/open.h"
#include "support/temp_dir.h"

using namespace nutgate;
using namespace nutgate::app;

namespace {
mode_t mode_of(const std::filesystem::path& path) {
    struct stat info {};
    REQUIRE_EQ(::stat(path.c_str(), &info), 0);
    return info.st_mode & 0777U;
}
}  // namespace

TEST_CASE("data dir: seed and token are made once, and only their owner can read them") {
    const test::TempDir temp;
    crypto::SystemRandom random;
    const auto path = temp.path() / "node";
    std::string words;
    {
        const auto folder = DataDir::own(path, random);
        REQUIRE(folder.has_value());
        words = as_text(folder->words()->reveal());
        CHECK(crypto::mnemonic_valid(words));
        CHECK_EQ(mode_of(path), 0700);
        CHECK_EQ(mode_of(path / "seed"), 0600);
        CHECK_EQ(mode_of(path / "operator.token"), 0600);
    }
    const auto again = DataDir::own(path, random);
    CHECK_EQ(as_text(again->words()->reveal()), words);
}

TEST_CASE("data dir: one process owns it, others may look") {
    const test::TempDir temp;
    crypto::SystemRandom random;
    const auto first = DataDir::own(temp.path(), random);
    REQUIRE(first.has_value());
    CHECK_FALSE(DataDir::own(temp.path(), random).has_value());
    CHECK(DataDir::look(temp.path()).has_value());
    CHECK_FALSE(DataDir::look(temp.path() / "nothing").has_value());
}

// A start frees what requests of a process that is gone had held. While one lives, no other start
// gets so far: the lock comes before the database is opened.
TEST_CASE(
    "contract A6: a start beside a process that runs ends at its lock, a later one does not") {
    const test::TempDir temp;
    crypto::SystemRandom random;
    {
        const auto running = DataDir::own(temp.path(), random);
        REQUIRE(running.has_value());
        for (int i = 0; i < 2; ++i) {
            const auto beside = DataDir::own(temp.path(), random);
            REQUIRE_FALSE(beside.has_value());
            CHECK_FALSE(beside.error().detail.empty());
        }
    }
    CHECK(DataDir::own(temp.path(), random).has_value());
}

TEST_CASE("data dir: a database without its seed is not given a new one") {
    const test::TempDir temp;
    crypto::SystemRandom random;
    {
        const auto folder = DataDir::own(temp.path(), random);
        REQUIRE(store::open(folder->database_url()).has_value());
    }
    std::filesystem::remove(temp.path() / "seed");
    CHECK_FALSE(DataDir::own(temp.path(), random).has_value());
    CHECK_FALSE(std::filesystem::exists(temp.path() / "seed"));
}

TEST_CASE("data dir: play money can never become real") {
    const auto database = store::open("sqlite::memory:");
    CHECK(stamp(**database, Money::Dev).has_value());
    CHECK(stamp(**database, Money::Dev).has_value());
    CHECK_FALSE(stamp(**database, Money::Bitcoin).has_value());
}

TEST_CASE("data dir: a restore takes an empty folder, and goes on only with the same words") {
    const test::TempDir temp;
    crypto::SystemRandom random;
    const auto path = temp.path() / "node";
    const Secret words{to_bytes(crypto::new_mnemonic(random))};
    const Secret others{to_bytes(crypto::new_mnemonic(random))};
    for (int i = 0; i < 2; ++i) {
        const auto folder = DataDir::restoring(path, words, random);
        REQUIRE(folder.has_value());
        CHECK_EQ(as_text(folder->words()->reveal()), as_text(words.reveal()));
        CHECK_EQ(mode_of(path / "seed"), 0600);
    }
    CHECK(DataDir::restoring(path, others, random).error().misused);
    REQUIRE(DataDir::own(path, random).has_value());
    // A node lives there now.
    CHECK(DataDir::restoring(path, words, random).error().misused);
    CHECK_EQ(as_text(DataDir::look(path)->words()->reveal()), as_text(words.reveal()));
}

TEST_CASE("data dir: a restore into a node's folder is refused and changes nothing") {
    const test::TempDir temp;
    crypto::SystemRandom random;
    const auto path = temp.path() / "node";
    REQUIRE(DataDir::own(path, random).has_value());
    const std::string before{as_text(DataDir::look(path)->words()->reveal())};
    const Secret words{to_bytes(crypto::new_mnemonic(random))};
    CHECK(DataDir::restoring(path, words, random).error().misused);
    CHECK_EQ(as_text(DataDir::look(path)->words()->reveal()), before);
}
