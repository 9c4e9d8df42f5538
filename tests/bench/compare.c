// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * compare gpu|cpu MEDIATOR VGPU OTHER IMAGE [--json FILE] [--cuda-library FILE]
 *         [--only TEXT]
 *
 * The same work through the mediator and without it, block by block in turn, all of it several
 * times by new processes, each block on fresh data whose results are verified. `gpu`: OTHER is
 * native_gpu, the backend is cuda. `cpu`: OTHER is raw_gpu, the backend is cpu; that tells what the
 * mediator itself costs on this machine. --only: rows with TEXT in their names, "copies" being the
 * sizes from 4 KiB on. A row that fails does not keep the others from being measured; the status is
 * 1 then.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compare.h"
#include "proc.h"

#define TURNS COMPARE_TURNS

bool compare_wants(const struct setup *s, const char *name)
{
	return !s->only || strstr(name, s->only);
}

/* ---- two processes in turn ---- */

/* Where the threads run that call the driver, see share_cpu(). */
static int driver_cpu(const struct setup *s)
{
	int first = 0;

	while (!CPU_ISSET(first, &s->mediator_cpus))
		first++;
	return first;
}

void compare_start_peer(struct setup *s, struct peer *p, int which, const char *where,
			const cpu_set_t *cpus)
{
	char cpu[16];

	snprintf(cpu, sizeof(cpu), "%d", driver_cpu(s));
	if (!where)
		where = which == VGPU ? s->device : cpu;
	peer_start(p, which == VGPU ? "vgpu" : s->report.native_name,
		   (const char *const[]){ which == VGPU ? s->vgpu : s->other, where, s->image,
					  cpus ? s->window_bytes : "0", NULL },
		   cpus);
}

/*
 * Native code has the processors that the mediator's worker has: those of a VM differ in how fast
 * the driver runs on them, and by turns (COMPARE_TURNS). So the threads that call the driver have
 * one and the same, see share_cpu(). The two are never at work at the same time.
 */
static void start_pinned(struct setup *s, int which)
{
	const bool native = s->gpu && which == OTHER;

	compare_start_peer(s, &s->peers[which], which, NULL,
			   native ? &s->mediator_cpus : &s->client_cpus);
}

/* The main threads of native code and of the workers: on the first of the mediator's processors. */
static void share_cpu(const struct setup *s)
{
	struct proc_cpu workers[PROC_CHILDREN];
	cpu_set_t cpu;
	size_t n;

	if (!s->gpu)
		return;
	CPU_ZERO(&cpu);
	CPU_SET(driver_cpu(s), &cpu);
	n = proc_children(bench_mediator_pid(), workers);
	for (size_t i = 0; i < n; i++)
		sched_setaffinity(workers[i].pid, sizeof(cpu), &cpu);
	sched_setaffinity(s->peers[OTHER].pid, sizeof(cpu), &cpu);
}

/* The mediator warms a worker for the one that was taken, which takes a GPU context. */
#define SETTLE_US 800000

static void settle(const struct setup *s)
{
	usleep(SETTLE_US);
	share_cpu(s);
}

/* What it answers, split over the rows. */
static int ask_one(struct setup *s, int which, struct row *const *rows, size_t n,
		   struct samples *answer, const char *command)
{
	size_t each;

	answer->n = 0;
	if (peer_ask(&s->peers[which], command) < 0 || peer_answer(&s->peers[which], answer) < 0)
		return -1;
	each = answer->n / n;
	for (size_t i = 0; i < n; i++)
		report_add(which == VGPU ? &rows[i]->vgpu : &rows[i]->native,
			   &(struct samples){ .us = answer->us + i * each, .n = each });
	return 0;
}

/* Longer than a worker polls after its last request, on the processor that is the other's next. */
#define PAUSE_US 15000

void compare_pair(struct setup *s, struct row *const *rows, size_t n, size_t room,
		  unsigned int turns, const char *command)
{
	struct samples answer;
	unsigned int which;

	samples_init(&answer, room * n);
	for (unsigned int turn = 0; turn < 2 * turns && !rows[0]->failed; turn++) {
		which = (s->sitting + turn) % 2;
		usleep(PAUSE_US);
		if (ask_one(s, which, rows, n, &answer, command) == 0)
			continue;
		for (size_t i = 0; i < n; i++)
			rows[i]->failed = true;
		peer_kill(&s->peers[which]);
		start_pinned(s, which);
		settle(s);
	}
	samples_free(&answer);
}

struct plan {
	const char *name;
	const char *command;
	enum wanted wanted;
	double limit;
	size_t samples; /* of a turn */
	unsigned int turns;
};

static void run_plans(struct setup *s, const struct plan *plans, size_t n)
{
	struct row *row;

	for (size_t i = 0; i < n; i++) {
		if (!compare_wants(s, plans[i].name))
			continue;
		row = report_row(&s->report, "us", plans[i].wanted, plans[i].limit,
				 plans[i].samples * plans[i].turns * COMPARE_SITTINGS, "%s",
				 plans[i].name);
		compare_pair(s, &row, 1, plans[i].samples, plans[i].turns, plans[i].command);
	}
}

/* ---- the two comparisons ---- */

static void sit_down(struct setup *s)
{
	start_pinned(s, OTHER);
	start_pinned(s, VGPU);
	if (peer_ask(&s->peers[VGPU], "name") < 0 ||
	    peer_answer_text(&s->peers[VGPU], s->report.device, sizeof(s->report.device)) < 0)
		bench_die("%s does not work", s->vgpu);
	settle(s);
}

static void stand_up(struct setup *s)
{
	for (int which = OTHER; which <= VGPU; which++)
		s->ended_badly |= peer_stop(&s->peers[which]) < 0;
	fprintf(stderr, "sitting %d of %d is over\n", s->sitting + 1, COMPARE_SITTINGS);
}

/* All rows of pairs, copies up to @largest. */
static void compare_pairs(struct setup *s, const struct plan *plans, size_t n, size_t largest)
{
	s->mediator.cpus = &s->mediator_cpus;
	s->device = bench_mediator_start(&s->mediator);
	for (s->sitting = 0; s->sitting < COMPARE_SITTINGS; s->sitting++) {
		sit_down(s);
		run_plans(s, plans, n);
		compare_four_bytes(s);
		compare_copies(s, largest);
		if (s->gpu && s->sitting == 0)
			compare_idle(s);
		stand_up(s);
	}
	bench_mediator_stop();
}

static void compare_gpu(struct setup *s)
{
	static const struct plan plans[] = {
		{ "round trip of nothing", "round_trip 1000", WANT_NOTHING, 0, 1000, TURNS },
		{ "launch, as its caller feels it", "launch 20", WANT_AT_MOST, 0.3, 320, TURNS },
		{ "launch, sustained", "rate 5000 1", WANT_SPEED, 0.97, 1, TURNS },
		{ "launch + synchronize", "launch_sync 200 0", WANT_PLUS, 0.5, 200, TURNS },
		{ "the same after 1 ms of rest", "launch_sync 20 1000", WANT_NOTHING, 0, 20,
		  TURNS },
		{ "the same after 20 ms of rest", "launch_sync 4 20000", WANT_NOTHING, 0, 4,
		  TURNS },
		{ "allocate + free 1 MiB", "alloc 1048576 40", WANT_AT_MOST, 5, 40, TURNS },
		{ "memory info", "memory_info 100", WANT_PLUS, 0.5, 100, TURNS },
		{ "stream query", "query 200", WANT_PLUS, 0.5, 200, TURNS },
		{ "graph of 100 kernels", "graph 100 20", WANT_SPEED, 0.98, 20, TURNS },
		{ "64 KiB in, 20 launches, 64 KiB out", "dense 20", WANT_SPEED, 0.97, 20, TURNS },
		{ "matrix product, 8192 x 8192", "matmul 8192 1", WANT_SPEED, 0.99, 1, 1 },
	};

	s->report.title = "The mediator beside native CUDA, transport unix";
	s->window_bytes = "536870912";
	compare_pairs(s, plans, sizeof(plans) / sizeof(plans[0]), 256u << 20);

	/* Many at once have all CPUs. */
	s->mediator.cpus = NULL;
	s->mediator.pool_size = 4;
	s->device = bench_mediator_start(&s->mediator);
	compare_first(s);
	compare_crowd(s);
	bench_mediator_stop();
}

static void compare_cpu(struct setup *s)
{
	static const struct plan plans[] = {
		{ "round trip of nothing", "round_trip 2000", WANT_NOTHING, 0, 2000, TURNS },
		{ "launch, as its caller feels it", "launch 100", WANT_NOTHING, 0, 1600, TURNS },
		{ "launch, sustained", "rate 20000 1", WANT_NOTHING, 0, 1, TURNS },
		{ "launch + synchronize", "launch_sync 1000 0", WANT_NOTHING, 0, 1000, TURNS },
	};

	s->report.title = "The mediator with backend cpu beside bare shared memory";
	s->window_bytes = "134217728";
	compare_pairs(s, plans, sizeof(plans) / sizeof(plans[0]), 64u << 20);
}

static void name_cpus(struct setup *s)
{
	char client[120], mediator[60];

	bench_cpu_sets(&s->client_cpus, &s->mediator_cpus);
	snprintf(s->report.cpus, sizeof(s->report.cpus), "clients %s, mediator %s",
		 bench_cpu_text(&s->client_cpus, client, sizeof(client)),
		 bench_cpu_text(&s->mediator_cpus, mediator, sizeof(mediator)));
}

static int usage(void)
{
	fprintf(stderr, "Usage: compare gpu|cpu MEDIATOR VGPU OTHER IMAGE [--json FILE] "
			"[--cuda-library FILE] [--only TEXT]\n");
	return 2;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", required_argument, NULL, 'j' },
		{ "cuda-library", required_argument, NULL, 'l' },
		{ "only", required_argument, NULL, 'o' },
		{ 0 },
	};
	static struct setup s = { .mediator = { .spin_us = -1 } };
	const char *json = NULL;
	unsigned int failed;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'j')
			json = optarg;
		else if (c == 'l')
			s.mediator.library = optarg;
		else if (c == 'o')
			s.only = optarg;
		else
			return usage();
	}
	argv += optind;
	if (argc - optind != 5 || (strcmp(argv[0], "gpu") != 0 && strcmp(argv[0], "cpu") != 0))
		return usage();
	s.gpu = strcmp(argv[0], "gpu") == 0;
	s.mediator.program = argv[1];
	s.mediator.backend = s.gpu ? "cuda" : "cpu";
	s.vgpu = argv[2];
	s.other = argv[3];
	s.image = argv[4];
	s.report.native_name = s.gpu ? "native" : "raw";
	name_cpus(&s);
	if (s.gpu)
		compare_gpu(&s);
	else
		compare_cpu(&s);
	failed = report_print(&s.report);
	if (json)
		report_write_json(&s.report, json);
	report_dispose(&s.report);
	return failed || s.ended_badly;
}
