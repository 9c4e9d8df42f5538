// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * round_trip MEDIATOR [--json] [--count N]: what a round trip to the worker costs, beside what
 * two processes on the same two CPUs need for the barest exchange there is.
 *
 *   polling   NOP, both sides spinning       a word to and fro through shared memory
 *   sleeping  NOP, both sides sleeping       read() and write() on two eventfds
 *
 * The two alternate in short blocks, so that whatever else the machine does hits both.
 */
#include "bench.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vgpuguest.h>

#include "mediator.h"

#define BLOCKS 10u
#define WARM_UP 500u
/* Longer than anything here waits: whoever polls never falls asleep. */
#define SPIN_US 100000

/* The raw exchange, ours and the other process's. */
struct raw {
	struct {
		_Alignas(128) uint32_t ping;
		_Alignas(128) uint32_t pong;
	} * words;
	int ping_fd, pong_fd;
	pid_t peer;
	uint32_t count;
};

static void raw_polling_peer(struct raw *r)
{
	uint32_t seen = 0, now;

	for (;;) {
		while ((now = __atomic_load_n(&r->words->ping, __ATOMIC_ACQUIRE)) == seen)
			;
		seen = now;
		__atomic_store_n(&r->words->pong, seen, __ATOMIC_RELEASE);
	}
}

static void raw_polling_trip(struct raw *r)
{
	uint32_t n = ++r->count;

	__atomic_store_n(&r->words->ping, n, __ATOMIC_RELEASE);
	while (__atomic_load_n(&r->words->pong, __ATOMIC_ACQUIRE) != n)
		;
}

static void raw_sleeping_peer(struct raw *r)
{
	eventfd_t n;

	while (eventfd_read(r->ping_fd, &n) == 0)
		eventfd_write(r->pong_fd, 1);
}

static void raw_sleeping_trip(struct raw *r)
{
	eventfd_t n;

	eventfd_write(r->ping_fd, 1);
	eventfd_read(r->pong_fd, &n);
}

static void raw_start(struct raw *r, void (*peer)(struct raw *r), int cpu)
{
	r->count = 0;
	r->words = mmap(NULL, sizeof(*r->words), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);
	r->ping_fd = eventfd(0, EFD_CLOEXEC);
	r->pong_fd = eventfd(0, EFD_CLOEXEC);
	if (r->words == MAP_FAILED || r->ping_fd < 0 || r->pong_fd < 0)
		bench_die("raw exchange: %s", strerror(errno));
	r->peer = fork();
	if (r->peer < 0)
		bench_die("fork: %s", strerror(errno));
	if (r->peer == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		bench_pin(cpu);
		peer(r);
		_exit(0);
	}
}

static void raw_stop(struct raw *r)
{
	kill(r->peer, SIGKILL);
	waitpid(r->peer, NULL, 0);
	munmap(r->words, sizeof(*r->words));
	close(r->ping_fd);
	close(r->pong_fd);
}

static void raw_block(struct samples *s, bool polling, size_t n, int cpu)
{
	void (*trip)(struct raw * r) = polling ? raw_polling_trip : raw_sleeping_trip;
	struct raw r;
	uint64_t start;

	raw_start(&r, polling ? raw_polling_peer : raw_sleeping_peer, cpu);
	for (size_t i = 0; i < WARM_UP; i++)
		trip(&r);
	for (size_t i = 0; i < n; i++) {
		start = bench_now_ns();
		trip(&r);
		samples_add(s, (double)(bench_now_ns() - start) / 1e3);
	}
	raw_stop(&r);
}

static void nop_block(struct samples *s, const char *device, bool polling, size_t n)
{
	struct vgpu_options o;
	struct vgpu *v;
	uint64_t start;
	int rc;

	vgpu_options_init(&o);
	o.device = device;
	o.spin_us = polling ? SPIN_US : 0;
	if (vgpu_open(&v, &o))
		bench_die("open: %s", vgpu_last_error(NULL));
	for (size_t i = 0; i < WARM_UP; i++)
		vgpu_nop(v);
	for (size_t i = 0; i < n; i++) {
		start = bench_now_ns();
		rc = vgpu_nop(v);
		samples_add(s, (double)(bench_now_ns() - start) / 1e3);
		if (rc)
			bench_die("nop: %s", vgpu_last_error(v));
	}
	vgpu_close(v);
}

struct result {
	const char *name;
	const char *baseline;
	double limit; /* how many times the baseline is allowed */
	struct samples raw, nop;
};

static void measure(struct result *r, const char *mediator, bool polling, size_t n,
		    const int cpus[2])
{
	cpu_set_t worker = { 0 };
	const struct bench_mediator m = {
		.program = mediator,
		.backend = "cpu",
		.spin_us = polling ? SPIN_US : 0,
		.cpus = &worker,
	};
	const char *device;

	CPU_SET(cpus[1], &worker);
	samples_init(&r->raw, n);
	samples_init(&r->nop, n);
	device = bench_mediator_start(&m);
	for (unsigned int i = 0; i < BLOCKS; i++) {
		raw_block(&r->raw, polling, n / BLOCKS, cpus[1]);
		nop_block(&r->nop, device, polling, n / BLOCKS);
	}
	bench_mediator_stop();
	samples_sort(&r->raw);
	samples_sort(&r->nop);
}

static const double points[] = { 0.5, 0.99 };
static const char *const point_names[] = { "p50", "p99" };
#define POINTS (sizeof(points) / sizeof(points[0]))

static void print_table(const struct result *results, size_t n)
{
	printf("%-9s %-26s %4s %10s %10s %7s %7s\n", "NOP", "beside", "", "raw us", "NOP us",
	       "ratio", "wanted");
	for (size_t i = 0; i < n; i++) {
		for (size_t p = 0; p < POINTS; p++) {
			double raw = samples_at(&results[i].raw, points[p]);
			double nop = samples_at(&results[i].nop, points[p]);

			printf("%-9s %-26s %4s %10.2f %10.2f %6.2fx %6.1fx%s\n", results[i].name,
			       results[i].baseline, point_names[p], raw, nop, nop / raw,
			       results[i].limit, nop > results[i].limit * raw ? "  MISSED" : "");
		}
	}
}

static void print_json(const struct result *results, size_t n, const char *cpus)
{
	printf("{ \"cpus\": \"%s\"", cpus);
	for (size_t i = 0; i < n; i++) {
		printf(", \"%s\": { \"round_trips\": %zu", results[i].name, results[i].nop.n);
		for (size_t p = 0; p < POINTS; p++)
			printf(", \"raw_%s_us\": %.3f, \"nop_%s_us\": %.3f", point_names[p],
			       samples_at(&results[i].raw, points[p]), point_names[p],
			       samples_at(&results[i].nop, points[p]));
		printf(" }");
	}
	printf(" }\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "count", required_argument, NULL, 'n' },
		{ 0 },
	};
	struct result results[] = {
		{ .name = "polling", .baseline = "shared-memory ping-pong", .limit = 2.0 },
		{ .name = "sleeping", .baseline = "eventfd ping-pong", .limit = 1.5 },
	};
	const char *relation;
	unsigned long count = 200000;
	bool json = false;
	int cpus[2], c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'j')
			json = true;
		else if (c == 'n')
			count = strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	if (optind + 1 != argc || count < BLOCKS) {
		fprintf(stderr, "Usage: round_trip [--json] [--count N] MEDIATOR\n");
		return 2;
	}
	relation = bench_two_cpus(cpus);
	bench_pin(cpus[0]);
	if (!json)
		printf("CPUs %d and %d, %s; %lu round trips each\n", cpus[0], cpus[1], relation,
		       count);
	fflush(stdout);
	measure(&results[0], argv[optind], true, count, cpus);
	measure(&results[1], argv[optind], false, count / 4, cpus);
	if (json)
		print_json(results, 2, relation);
	else
		print_table(results, 2);
	for (size_t i = 0; i < 2; i++) {
		samples_free(&results[i].raw);
		samples_free(&results[i].nop);
	}
	return 0;
}
