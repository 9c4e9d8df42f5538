// SPDX-License-Identifier: GPL-2.0-or-later
/* Rows that do not come from two processes in turn. */
#include <unistd.h>

#include "compare.h"
#include "gpu.h"
#include "proc.h"

#define IDLE_NAME "CPU time of an idle channel in 2 s"
#define IDLE_BEFORE_US 300000
#define IDLE_US 500 /* nothing, but for what looking costs */

/*
 * Both sit there with all that they have open; the mediator's side counts its busiest worker,
 * since others wait for other clients.
 */
void compare_idle(struct setup *s)
{
	struct proc_cpu other = { .pid = s->peers[OTHER].pid };
	struct proc_cpu client = { .pid = s->peers[VGPU].pid };
	struct proc_cpu mediator = { .pid = bench_mediator_pid() };
	struct proc_cpu workers[PROC_CHILDREN];
	double us, worker_us = 0;
	struct row *row;
	size_t n;

	if (!compare_wants(s, IDLE_NAME))
		return;
	row = report_row(&s->report, "us", WANT_PLUS, IDLE_US, 1, IDLE_NAME);
	n = proc_children(mediator.pid, workers);
	usleep(IDLE_BEFORE_US);
	proc_cpu_start(&other);
	proc_cpu_start(&client);
	proc_cpu_start(&mediator);
	for (size_t i = 0; i < n; i++)
		proc_cpu_start(&workers[i]);
	sleep(2);
	for (size_t i = 0; i < n; i++) {
		us = proc_cpu_us(&workers[i]);
		worker_us = us > worker_us ? us : worker_us;
	}
	report_add_one(&row->native, proc_cpu_us(&other));
	report_add_one(&row->vgpu, proc_cpu_us(&client) + proc_cpu_us(&mediator) + worker_us);
}

#define FIRST_NAME "process start to first verified kernel"
#define FIRST_RUNS 10
/* Between two runs the pool warms a new worker, which takes a GPU context. */
#define FIRST_PAUSE_US 800000

static int first_once(const char *const argv[], struct side *ms)
{
	char name[128];
	double took;

	usleep(FIRST_PAUSE_US);
	took = bench_time_to_ready(argv, false, name, sizeof(name));
	report_add_one(ms, took);
	return took < 0 ? -1 : 0;
}

void compare_first(struct setup *s)
{
	const char *const other[] = { s->other, "-", s->image, "0", "first", NULL };
	const char *const vgpu[] = { s->vgpu, s->device, s->image, "0", "first", NULL };
	struct row *row;

	if (!compare_wants(s, FIRST_NAME))
		return;
	row = report_row(&s->report, "ms", WANT_AT_MOST, 15, FIRST_RUNS, FIRST_NAME);
	for (int i = 0; i < FIRST_RUNS && !row->failed; i++)
		row->failed =
			first_once(vgpu, &row->vgpu) < 0 || first_once(other, &row->native) < 0;
}

#define CROWD_NAME "32 clients at once, mixed work"
#define CROWD 32
#define CROWD_WORK "mixed 4000"

/* Adds rounds a second of each. */
static int ask_crowd(struct peer *crowd, struct samples *rates)
{
	char name[128];
	int rc = 0;

	for (int i = 0; i < CROWD; i++)
		rc |= peer_ask(&crowd[i], "name");
	for (int i = 0; i < CROWD && rc == 0; i++)
		rc |= peer_answer_text(&crowd[i], name, sizeof(name));
	if (rc)
		return rc;
	/* The pool fills itself again, which is not to be measured. */
	sleep(3);
	for (int i = 0; i < CROWD; i++)
		rc |= peer_ask(&crowd[i], CROWD_WORK);
	for (int i = 0; i < CROWD && rc == 0; i++)
		rc |= peer_answer(&crowd[i], rates);
	return rc;
}

/*
 * All of them must end well; @sum gets what they did together. There are more of them than CPUs, so
 * native ones sleep until the GPU is done, which serves them best; ours see to that themselves.
 */
static int run_crowd(struct setup *s, int which, struct side *sum)
{
	static struct peer crowd[CROWD];
	struct samples rates;
	double all = 0;
	int rc;

	samples_init(&rates, CROWD);
	for (int i = 0; i < CROWD; i++)
		compare_start_peer(s, &crowd[i], which, which == OTHER ? GPU_SLEEPS : NULL, NULL);
	rc = ask_crowd(crowd, &rates);
	for (int i = 0; i < CROWD; i++) {
		if (rc)
			peer_kill(&crowd[i]);
		else
			rc = peer_stop(&crowd[i]);
	}
	for (size_t i = 0; i < rates.n; i++)
		all += rates.us[i];
	report_add_one(sum, all);
	samples_free(&rates);
	return rc;
}

void compare_crowd(struct setup *s)
{
	struct row *row;

	if (!compare_wants(s, CROWD_NAME))
		return;
	row = report_row(&s->report, "1/s", WANT_RATE, 0.95, 1, CROWD_NAME);
	row->failed = run_crowd(s, OTHER, &row->native) < 0 || run_crowd(s, VGPU, &row->vgpu) < 0;
}
