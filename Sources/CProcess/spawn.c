#define _GNU_SOURCE
#include "cprocess.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/prctl.h>
#endif

static void become(const char *path, char *const argv[], char *const envp[], int output_fd, int error_fd, pid_t parent) {
    setpgid(0, 0);
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127); // it died before it could be watched
#else
    (void)parent;
#endif
    // What the parent ignores or blocks is inherited through exec; a child begins afresh.
    for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC); // files of the parent are not the child's
    int input = open("/dev/null", O_RDONLY);
    if (input >= 0 && dup2(input, 0) >= 0 && dup2(output_fd, 1) >= 0 && dup2(output_fd, 2) >= 0) execve(path, argv, envp);
    int error = errno;
    (void)!write(error_fd, &error, sizeof error);
    _exit(127);
}

int cprocess_spawn(const char *path, char *const argv[], char *const envp[], int output_fd, pid_t *pid) {
    int report[2]; // closes by itself when exec succeeds, else carries errno
    if (pipe2(report, O_CLOEXEC) != 0) return errno;
    pid_t parent = getpid();
    pid_t child = fork();
    if (child == 0) become(path, argv, envp, output_fd, report[1], parent);
    int error = child < 0 ? errno : 0;
    close(report[1]);
    if (child > 0) {
        ssize_t count;
        do count = read(report[0], &error, sizeof error);
        while (count < 0 && errno == EINTR);
        if (count != sizeof error) error = 0;
    }
    close(report[0]);
    if (error == 0) *pid = child;
    else if (child > 0)
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {} // its exec failed: it has ended, and nobody else knows of it
    return error;
}
