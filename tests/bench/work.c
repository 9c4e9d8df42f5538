// SPDX-License-Identifier: GPL-2.0-or-later
/* Commands for all, and the loop that serves them. */
#include "work.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* Launches between two synchronizations: far less than any queue holds. */
#define BURST 16
#define POISON 0xa5

void work_answer(const struct samples *s, size_t sets)
{
	printf("ok");
	for (size_t i = 0; i < sets; i++) {
		for (size_t k = 0; k < s[i].n; k++)
			printf(" %.4f", s[i].us[k]);
	}
	putchar('\n');
	fflush(stdout);
}

void work_fill_random(void *p, size_t bytes)
{
	static uint64_t state;
	uint8_t *out = p;
	size_t i;

	while (!state) {
		if (getrandom(&state, sizeof(state), 0) != sizeof(state))
			bench_die("random numbers: %s", strerror(errno));
	}
	for (i = 0; i < bytes; i += sizeof(state)) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		memcpy(out + i, &state, bytes - i < sizeof(state) ? bytes - i : sizeof(state));
	}
}

void *work_alloc(size_t bytes)
{
	void *p = aligned_alloc(4096, (bytes + 4095) & ~(size_t)4095);

	if (!p)
		bench_die("out of memory");
	memset(p, POISON, bytes);
	return p;
}

/* Long enough for a processor's clock to rise. */
#define SETTLE_US 200

void work_settle(void)
{
	const uint64_t start_ns = bench_now_ns();

	gpu_synchronize();
	do
		gpu_wake();
	while (work_us_since(start_ns) < SETTLE_US);
}

void work_count_init(struct work_count *c)
{
	work_fill_random(&c->expected, sizeof(c->expected));
	c->counter = gpu_alloc(sizeof(c->expected));
	gpu_write(c->counter, &c->expected, sizeof(c->expected));
	c->params.p = c->counter;
	c->params.n = 1;
	c->args[0] = &c->params.p;
	c->args[1] = &c->params.n;
	c->launch = (struct gpu_launch){
		.kernel = GPU_ADD_ONE,
		.grid = { 1, 1 },
		.block = { 1, 1 },
		.params = &c->params,
		.param_bytes = sizeof(c->params),
		.args = c->args,
	};
	for (int i = 0; i < BURST; i++)
		gpu_launch(&c->launch);
	gpu_synchronize();
	work_count_check(c, BURST);
}

void work_count_check(struct work_count *c, uint64_t launches)
{
	uint32_t now = ~c->expected;

	c->expected += (uint32_t)launches;
	gpu_read(&now, c->counter, sizeof(now));
	if (now != c->expected)
		bench_die("%llu launches: %u counted too few", (unsigned long long)launches,
			  c->expected - now);
}

void work_count_dispose(struct work_count *c)
{
	gpu_free(c->counter);
}

/* launch BURSTS: each call by itself, so with what the clock costs. */
static void work_launch(const uint64_t *numbers)
{
	struct work_count c;
	struct samples s;
	uint64_t start_ns;

	samples_init(&s, numbers[0] * BURST);
	work_count_init(&c);
	for (uint64_t i = 0; i < numbers[0]; i++) {
		for (int k = 0; k < BURST; k++) {
			start_ns = bench_now_ns();
			gpu_launch(&c.launch);
			samples_add(&s, work_us_since(start_ns));
		}
		gpu_synchronize();
	}
	work_count_check(&c, numbers[0] * BURST);
	work_answer(&s, 1);
	work_count_dispose(&c);
	samples_free(&s);
}

/* rate LAUNCHES RUNS: one after the other, and the end awaited; time of each launch. */
static void work_rate(const uint64_t *numbers)
{
	struct work_count c;
	struct samples s;
	uint64_t start_ns;

	samples_init(&s, numbers[1]);
	work_count_init(&c);
	for (uint64_t run = 0; run < numbers[1]; run++) {
		start_ns = bench_now_ns();
		for (uint64_t i = 0; i < numbers[0]; i++)
			gpu_launch(&c.launch);
		gpu_synchronize();
		samples_add(&s, work_us_since(start_ns) / (double)numbers[0]);
	}
	work_count_check(&c, numbers[0] * numbers[1]);
	work_answer(&s, 1);
	work_count_dispose(&c);
	samples_free(&s);
}

/* launch_sync COUNT REST-US: REST-US of sleep before each. */
static void work_launch_sync(const uint64_t *numbers)
{
	struct work_count c;
	struct samples s;
	uint64_t start_ns;

	samples_init(&s, numbers[0]);
	work_count_init(&c);
	for (uint64_t i = 0; i < numbers[0]; i++) {
		if (numbers[1])
			usleep((useconds_t)numbers[1]);
		start_ns = bench_now_ns();
		gpu_launch(&c.launch);
		gpu_synchronize();
		samples_add(&s, work_us_since(start_ns));
	}
	work_count_check(&c, numbers[0]);
	work_answer(&s, 1);
	work_count_dispose(&c);
	samples_free(&s);
}

/* round_trip COUNT: of nothing. */
static void work_round_trip(const uint64_t *numbers)
{
	struct samples s;
	uint64_t start_ns;

	samples_init(&s, numbers[0]);
	for (int i = 0; i < BURST; i++)
		gpu_wake();
	for (uint64_t i = 0; i < numbers[0]; i++) {
		start_ns = bench_now_ns();
		gpu_wake();
		samples_add(&s, work_us_since(start_ns));
	}
	work_answer(&s, 1);
	samples_free(&s);
}

struct copying {
	gpu_ptr device;
	void *pattern; /* what was written */
	void *memory;  /* that is copied from and to */
	size_t bytes;
	bool synchronize;
};

static void copy_once(const struct copying *c, struct samples to_and_from[2])
{
	uint64_t start_ns;

	work_fill_random(c->pattern, c->bytes);
	memcpy(c->memory, c->pattern, c->bytes);
	work_settle();
	start_ns = bench_now_ns();
	gpu_write(c->device, c->memory, c->bytes);
	if (c->synchronize)
		gpu_synchronize();
	samples_add(&to_and_from[0], work_us_since(start_ns));

	memset(c->memory, POISON, c->bytes);
	work_settle();
	start_ns = bench_now_ns();
	gpu_read(c->memory, c->device, c->bytes);
	if (c->synchronize)
		gpu_synchronize();
	samples_add(&to_and_from[1], work_us_since(start_ns));
	if (memcmp(c->memory, c->pattern, c->bytes) != 0)
		bench_die("a copy of %zu bytes came back different", c->bytes);
}

static void copy_all(struct copying *c, uint64_t count)
{
	struct samples s[2];

	c->device = gpu_alloc(c->bytes);
	c->pattern = work_alloc(c->bytes);
	for (int i = 0; i < 2; i++)
		samples_init(&s[i], count);
	for (int i = 0; i < WORK_WARM_UP; i++)
		copy_once(c, s);
	s[0].n = s[1].n = 0;
	for (uint64_t i = 0; i < count; i++)
		copy_once(c, s);
	work_answer(s, 2);
	for (int i = 0; i < 2; i++)
		samples_free(&s[i]);
	free(c->pattern);
	gpu_free(c->device);
}

/* copy_window BYTES COUNT: to the device, then from it. */
static void work_copy_window(const uint64_t *numbers)
{
	struct copying c = { .bytes = numbers[0] };

	c.memory = gpu_window_alloc(c.bytes);
	copy_all(&c, numbers[1]);
	gpu_window_free(c.memory);
}

/* copy_ordinary BYTES COUNT SYNCHRONIZE: 1, and each is followed by a synchronization. */
static void work_copy_ordinary(const uint64_t *numbers)
{
	struct copying c = { .bytes = numbers[0], .synchronize = numbers[2] != 0 };

	c.memory = work_alloc(c.bytes);
	copy_all(&c, numbers[1]);
	free(c.memory);
}

static const struct work_command basic_work[] = {
	{ "launch", 1, work_launch },
	{ "rate", 2, work_rate },
	{ "launch_sync", 2, work_launch_sync },
	{ "round_trip", 1, work_round_trip },
	{ "copy_window", 2, work_copy_window },
	{ "copy_ordinary", 3, work_copy_ordinary },
	{ 0 },
};

static const struct work_command *find_command(const char *name)
{
	const struct work_command *const tables[] = { basic_work, more_work };

	for (size_t t = 0; t < 2; t++) {
		for (const struct work_command *c = tables[t]; c->name; c++) {
			if (strcmp(c->name, name) == 0)
				return c;
		}
	}
	bench_die("no such command: %s", name);
}

static void run_command(char **words, int n)
{
	const struct work_command *c = find_command(words[0]);
	uint64_t numbers[WORK_ARGS] = { 0 };

	if (n != c->numbers + 1)
		bench_die("%s takes %d numbers", c->name, c->numbers);
	for (int i = 0; i < c->numbers; i++)
		numbers[i] = strtoull(words[i + 1], NULL, 10);
	c->run(numbers);
}

static void run_line(char *line)
{
	char *words[WORK_ARGS + 1], *rest = NULL;
	int n = 0;

	for (char *w = strtok_r(line, " \n", &rest); w && n <= WORK_ARGS;
	     w = strtok_r(NULL, " \n", &rest))
		words[n++] = w;
	if (n)
		run_command(words, n);
}

int main(int argc, char **argv)
{
	char line[256];

	if (argc < 4) {
		fprintf(stderr, "Usage: %s WHERE IMAGE WINDOW-BYTES [COMMAND...]\n", argv[0]);
		return 2;
	}
	gpu_open(argv[1], argv[2], strtoull(argv[3], NULL, 10));
	if (argc > 4) {
		run_command(argv + 4, argc - 4);
	} else {
		while (fgets(line, sizeof(line), stdin))
			run_line(line);
	}
	gpu_close();
	return 0;
}
