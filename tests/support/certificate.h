// A certificate that nobody but a test knows, signed by itself.
#pragma once

#include <cstdlib>
#include <string>

#include "nutgate/base/verify.h"
#include "support/temp_dir.h"

namespace nutgate::test {

// `names` as openssl writes them: "DNS:localhost,IP:127.0.0.1".
struct Certificate {
    explicit Certificate(const std::string& names) {
        const auto command =
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
            "-subj /CN=nutgate-test -addext subjectAltName=" +
            names + " -keyout " + key + " -out " + file + " 2>/dev/null";
        VERIFY(std::system(command.c_str()) == 0);
    }

    TempDir dir;
    std::string file = dir.file("tls.crt");
    std::string key = dir.file("tls.key");
};

}  // namespace nutgate::test
