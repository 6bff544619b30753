// linkemu: a seeded bad network link between two Linux network namespaces, for tests and benchmarks.
//
// It opens one TUN device in each namespace and carries IP packets between them with a rate, a delay,
// jitter, random loss and an up/down schedule. Both kernels' real TCP stacks see a real bad link, on
// kernels that lack the netem queueing discipline. Needs root (or a user namespace with CAP_NET_ADMIN).
//
//   cc -O2 -o linkemu linkemu.c
//   linkemu -a NS_A -b NS_B [-r kbit/s a->b] [-R kbit/s b->a] [-d one-way ms] [-j jitter ms]
//           [-l loss % each way] [-q queue ms] [-u up s -w down s] [-c] [-s seed] [-t seconds] [-o stats.json]
//
// In NS_A the device is lnk0 with 10.77.0.1, in NS_B lnk0 with 10.77.0.2. It stops on SIGINT, SIGTERM or
// after -t seconds, and then writes the packets and bytes it carried and dropped each way as JSON.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { MTU = 1500, QUEUE_MAX = 1 << 16 };

typedef struct { int64_t due_ns; int size; uint8_t *bytes; } packet;
typedef struct {
  double rate_bps;
  int64_t free_ns, last_due_ns, queued_bytes;
  packet *ring; unsigned head, tail;
  uint64_t in_packets, in_bytes, out_packets, out_bytes, lost, overflow, down;
} direction;

static volatile sig_atomic_t stopping;
static uint64_t rng;
static void stop(int s) { (void)s; stopping = 1; }
static double uniform(void) {  // splitmix64: the same seed gives the same losses
  uint64_t z = (rng += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}
static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ll + t.tv_nsec;
}
static void die(const char *what) { perror(what); exit(2); }

// Whether the link is up at this time since its start, and when that next changes; both 0 of up and down: always.
static int is_up(int64_t at_ns, double up_s, double down_s, int64_t *change_ns) {
  int64_t up = (int64_t)(up_s * 1e9), cycle = up + (int64_t)(down_s * 1e9);
  if (up <= 0 || cycle == up) { *change_ns = INT64_MAX; return 1; }
  int64_t begin = at_ns - at_ns % cycle, on = at_ns - begin < up;
  *change_ns = begin + (on ? up : cycle);
  return (int)on;
}

static int open_tun(const char *ns, const char *address) {
  char path[256], command[512];
  int self = open("/proc/self/ns/net", O_RDONLY);
  snprintf(path, sizeof path, "/var/run/netns/%s", ns);
  int target = open(path, O_RDONLY);
  if (target < 0 || setns(target, CLONE_NEWNET) < 0) die(ns);
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  if (fd < 0) die("/dev/net/tun");
  struct ifreq request;
  memset(&request, 0, sizeof request);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  strcpy(request.ifr_name, "lnk0");
  if (ioctl(fd, TUNSETIFF, &request) < 0) die("TUNSETIFF");
  snprintf(command, sizeof command,
           "ip addr add %s/24 dev lnk0 && ip link set lnk0 mtu %d txqueuelen 64 up && ip link set lo up", address, MTU);
  if (system(command) != 0) { fprintf(stderr, "linkemu: cannot configure lnk0 in %s\n", ns); exit(2); }
  if (setns(self, CLONE_NEWNET) < 0) die("setns back");
  close(self); close(target);
  return fd;
}

int main(int argc, char **argv) {
  const char *a = NULL, *b = NULL, *stats = NULL;
  double rate_ab = 1000, rate_ba = 0, delay_ms = 50, jitter_ms = 0, loss = 0, queue_ms = 500, up_s = 0, down_s = 0, total_s = 0;
  uint64_t seed = 1;
  int shows_carrier = 0, carrier = 1;
  for (int c; (c = getopt(argc, argv, "a:b:r:R:d:j:l:q:u:w:cs:t:o:")) != -1;) switch (c) {
    case 'a': a = optarg; break;
    case 'b': b = optarg; break;
    case 'r': rate_ab = atof(optarg); break;
    case 'R': rate_ba = atof(optarg); break;
    case 'd': delay_ms = atof(optarg); break;
    case 'j': jitter_ms = atof(optarg); break;
    case 'l': loss = atof(optarg) / 100; break;
    case 'q': queue_ms = atof(optarg); break;
    case 'u': up_s = atof(optarg); break;
    case 'w': down_s = atof(optarg); break;
    case 'c': shows_carrier = 1; break;
    case 's': seed = strtoull(optarg, NULL, 10); break;
    case 't': total_s = atof(optarg); break;
    case 'o': stats = optarg; break;
    default: return 2;
  }
  if (!a || !b || rate_ab <= 0) { fprintf(stderr, "linkemu: -a NS_A -b NS_B and a rate above 0 are needed\n"); return 2; }
  if (rate_ba <= 0) rate_ba = rate_ab;
  rng = seed;
  int fd[2] = {open_tun(a, "10.77.0.1"), open_tun(b, "10.77.0.2")};
  direction way[2];
  memset(way, 0, sizeof way);
  for (int i = 0; i < 2; i++) {
    way[i].rate_bps = (i ? rate_ba : rate_ab) * 1000;
    way[i].ring = calloc(QUEUE_MAX, sizeof(packet));
    if (!way[i].ring) die("calloc");
  }
  signal(SIGINT, stop); signal(SIGTERM, stop);
  fprintf(stderr, "linkemu: ready\n");
  int64_t start = now_ns(), change;
  uint8_t buffer[65536];
  while (!stopping) {
    int64_t now = now_ns(), wake = now + 1000000000ll;
    if (total_s > 0 && now - start > total_s * 1e9) break;
    int up = is_up(now - start, up_s, down_s, &change);
    if (shows_carrier && up != carrier) {
      if (ioctl(fd[0], TUNSETCARRIER, &up) < 0) die("TUNSETCARRIER");
      carrier = up;
    }
    if (shows_carrier && change - (now - start) < wake - now) wake = start + change;
    for (int i = 0; i < 2; i++) {  // deliver what is due
      direction *w = &way[i];
      while (w->head != w->tail) {
        packet *p = &w->ring[w->head % QUEUE_MAX];
        if (p->due_ns > now) { if (p->due_ns < wake) wake = p->due_ns; break; }
        if (write(fd[1 - i], p->bytes, p->size) == p->size) { w->out_packets++; w->out_bytes += p->size; } else w->overflow++;
        free(p->bytes); w->head++;
      }
    }
    struct pollfd polls[2] = {{fd[0], POLLIN, 0}, {fd[1], POLLIN, 0}};
    int64_t left = wake - now_ns();
    struct timespec pause = {left > 0 ? left / 1000000000ll : 0, left > 0 ? left % 1000000000ll : 0};
    if (ppoll(polls, 2, &pause, NULL) < 0 && errno != EINTR) die("poll");
    for (int i = 0; i < 2; i++) {
      if (!(polls[i].revents & POLLIN)) continue;
      direction *w = &way[i];
      for (int burst = 0; burst < 64; burst++) {
        int size = read(fd[i], buffer, sizeof buffer);
        if (size <= 0) break;
        now = now_ns();
        w->in_packets++; w->in_bytes += size;
        if (!is_up(now - start, up_s, down_s, &change)) { w->down++; continue; }
        int64_t begin = w->free_ns > now ? w->free_ns : now;
        if (begin - now > queue_ms * 1e6 || w->tail - w->head >= QUEUE_MAX - 1) { w->overflow++; continue; }
        w->free_ns = begin + (int64_t)(size * 8e9 / w->rate_bps);  // a lost packet has still used the link
        if (uniform() < loss) { w->lost++; continue; }
        if (w->free_ns - start >= change) { w->down++; continue; }
        int64_t due = w->free_ns + (int64_t)((delay_ms + jitter_ms * uniform()) * 1e6);
        if (due < w->last_due_ns) due = w->last_due_ns;  // jitter never reorders
        w->last_due_ns = due;
        packet *p = &w->ring[w->tail++ % QUEUE_MAX];
        p->due_ns = due; p->size = size; p->bytes = malloc(size);
        if (!p->bytes) die("malloc");
        memcpy(p->bytes, buffer, size);
      }
    }
  }
  FILE *out = stats ? fopen(stats, "w") : stdout;
  if (!out) die(stats);
  const char *name[2] = {"a_to_b", "b_to_a"};
  fprintf(out, "{\"seconds\": %.3f", (now_ns() - start) / 1e9);
  for (int i = 0; i < 2; i++)
    fprintf(out, ", \"%s\": {\"in_packets\": %lu, \"in_bytes\": %lu, \"out_packets\": %lu, \"out_bytes\": %lu, \"lost\": %lu, \"overflow\": %lu, \"while_down\": %lu}",
            name[i], way[i].in_packets, way[i].in_bytes, way[i].out_packets, way[i].out_bytes, way[i].lost, way[i].overflow, way[i].down);
  fprintf(out, "}\n");
  return 0;
}
