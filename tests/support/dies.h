// Whether a VERIFY ends the process: tried in a child, whose words nobody wants to read.
#pragma once

#include <csignal>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nutgate/base/verify.h"

namespace nutgate::test {

// `body` opens what it needs by itself: threads of this process do not exist in the child.
template <class Body>
bool dies(Body body) {
    const pid_t child = ::fork();
    VERIFY(child >= 0);
    if (child == 0) {
        std::signal(SIGABRT, SIG_DFL);
        ::dup2(::open("/dev/null", O_WRONLY), STDERR_FILENO);
        body();
        ::_exit(0);
    }
    int status = 0;
    VERIFY(::waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

}  // namespace nutgate::test
