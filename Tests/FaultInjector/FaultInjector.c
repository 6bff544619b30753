// Preloaded into a program under test (LD_PRELOAD), it counts every call that changes something below one folder and
// makes the calls of a range fail, or the process die at one. strace can inject faults too, but counts each thread by
// itself: in a program of many threads it reaches only some of the points. Here the N-th call is the N-th of the process.
//
// Environment:
//   FAULT_ROOT   the folder; other files are left alone
//   FAULT_LOG    a file outside it that gets a line for each counted call: number, kind, path
//   FAULT_KINDS  the kinds that count, such as "write,sync"; all when it is missing:
//                write sync rename unlink create truncate mkdir
//   FAULT_FIRST  number of the first call to fail, from 1; none when it is missing
//   FAULT_LAST   number of the last one; only the first when it is missing
//   FAULT_ACTION kill: SIGKILL in place of the call; tear: SIGKILL after half of a write; a number: that errno
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *root, *kinds, *action;
static long first, last;
static int log_descriptor = -1;
static atomic_long counted;

__attribute__((constructor)) static void begin(void) {
    const char *log = getenv("FAULT_LOG"), *from = getenv("FAULT_FIRST"), *to = getenv("FAULT_LAST");
    kinds = getenv("FAULT_KINDS");
    action = getenv("FAULT_ACTION");
    first = from ? atol(from) : 0;
    last = to ? atol(to) : first;
    if (log) log_descriptor = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    root = getenv("FAULT_ROOT");
}

static int is_below(const char *path) {
    size_t length = root ? strlen(root) : 0;
    return length && path && strncmp(path, root, length) == 0 && (path[length] == '/' || path[length] == 0);
}

enum verdict { go_on, fail, tear };

static void die(void) {
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

// Counts the call and says what becomes of it. `errno` is set for `fail`.
static enum verdict judge(const char *kind, const char *path) {
    if (!is_below(path) || (kinds && !strstr(kinds, kind))) return go_on;
    int before = errno;
    long number = atomic_fetch_add(&counted, 1) + 1;
    if (log_descriptor >= 0) {
        char line[4200];
        int length = snprintf(line, sizeof line, "%ld %s %s\n", number, kind, path + strlen(root));
        syscall(SYS_write, log_descriptor, line, (size_t)length);
    }
    errno = before;
    if (!first || number < first || number > last || !action) return go_on;
    if (strcmp(action, "tear") == 0 && strcmp(kind, "write") == 0) return tear;
    if (strcmp(action, "kill") == 0 || strcmp(action, "tear") == 0) die();
    errno = atoi(action);
    return fail;
}

static enum verdict judge_descriptor(const char *kind, int descriptor) {
    char link[64], path[4096];
    if (!root || descriptor == log_descriptor) return go_on;
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof path - 1);
    errno = before;
    if (length <= 0) return go_on;
    path[length] = 0;
    return judge(kind, path);
}

ssize_t write(int descriptor, const void *bytes, size_t count) {
    switch (judge_descriptor("write", descriptor)) {
    case fail: return -1;
    case tear: syscall(SYS_write, descriptor, bytes, count / 2); die();
    case go_on: break;
    }
    return syscall(SYS_write, descriptor, bytes, count);
}

ssize_t writev(int descriptor, const struct iovec *pieces, int count) {
    return judge_descriptor("write", descriptor) == go_on ? syscall(SYS_writev, descriptor, pieces, count) : -1;
}

static ssize_t write_at(int descriptor, const void *bytes, size_t count, off_t offset) {
    switch (judge_descriptor("write", descriptor)) {
    case fail: return -1;
    case tear: syscall(SYS_pwrite64, descriptor, bytes, count / 2, offset); die();
    case go_on: break;
    }
    return syscall(SYS_pwrite64, descriptor, bytes, count, offset);
}
ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) { return write_at(descriptor, bytes, count, offset); }
ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off64_t offset) { return write_at(descriptor, bytes, count, offset); }

int fsync(int descriptor) { return judge_descriptor("sync", descriptor) == go_on ? syscall(SYS_fsync, descriptor) : -1; }
int fdatasync(int descriptor) { return judge_descriptor("sync", descriptor) == go_on ? syscall(SYS_fdatasync, descriptor) : -1; }

static int cut(int descriptor, off_t length) {
    return judge_descriptor("truncate", descriptor) == go_on ? syscall(SYS_ftruncate, descriptor, length) : -1;
}
int ftruncate(int descriptor, off_t length) { return cut(descriptor, length); }
int ftruncate64(int descriptor, off64_t length) { return cut(descriptor, length); }

int renameat2(int folder, const char *path, int target_folder, const char *target, unsigned flags) {
    return judge("rename", path) == go_on ? syscall(SYS_renameat2, folder, path, target_folder, target, flags) : -1;
}
int renameat(int folder, const char *path, int target_folder, const char *target) { return renameat2(folder, path, target_folder, target, 0); }
int rename(const char *path, const char *target) { return renameat2(AT_FDCWD, path, AT_FDCWD, target, 0); }

int unlinkat(int folder, const char *path, int flags) {
    return judge("unlink", path) == go_on ? syscall(SYS_unlinkat, folder, path, flags) : -1;
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }

int mkdir(const char *path, mode_t mode) { return judge("mkdir", path) == go_on ? syscall(SYS_mkdirat, AT_FDCWD, path, mode) : -1; }

// Only an open that makes a file changes something.
static int open_file(int folder, const char *path, int flags, mode_t mode) {
    struct stat information;
    int before = errno;
    int is_new = (flags & O_CREAT) && is_below(path) && stat(path, &information) != 0;
    errno = before;
    if (is_new && judge("create", path) != go_on) return -1;
    return syscall(SYS_openat, folder, path, flags, mode);
}

#define OPEN(folder)                                                                                                      \
    va_list rest;                                                                                                         \
    va_start(rest, flags);                                                                                                \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                                                \
    va_end(rest);                                                                                                         \
    return open_file(folder, path, flags, mode);

int open(const char *path, int flags, ...) { OPEN(AT_FDCWD) }
int open64(const char *path, int flags, ...) { OPEN(AT_FDCWD) }
int openat(int folder, const char *path, int flags, ...) { OPEN(folder) }
int openat64(int folder, const char *path, int flags, ...) { OPEN(folder) }
