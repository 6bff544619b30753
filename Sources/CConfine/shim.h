/* Starting and confining a process on Linux: what Swift cannot see (raw system calls, seccomp's and Landlock's structures),
   and what must happen between clone and exec, where no Swift may run. */
#ifndef FIELDPOST_CCONFINE_H
#define FIELDPOST_CCONFINE_H
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Where the child finds its end of the socket pair. */
#define CCONFINE_CHANNEL 3

struct cconfine_start {
    const char *program;
    char *const *arguments;
    char *const *environment;
    /* The child's end of the socket pair, and something open on /dev/null for its standard streams. */
    int channel, null_file;
    uint64_t data_bytes, address_bytes, cpu_seconds;
    /* Behind everything else: nice 19, SCHED_IDLE, disk class idle. */
    int is_idle;
    /* CLONE_NEW… flags. */
    unsigned long namespaces;
};

static inline void cconfine_limit(int resource, uint64_t value) {
    struct rlimit limit = {value, value};
    setrlimit(resource, &limit);
}

/* A new process; the caller's other threads do not exist in it, so that only system calls are made until exec.
   Returns its id, or a negative errno; the child ends with 127 when the program cannot be started. */
static inline int cconfine_spawn(const struct cconfine_start *start) {
    long pid = syscall(SYS_clone, start->namespaces | SIGCHLD, 0, 0, 0, 0);
    if (pid != 0) return pid < 0 ? -errno : (int)pid;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, 0);
    for (int standard = 0; standard < 3; standard++) if (dup2(start->null_file, standard) < 0) _exit(127);
    if (start->channel == CCONFINE_CHANNEL) fcntl(CCONFINE_CHANNEL, F_SETFD, 0);
    else if (dup2(start->channel, CCONFINE_CHANNEL) < 0) _exit(127);
    if (syscall(SYS_close_range, CCONFINE_CHANNEL + 1, ~0U, 0) < 0)
        for (int descriptor = CCONFINE_CHANNEL + 1; descriptor < 65536; descriptor++) close(descriptor);
    /* The signal comes when the thread that called this ends. */
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) _exit(127);
    cconfine_limit(RLIMIT_DATA, start->data_bytes);
    cconfine_limit(RLIMIT_AS, start->address_bytes);
    cconfine_limit(RLIMIT_CPU, start->cpu_seconds);
    cconfine_limit(RLIMIT_CORE, 0);
    cconfine_limit(RLIMIT_FSIZE, 0);
    cconfine_limit(RLIMIT_NOFILE, 64);
    if (start->is_idle) {
        struct { int priority; } parameter = {0};
        setpriority(PRIO_PROCESS, 0, 19);
        syscall(SYS_sched_setscheduler, 0, 5 /* SCHED_IDLE */, &parameter);
        syscall(SYS_ioprio_set, 1 /* this process */, 0, 3 << 13 /* idle */);
    }
    execve(start->program, start->arguments, start->environment);
    _exit(127);
}

/* Any system call: Swift cannot call what takes a varying number of arguments. */
static inline long cconfine_call(long number, long first, long second, long third, long fourth) { return syscall(number, first, second, third, fourth); }

/* Waits for the end of a process, at most so long. */
static inline void cconfine_await(int pid, int milliseconds) {
    struct pollfd request = {(int)syscall(SYS_pidfd_open, pid, 0), POLLIN, 0};
    if (request.fd < 0) return;
    poll(&request, 1, milliseconds);
    close(request.fd);
}

/* No file may be opened, made, read or run by name, no TCP port used, no process outside signalled: as far as the kernel's
   version of Landlock goes, for the calling thread and what it starts. Returns that version, or a negative errno. */
static inline int cconfine_landlock(void) {
    struct { uint64_t files, network, scoped; } rules = {0, 0, 0};
    long version = syscall(SYS_landlock_create_ruleset, 0, 0, 1 /* ask for the version */);
    if (version < 1) return version < 0 ? -errno : -ENOSYS;
    int file_rights = version >= 5 ? 16 : version >= 3 ? 15 : version >= 2 ? 14 : 13;
    rules.files = (1ULL << file_rights) - 1;
    if (version >= 4) rules.network = 3;
    if (version >= 6) rules.scoped = 3;
    size_t size = version >= 6 ? 24 : version >= 4 ? 16 : 8;
    long set = syscall(SYS_landlock_create_ruleset, &rules, size, 0);
    if (set < 0) return -errno;
    long result = syscall(SYS_landlock_restrict_self, set, 0);
    int code = result < 0 ? -errno : (int)version;
    close((int)set);
    return code;
}

#if defined(__x86_64__)
#define CCONFINE_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define CCONFINE_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#define CCONFINE_RETURN(action) (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action)
#define CCONFINE_LOAD(field) (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define CCONFINE_REFUSE(number) (SECCOMP_RET_ERRNO | (number))

/* Allows what decoding, encoding and one open socket need, and answers everything else with EPERM; for all threads.
   No file is opened, no program started, no process seen, no memory made executable.
   - threads: whether more may be started. Returns 0 or a negative errno. */
static inline int cconfine_seccomp(int threads) {
#ifndef CCONFINE_ARCHITECTURE
    return -ENOSYS;
#else
    static const int allowed[] = {
        SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_recvfrom, SYS_sendto, SYS_recvmsg, SYS_sendmsg, SYS_close, SYS_ppoll, SYS_lseek, SYS_fstat,
        SYS_munmap, SYS_mremap, SYS_madvise, SYS_brk, SYS_futex, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack,
        SYS_clock_gettime, SYS_clock_getres, SYS_clock_nanosleep, SYS_nanosleep, SYS_gettimeofday, SYS_getrandom, SYS_getpid, SYS_gettid,
        SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_sched_yield, SYS_sched_getaffinity, SYS_getcpu, SYS_getrusage, SYS_restart_syscall, SYS_set_robust_list,
        SYS_membarrier, SYS_epoll_pwait, SYS_epoll_ctl, SYS_timerfd_settime, SYS_exit, SYS_exit_group,
#ifdef SYS_rseq
        SYS_rseq,
#endif
#ifdef SYS_poll
        SYS_poll,
#endif
#ifdef SYS_epoll_wait
        SYS_epoll_wait,
#endif
#ifdef SYS_time
        SYS_time,
#endif
    };
    enum { count = sizeof allowed / sizeof allowed[0] };
    struct sock_filter filter[2 * count + 40];
    unsigned short n = 0;
    filter[n++] = CCONFINE_LOAD(arch);
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CCONFINE_ARCHITECTURE, 1, 0);
    filter[n++] = CCONFINE_RETURN(SECCOMP_RET_KILL_PROCESS);
    filter[n++] = CCONFINE_LOAD(nr);
    for (int i = 0; i < count; i++) {
        filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)allowed[i], 0, 1);
        filter[n++] = CCONFINE_RETURN(SECCOMP_RET_ALLOW);
    }
    /* Memory, but none that can be run: PROT_EXEC is 4. */
    const int mapping[] = {SYS_mmap, SYS_mprotect};
    for (int i = 0; i < 2; i++) {
        filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)mapping[i], 0, 4);
        filter[n++] = CCONFINE_LOAD(args[2]);
        filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 4, 0, 1);
        filter[n++] = CCONFINE_RETURN(CCONFINE_REFUSE(EPERM));
        filter[n++] = CCONFINE_RETURN(SECCOMP_RET_ALLOW);
    }
    /* A signal to itself, as abort sends it. */
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_tgkill, 0, 4);
    filter[n++] = CCONFINE_LOAD(args[0]);
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)getpid(), 0, 1);
    filter[n++] = CCONFINE_RETURN(SECCOMP_RET_ALLOW);
    filter[n++] = CCONFINE_RETURN(CCONFINE_REFUSE(EPERM));
    /* Limits may be read. */
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prlimit64, 0, 6);
    filter[n++] = CCONFINE_LOAD(args[2]);
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3);
    filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, args[2]) + 4);
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1);
    filter[n++] = CCONFINE_RETURN(SECCOMP_RET_ALLOW);
    filter[n++] = CCONFINE_RETURN(CCONFINE_REFUSE(EPERM));
    if (threads) {
        /* Threads, never processes. The flags of clone3 lie in memory, where no filter sees them: as if it did not exist. */
        filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1);
        filter[n++] = CCONFINE_RETURN(CCONFINE_REFUSE(ENOSYS));
        filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3);
        filter[n++] = CCONFINE_LOAD(args[0]);
        filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 0, 1);
        filter[n++] = CCONFINE_RETURN(SECCOMP_RET_ALLOW);
    }
    filter[n++] = CCONFINE_RETURN(CCONFINE_REFUSE(EPERM));
    struct sock_fprog program = {n, filter};
    long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
    return result < 0 ? -errno : result > 0 ? -EBUSY : 0;
#endif
}

/* Nobody of the same user may look into this process. */
static inline int cconfine_hide(void) { return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0; }

/* No more processes or threads than there are. */
static inline void cconfine_no_more_processes(void) { cconfine_limit(RLIMIT_NPROC, 0); }
#endif
