#include "generator.h"

#include <array>
#include <cerrno>
#include <sys/socket.h>
#include <sys/uio.h>

namespace nutgate::bench {
namespace {

std::string contents_of(const std::string& path) {
    std::ifstream file{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, {}};
}

}  // namespace

Request::Request(const Arguments& arguments) {
    const std::string body = contents_of(arguments.text("--body-file"));
    before_ = "POST " + arguments.text("--path", "/v1/chat/completions") +
              " HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n";
    for (const std::string& header : arguments.texts("--header")) before_ += header + "\r\n";
    after_ = "content-length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
    if (const std::string path = arguments.text("--keys-file"); !path.empty()) {
        std::ifstream file{path};
        for (std::string key; std::getline(file, key);) keys_.push_back(key);
        before_ += "authorization: Bearer ";
        after_.insert(0, "\r\n");
    }
    if (keys_.empty()) keys_.emplace_back();
}

bool Request::send(int fd, Key key, std::size_t& sent) const {
    std::array<iovec, 3> parts{};
    std::size_t count = 0;
    std::size_t skip = sent;
    for (const std::string* part : {&before_, &keys_[key], &after_}) {
        const std::size_t over = std::min(skip, part->size());
        skip -= over;
        if (over == part->size()) continue;
        parts[count++] = {const_cast<char*>(part->data()) + over, part->size() - over};
    }
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = count;
    const ssize_t n = ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) sent += static_cast<std::size_t>(n);
    return n >= 0 || errno == EAGAIN;
}

bool Request::whole(Key key, std::size_t sent) const {
    return sent == before_.size() + keys_[key].size() + after_.size();
}

}  // namespace nutgate::bench
