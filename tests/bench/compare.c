// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * compare gpu|cpu MEDIATOR VGPU OTHER IMAGE [--json FILE] [--cuda-library FILE]
 *         [--only TEXT]
 *
 * The same work through the mediator and without it, block by block in turn, each block on fresh
 * data whose results are verified. `gpu`: OTHER is native_gpu, the backend is cuda. `cpu`: OTHER is
 * raw_gpu, the backend is cpu; that tells what the mediator itself costs on this machine. --only:
 * rows with TEXT in their names, "copies" being the sizes from 4 KiB on. A row that fails does not
 * keep the others from being measured; the status is 1 then.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compare.h"

bool compare_wants(const struct setup *s, const char *name)
{
	return !s->only || strstr(name, s->only);
}

/* ---- two processes in turn ---- */

void compare_start_peer(struct setup *s, struct peer *p, int which, const char *window_bytes,
			const cpu_set_t *cpus)
{
	char cpu[16];
	int first = 0;

	while (!CPU_ISSET(first, &s->mediator_cpus))
		first++;
	snprintf(cpu, sizeof(cpu), "%d", first);
	peer_start(p, which == VGPU ? "vgpu" : s->report.native_name,
		   (const char *const[]){ which == VGPU ? s->vgpu : s->other,
					  which == VGPU ? s->device : cpu, s->image, window_bytes,
					  NULL },
		   cpus);
}

static void compare_start_pinned(struct setup *s, int which)
{
	compare_start_peer(s, &s->peers[which], which, s->window_bytes, &s->client_cpus);
}

/* What it answers is added to rows[0], or split over several. */
static int ask_one(struct setup *s, int which, struct row *const *rows, size_t n,
		   struct samples *answer, const char *command)
{
	struct row *row;

	answer->n = 0;
	if (peer_ask(&s->peers[which], command) < 0 || peer_answer(&s->peers[which], answer) < 0)
		return -1;
	for (size_t i = 0; i < answer->n; i++) {
		row = rows[i * n / answer->n];
		samples_add(which == VGPU ? &row->vgpu : &row->native, answer->us[i]);
	}
	return 0;
}

void compare_alternate(struct setup *s, struct row *const *rows, size_t n, size_t room,
		       const char *command)
{
	struct samples answer;
	int which;

	samples_init(&answer, room * n);
	for (int turn = 0; turn < 2 * COMPARE_ROUNDS && !rows[0]->failed; turn++) {
		which = (turn / 2 + turn) % 2;
		if (ask_one(s, which, rows, n, &answer, command) == 0)
			continue;
		for (size_t i = 0; i < n; i++)
			rows[i]->failed = true;
		peer_kill(&s->peers[which]);
		compare_start_pinned(s, which);
	}
	samples_free(&answer);
	for (size_t i = 0; i < n; i++)
		report_row_done(rows[i]);
}

struct plan {
	const char *name;
	const char *command;
	enum wanted wanted;
	double limit;
	size_t samples; /* of a round */
};

static void run_plans(struct setup *s, const struct plan *plans, size_t n)
{
	struct row *row;

	for (size_t i = 0; i < n; i++) {
		if (!compare_wants(s, plans[i].name))
			continue;
		row = report_row(&s->report, "us", plans[i].wanted, plans[i].limit,
				 plans[i].samples * COMPARE_ROUNDS, "%s", plans[i].name);
		compare_alternate(s, &row, 1, plans[i].samples, plans[i].command);
	}
}

/* ---- the two comparisons ---- */

static void start_both(struct setup *s, const char *title, const char *window_bytes)
{
	s->report.title = title;
	s->window_bytes = window_bytes;
	s->mediator.cpus = &s->mediator_cpus;
	s->device = bench_mediator_start(&s->mediator);
	compare_start_pinned(s, OTHER);
	compare_start_pinned(s, VGPU);
	if (peer_ask(&s->peers[VGPU], "name") < 0 ||
	    peer_answer_text(&s->peers[VGPU], s->report.device, sizeof(s->report.device)) < 0)
		bench_die("%s does not work", s->vgpu);
	report_head(&s->report);
}

static void stop_both(struct setup *s)
{
	for (int which = OTHER; which <= VGPU; which++)
		s->ended_badly |= peer_stop(&s->peers[which]) < 0;
	bench_mediator_stop();
}

static void compare_gpu(struct setup *s)
{
	static const struct plan plans[] = {
		{ "launch, as its caller feels it", "launch 200", WANT_AT_MOST, 0.3, 3200 },
		{ "launch, sustained", "rate 5000 4", WANT_SPEED, 0.97, 4 },
		{ "launch + synchronize", "launch_sync 1000 0", WANT_PLUS, 0.5, 1000 },
		{ "the same after 1 ms of rest", "launch_sync 100 1000", WANT_NOTHING, 0, 100 },
		{ "allocate + free 1 MiB", "alloc 1048576 200", WANT_AT_MOST, 5, 200 },
		{ "memory info", "memory_info 200", WANT_PLUS, 0.5, 200 },
		{ "stream query", "query 1000", WANT_PLUS, 0.5, 1000 },
		{ "graph of 100 kernels", "graph 100 50", WANT_SPEED, 0.98, 50 },
		{ "64 KiB in, 20 launches, 64 KiB out", "dense 100", WANT_SPEED, 0.97, 100 },
		{ "matrix product, 8192 x 8192", "matmul 8192 2", WANT_SPEED, 0.99, 2 },
	};

	start_both(s, "The mediator beside native CUDA, transport unix", "536870912");
	run_plans(s, plans, sizeof(plans) / sizeof(plans[0]));
	compare_four_bytes(s);
	compare_copies(s, 256u << 20);
	compare_idle(s);
	stop_both(s);

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
		{ "round trip of nothing", "sync 10000", WANT_NOTHING, 0, 10000 },
		{ "launch, as its caller feels it", "launch 500", WANT_NOTHING, 0, 8000 },
		{ "launch, sustained", "rate 20000 5", WANT_NOTHING, 0, 5 },
		{ "launch + synchronize", "launch_sync 5000 0", WANT_NOTHING, 0, 5000 },
	};

	start_both(s, "The mediator with backend cpu beside bare shared memory", "134217728");
	run_plans(s, plans, sizeof(plans) / sizeof(plans[0]));
	compare_four_bytes(s);
	compare_copies(s, 64u << 20);
	stop_both(s);
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
	failed = report_end(&s.report);
	if (json)
		report_write_json(&s.report, json);
	report_dispose(&s.report);
	return failed || s.ended_badly;
}
