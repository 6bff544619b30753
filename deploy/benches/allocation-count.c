// Loaded into fieldpost-edge by deploy/bench capture (LD_PRELOAD): counts what a camera's thread allocates for a packet.
// A camera's thread is one that calls av_read_frame. What it allocates within that call is FFmpeg's own; what it allocates
// from there to the next call is counted as ours, also where FFmpeg does it for us. The four counters lie in the file that
// ALLOCATION_COUNTS names, 8 bytes each, in the machine's order.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct counts {
    _Atomic uint64_t packets;   // that were read
    _Atomic uint64_t clean;     // of these, handled without any allocation
    _Atomic uint64_t ours;      // allocations between two reads
    _Atomic uint64_t demuxers;  // allocations within a read
};

static struct counts unused;
static struct counts *counts = &unused;
static int (*real_read)(void *, void *);
static __thread int is_reading __attribute__((tls_model("initial-exec")));
static __thread int is_camera __attribute__((tls_model("initial-exec")));
static __thread uint64_t since_read __attribute__((tls_model("initial-exec")));

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("ALLOCATION_COUNTS");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file >= 0) {
        void *memory = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (memory != MAP_FAILED) counts = memory;
        close(file);
    }
}

static void count(void) {
    if (is_reading) atomic_fetch_add_explicit(&counts->demuxers, 1, memory_order_relaxed);
    else if (is_camera) since_read++;
}

int av_read_frame(void *context, void *packet) {
    if (!real_read) real_read = (int (*)(void *, void *))dlsym(RTLD_NEXT, "av_read_frame");
    if (is_camera) {
        atomic_fetch_add_explicit(&counts->packets, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&counts->ours, since_read, memory_order_relaxed);
        if (since_read == 0) atomic_fetch_add_explicit(&counts->clean, 1, memory_order_relaxed);
    }
    is_camera = 1;
    since_read = 0;
    is_reading = 1;
    int result = real_read(context, packet);
    is_reading = 0;
    return result;
}

void *malloc(size_t size) { count(); return __libc_malloc(size); }
void *calloc(size_t number, size_t size) { count(); return __libc_calloc(number, size); }
void *realloc(void *old, size_t size) { count(); return __libc_realloc(old, size); }
void *memalign(size_t alignment, size_t size) { count(); return __libc_memalign(alignment, size); }
void *aligned_alloc(size_t alignment, size_t size) { count(); return __libc_memalign(alignment, size); }
int posix_memalign(void **result, size_t alignment, size_t size) {
    count();
    *result = __libc_memalign(alignment, size);
    return *result ? 0 : 12;  // ENOMEM
}
