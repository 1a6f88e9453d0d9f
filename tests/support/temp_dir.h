// A new folder under the system's temporary one, gone with all that is in it when this goes.
#pragma once

#include <filesystem>
#include <stdlib.h>
#include <string>
#include <system_error>

#include "nutgate/base/verify.h"

namespace nutgate::test {

class TempDir {
public:
    TempDir() {
        std::string path = std::filesystem::temp_directory_path() / "nutgate-test-XXXXXX";
        VERIFY(::mkdtemp(path.data()) != nullptr);
        path_ = std::move(path);
    }
    ~TempDir() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;

    const std::filesystem::path& path() const { return path_; }
    std::string file(const std::string& name) const { return (path_ / name).string(); }
    // What store::open() takes.
    std::string database_url() const { return "sqlite:" + file("nutgate.db"); }

private:
    std::filesystem::path path_;
};

}  // namespace nutgate::test
