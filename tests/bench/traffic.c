/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One turn of traffic between two network namespaces, measured while it
 * lasts:
 *
 *   bench_traffic KIND FROM TO ADDRESS DEVICE MS CPU CPU [PID...]
 *
 * FROM and TO are files of /run/netns; ADDRESS is that of TO, DEVICE the
 * device there by which packets come. KIND is
 *   tcp     one stream of large writes
 *   udp     datagrams of 64 bytes, a plain send() each
 *   sink    the same, and nobody receives them: what arrived is then the
 *           device's own count
 *   spread  as sink, to one after the other of many addresses that begin as
 *           ADDRESS does (16 bits)
 * Sender and receiver are processes on the CPUs given; this one reads their
 * counters twice, so that neither connecting nor ending is in the figures.
 *
 * Prints: seconds, sent, arrived (packets or bytes), and the seconds of CPU
 * time of the sender, the receiver, and the other processes named. It must not
 * know what is being measured.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PORT	 4000
#define DATAGRAM 64
#define WRITE	 (128 << 10)
#define QUEUE	 (32 << 20) /* bytes of UDP */
#define WARM_MS	 40
#define TIMES	 20   /* a turn may be this much longer than asked for */
#define PATIENCE 20   /* s until the first packet arrives */
#define SPREAD	 4096 /* addresses */

/* Between the processes; each counter on a cache line of its own. */
struct shared {
	_Alignas(64) atomic_ullong sent;
	_Alignas(64) atomic_ullong arrived;
	_Alignas(64) atomic_int ready;
};

enum kind { TCP, UDP, SINK, SPREAD_SINK };
static const char *const kinds[] = {"tcp", "udp", "sink", "spread"};

struct turn {
	enum kind kind;
	struct sockaddr_in address;
	const char *device;
	pid_t sender, receiver; /* receiver 0: nobody */
	char **others;
};

struct sample {
	double time, cpu_sent, cpu_arrived, cpu_others;
	unsigned long long sent, arrived;
};

static struct shared *shared;
static char buffer[WRITE];

_Noreturn static void die(const char *what)
{
	fprintf(stderr, "bench_traffic: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void enter(const char *netns)
{
	int fd = open(netns, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || setns(fd, CLONE_NEWNET))
		die(netns);
	close(fd);
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

static void count(atomic_ullong *counter, unsigned long long n)
{
	/* One writer, so no locked instruction. */
	atomic_store_explicit(counter, n, memory_order_relaxed);
}

/* What one call sent: TCP counts bytes, UDP datagrams. */
static unsigned long long send_one(const struct turn *t, int fd,
				   const struct sockaddr_in *to)
{
	size_t size = t->kind == TCP ? WRITE : DATAGRAM;
	ssize_t n =
		to ? sendto(fd, buffer, size, 0, (const void *)to, sizeof(*to))
		   : send(fd, buffer, size, 0);

	/* A queue that is full, or a filter, is not the end. */
	if (n < 0 && errno != ENOBUFS && errno != EPERM)
		die("send");
	return n < 0 ? 0 : t->kind == TCP ? (unsigned long long)n : 1;
}

static void send_all(const struct turn *t)
{
	int type = t->kind == TCP ? SOCK_STREAM : SOCK_DGRAM;
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	struct sockaddr_in to[SPREAD];
	unsigned long long n = 0;

	if (fd < 0)
		die("socket");
	if (t->kind != SPREAD_SINK) {
		if (connect(fd, (const void *)&t->address, sizeof(t->address)))
			die("connect");
		for (;;)
			count(&shared->sent, n += send_one(t, fd, NULL));
	}
	/* 40503 is odd: as many addresses, none next to the one before. */
	for (unsigned i = 0; i < SPREAD; i++) {
		to[i] = t->address;
		to[i].sin_addr.s_addr =
			htonl((ntohl(t->address.sin_addr.s_addr) & ~0xffffu) |
			      (i * 40503u & 0xffff));
	}
	for (unsigned i = 0;; i = (i + 1) % SPREAD)
		count(&shared->sent, n += send_one(t, fd, &to[i]));
}

static void receive_all(const struct turn *t)
{
	int type = t->kind == TCP ? SOCK_STREAM : SOCK_DGRAM;
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	int on = 1, room = QUEUE;
	unsigned long long n = 0;
	ssize_t got;

	if (fd < 0)
		die("socket");
	/* A receiver that has to wait for its CPU should lose nothing. */
	if (t->kind == UDP &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)))
		die("SO_RCVBUFFORCE");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, (const void *)&t->address, sizeof(t->address)) ||
	    (t->kind == TCP && listen(fd, 1)))
		die("bind");
	atomic_store(&shared->ready, 1);
	if (t->kind == TCP && (fd = accept(fd, NULL, NULL)) < 0)
		die("accept");
	while ((got = recv(fd, buffer, sizeof(buffer), 0)) > 0)
		count(&shared->arrived,
		      n += t->kind == TCP ? (unsigned long long)got : 1);
	die("recv");
}

static pid_t start(void (*run)(const struct turn *), const struct turn *t,
		   const char *netns, int cpu)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	enter(netns);
	pin(cpu);
	run(t);
	exit(1);
}

static double clock_read(clockid_t id)
{
	struct timespec t = {0};

	clock_gettime(id, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double cpu_of(pid_t pid)
{
	clockid_t id;

	if (!pid)
		return 0;
	errno = clock_getcpuclockid(pid, &id);
	if (errno)
		die("a process that should run");
	return clock_read(id);
}

/* Packets that a device of this namespace received: /proc/net/dev. */
static unsigned long long device_count(const char *device)
{
	unsigned long long packets = 0;
	size_t len = strlen(device);
	char line[512];
	FILE *f = fopen("/proc/thread-self/net/dev", "re");

	if (!f)
		die("/proc/thread-self/net/dev");
	while (fgets(line, sizeof(line), f)) {
		char *p = line + strspn(line, " ");

		if (!strncmp(p, device, len) && p[len] == ':')
			sscanf(p + len + 1, "%*u %llu", &packets);
	}
	fclose(f);
	return packets;
}

static struct sample look(const struct turn *t)
{
	struct sample s = {
		.cpu_sent = cpu_of(t->sender),
		.cpu_arrived = cpu_of(t->receiver),
		.sent = atomic_load(&shared->sent),
		.arrived = t->receiver ? atomic_load(&shared->arrived)
				       : device_count(t->device),
		.time = clock_read(CLOCK_MONOTONIC),
	};

	for (char **pid = t->others; *pid; pid++)
		s.cpu_others += cpu_of(atoi(*pid));
	return s;
}

static void wait_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
		;
}

/* Ends by itself if a child did: that one has said why. */
static int child_ended(void)
{
	return waitpid(-1, NULL, WNOHANG) > 0;
}

/* Until there is traffic; or, before it starts, somebody who listens. */
static void wait_for(const struct turn *t)
{
	double end = clock_read(CLOCK_MONOTONIC) + PATIENCE;

	while (!(t->sender ? atomic_load(t->receiver ? &shared->arrived
						     : &shared->sent)
			   : (unsigned)atomic_load(&shared->ready))) {
		if (child_ended())
			exit(1);
		if (clock_read(CLOCK_MONOTONIC) > end) {
			errno = ETIMEDOUT;
			die("nothing arrived");
		}
		wait_ms(1);
	}
}

static double cpu_between(const struct sample *a, const struct sample *b)
{
	return b->cpu_sent - a->cpu_sent + b->cpu_arrived - a->cpu_arrived +
	       b->cpu_others - a->cpu_others;
}

/* On a busy machine a turn lasts until there was a quarter of a CPU for it. 0:
 * a child ended. */
static int measure(const struct turn *t, long ms, struct sample *a,
		   struct sample *b)
{
	*a = look(t);
	for (int i = 0; i < TIMES; i++) {
		wait_ms(ms);
		*b = look(t);
		if (child_ended())
			return 0;
		if (cpu_between(a, b) * 4000 >= (double)ms)
			break;
	}
	return 1;
}

static int parse(struct turn *t, int argc, char **argv)
{
	int kinds_count = sizeof(kinds) / sizeof(*kinds), kind;

	if (argc < 9)
		return 0;
	for (kind = 0; kind < kinds_count; kind++) {
		if (!strcmp(argv[1], kinds[kind]))
			break;
	}
	t->kind = (enum kind)kind;
	t->address.sin_family = AF_INET;
	t->address.sin_port = htons(PORT);
	t->device = argv[5];
	t->others = argv + 9;
	return kind < kinds_count &&
	       inet_pton(AF_INET, argv[4], &t->address.sin_addr) == 1;
}

int main(int argc, char **argv)
{
	struct turn t = {0};
	struct sample a, b;

	if (!parse(&t, argc, argv)) {
		fprintf(stderr,
			"usage: bench_traffic tcp|udp|sink|spread FROM TO "
			"ADDRESS DEVICE MS CPU CPU [PID...]\n");
		return 2;
	}
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		die("mmap");
	if (t.kind == TCP || t.kind == UDP) {
		t.receiver = start(receive_all, &t, argv[3], atoi(argv[8]));
		wait_for(&t);
	}
	t.sender = start(send_all, &t, argv[2], atoi(argv[7]));
	enter(argv[3]);
	wait_for(&t);
	wait_ms(WARM_MS);
	if (!measure(&t, atol(argv[6]), &a, &b))
		return 1;
	kill(t.sender, SIGKILL);
	if (t.receiver)
		kill(t.receiver, SIGKILL);
	while (wait(NULL) > 0)
		;
	printf("%.6f %llu %llu %.6f %.6f %.6f\n", b.time - a.time,
	       b.sent - a.sent, b.arrived - a.arrived, b.cpu_sent - a.cpu_sent,
	       b.cpu_arrived - a.cpu_arrived, b.cpu_others - a.cpu_others);
	return 0;
}
