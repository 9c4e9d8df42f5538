// SPDX-License-Identifier: GPL-2.0-or-later
/* Commands that need a GPU, or what behaves like one. */
#include "work.h"

#include <stdlib.h>
#include <string.h>

const char *const gpu_kernel_names[GPU_KERNELS] = {
	[GPU_ADD_ONE] = "add_one",
	[GPU_SAXPY] = "saxpy",
	[GPU_VECTOR_ADD] = "vector_add",
	[GPU_MATMUL] = "matmul",
};

#define BLOCK 256

/* Small whole numbers: their sums are exact, in whatever order. */
static void fill_whole(float *p, size_t n)
{
	uint8_t *random = (uint8_t *)p + n * (sizeof(*p) - 1);

	work_fill_random(random, n);
	for (size_t i = 0; i < n; i++)
		p[i] = (float)(random[i] & 7) - 3;
}

/* ---- what comes first: a kernel of its own, right after the start ---- */

#define FIRST_N 1024

static void work_first(const uint64_t *numbers)
{
	static float a[FIRST_N], b[FIRST_N], c[FIRST_N];
	struct {
		uint64_t a, b, c, n;
	} params;
	void *args[] = { &params.a, &params.b, &params.c, &params.n };

	(void)numbers;
	fill_whole(a, FIRST_N);
	fill_whole(b, FIRST_N);
	memset(c, 0xff, sizeof(c));
	params.a = gpu_alloc(sizeof(a));
	params.b = gpu_alloc(sizeof(b));
	params.c = gpu_alloc(sizeof(c));
	params.n = FIRST_N;
	gpu_write(params.a, a, sizeof(a));
	gpu_write(params.b, b, sizeof(b));
	gpu_launch(&(struct gpu_launch){
		.kernel = GPU_VECTOR_ADD,
		.grid = { FIRST_N / BLOCK, 1 },
		.block = { BLOCK, 1 },
		.params = &params,
		.param_bytes = sizeof(params),
		.args = args,
	});
	gpu_read(c, params.c, sizeof(c));
	for (int i = 0; i < FIRST_N; i++) {
		if (c[i] != a[i] + b[i])
			bench_die("first kernel: element %d is wrong", i);
	}
	printf("%llu ", (unsigned long long)bench_now_ns());
	printf("%s\n", gpu_name());
}

/* name: what computes. */
static void work_name(const uint64_t *numbers)
{
	(void)numbers;
	printf("ok %s\n", gpu_name());
	fflush(stdout);
}

/* ---- queries and memory ---- */

/* alloc BYTES COUNT: allocate and free. */
static void work_allocate(const uint64_t *numbers)
{
	struct samples s;
	uint64_t start_ns;
	gpu_ptr p;

	samples_init(&s, numbers[1]);
	for (int i = 0; i < WORK_WARM_UP; i++)
		gpu_free(gpu_alloc(numbers[0]));
	for (uint64_t i = 0; i < numbers[1]; i++) {
		start_ns = bench_now_ns();
		p = gpu_alloc(numbers[0]);
		gpu_free(p);
		samples_add(&s, work_us_since(start_ns));
		if (!p)
			bench_die("allocate: no address");
	}
	work_answer(&s, 1);
	samples_free(&s);
}

static void work_memory_info(const uint64_t *numbers)
{
	size_t free_bytes, total_bytes;
	struct samples s;
	uint64_t start_ns;

	samples_init(&s, numbers[0]);
	for (int i = 0; i < WORK_WARM_UP; i++)
		gpu_memory_info(&free_bytes, &total_bytes);
	for (uint64_t i = 0; i < numbers[0]; i++) {
		free_bytes = total_bytes = 0;
		start_ns = bench_now_ns();
		gpu_memory_info(&free_bytes, &total_bytes);
		samples_add(&s, work_us_since(start_ns));
		if (!free_bytes || free_bytes > total_bytes)
			bench_die("memory info: %zu of %zu free", free_bytes, total_bytes);
	}
	work_answer(&s, 1);
	samples_free(&s);
}

static void work_query(const uint64_t *numbers)
{
	struct samples s;
	uint64_t start_ns;

	samples_init(&s, numbers[0]);
	gpu_synchronize();
	for (int i = 0; i < WORK_WARM_UP; i++)
		gpu_query();
	for (uint64_t i = 0; i < numbers[0]; i++) {
		start_ns = bench_now_ns();
		gpu_query();
		samples_add(&s, work_us_since(start_ns));
	}
	work_answer(&s, 1);
	samples_free(&s);
}

/* ---- many kernels ---- */

/* graph KERNELS COUNT: replayed, each time to its end. */
static void work_graph(const uint64_t *numbers)
{
	struct work_count c;
	struct samples s;
	uint64_t start_ns;

	samples_init(&s, numbers[1] + WORK_WARM_UP);
	work_count_init(&c);
	gpu_graph_begin();
	for (uint64_t i = 0; i < numbers[0]; i++)
		gpu_launch(&c.launch);
	gpu_graph_end();
	for (uint64_t i = 0; i < numbers[1] + WORK_WARM_UP; i++) {
		start_ns = bench_now_ns();
		gpu_graph_launch();
		gpu_synchronize();
		if (i >= WORK_WARM_UP)
			samples_add(&s, work_us_since(start_ns));
	}
	work_count_check(&c, numbers[0] * (numbers[1] + WORK_WARM_UP));
	work_answer(&s, 1);
	gpu_graph_free();
	work_count_dispose(&c);
	samples_free(&s);
}

/* y += x, several times, the first elements of y coming from the host and going back. */
struct dense {
	size_t n, n_host; /* elements */
	unsigned int launches;
	float *x, *in, *out;
	struct {
		uint64_t n;
		float a;
		uint64_t x, y;
	} params;
	void *args[4];
	struct gpu_launch launch;
};

static void dense_init(struct dense *d, size_t n, size_t n_host, unsigned int launches)
{
	*d = (struct dense){ .n = n, .n_host = n_host, .launches = launches };
	d->x = work_alloc(n * sizeof(float));
	d->in = work_alloc(n_host * sizeof(float));
	d->out = work_alloc(n_host * sizeof(float));
	d->params.n = n;
	d->params.a = 1;
	d->params.x = gpu_alloc(n * sizeof(float));
	d->params.y = gpu_alloc(n * sizeof(float));
	fill_whole(d->x, n);
	gpu_write(d->params.x, d->x, n * sizeof(float));
	gpu_write(d->params.y, d->x, n * sizeof(float));
	d->args[0] = &d->params.n;
	d->args[1] = &d->params.a;
	d->args[2] = &d->params.x;
	d->args[3] = &d->params.y;
	d->launch = (struct gpu_launch){
		.kernel = GPU_SAXPY,
		.grid = { (uint32_t)((n + BLOCK - 1) / BLOCK), 1 },
		.block = { BLOCK, 1 },
		.params = &d->params,
		.param_bytes = sizeof(d->params),
		.args = d->args,
	};
}

static void dense_dispose(struct dense *d)
{
	gpu_free(d->params.y);
	gpu_free(d->params.x);
	free(d->out);
	free(d->in);
	free(d->x);
}

/* Returns what it took, without making and checking the data. */
static double dense_once(struct dense *d)
{
	uint64_t start_ns;
	double us;

	fill_whole(d->in, d->n_host);
	memset(d->out, 0xff, d->n_host * sizeof(float));
	work_settle();
	start_ns = bench_now_ns();
	gpu_write(d->params.y, d->in, d->n_host * sizeof(float));
	for (unsigned int i = 0; i < d->launches; i++)
		gpu_launch(&d->launch);
	gpu_read(d->out, d->params.y, d->n_host * sizeof(float));
	gpu_synchronize();
	us = work_us_since(start_ns);
	for (size_t i = 0; i < d->n_host; i++) {
		if (d->out[i] != d->in[i] + (float)d->launches * d->x[i])
			bench_die("dense: element %zu is wrong", i);
	}
	return us;
}

/* dense COUNT: 64 KiB in, 20 launches on 1 Mi floats, 64 KiB out, synchronize. */
static void work_dense(const uint64_t *numbers)
{
	struct samples s;
	struct dense d;

	samples_init(&s, numbers[0]);
	dense_init(&d, 1u << 20, 16384, 20);
	for (int i = 0; i < WORK_WARM_UP; i++)
		dense_once(&d);
	for (uint64_t i = 0; i < numbers[0]; i++)
		samples_add(&s, dense_once(&d));
	work_answer(&s, 1);
	dense_dispose(&d);
	samples_free(&s);
}

/* mixed MS: what many do at once, for so long. Answers with rounds a second. */
static void work_mixed(const uint64_t *numbers)
{
	const uint64_t start_ns = bench_now_ns();
	size_t free_bytes, total_bytes;
	unsigned int rounds = 0;
	struct samples s;
	struct dense d;
	double us = 0;

	samples_init(&s, 1);
	for (; us < (double)numbers[0] * 1e3; rounds++, us = work_us_since(start_ns)) {
		dense_init(&d, 65536, 65536, 8);
		for (int i = 0; i < 4; i++)
			dense_once(&d);
		dense_dispose(&d);
		gpu_memory_info(&free_bytes, &total_bytes);
	}
	samples_add(&s, rounds / us * 1e6);
	work_answer(&s, 1);
	samples_free(&s);
}

/* ---- one long kernel ---- */

#define TILE 32
#define CHECKED 64

struct matmul_params {
	uint64_t a, b, c;
	uint32_t m, n, k;
};

struct matmul {
	uint32_t n;
	float *a, *b, *c;
	struct matmul_params params;
	void *args[6];
	struct gpu_launch launch;
};

static void matmul_init(struct matmul *m, uint32_t n)
{
	const size_t elements = (size_t)n * n, bytes = elements * sizeof(float);

	m->n = n;
	m->a = work_alloc(bytes);
	m->b = work_alloc(bytes);
	m->c = work_alloc(bytes);
	fill_whole(m->a, elements);
	fill_whole(m->b, elements);
	m->params.a = gpu_alloc(bytes);
	m->params.b = gpu_alloc(bytes);
	m->params.c = gpu_alloc(bytes);
	m->params.m = m->params.n = m->params.k = n;
	gpu_write(m->params.a, m->a, bytes);
	gpu_write(m->params.b, m->b, bytes);
	m->args[0] = &m->params.a;
	m->args[1] = &m->params.b;
	m->args[2] = &m->params.c;
	m->args[3] = &m->params.m;
	m->args[4] = &m->params.n;
	m->args[5] = &m->params.k;
	m->launch = (struct gpu_launch){
		.kernel = GPU_MATMUL,
		.grid = { (n + TILE - 1) / TILE, (n + TILE - 1) / TILE },
		.block = { TILE, TILE },
		.params = &m->params,
		.param_bytes = offsetof(struct matmul_params, k) + sizeof(m->params.k),
		.args = m->args,
	};
}

static void matmul_dispose(struct matmul *m)
{
	gpu_free(m->params.c);
	gpu_free(m->params.b);
	gpu_free(m->params.a);
	free(m->c);
	free(m->b);
	free(m->a);
}

/* Some elements anywhere; c was poisoned on the device. */
static void matmul_check(struct matmul *m)
{
	const size_t elements = (size_t)m->n * m->n;
	uint64_t at;
	float sum;

	gpu_read(m->c, m->params.c, elements * sizeof(float));
	for (int i = 0; i < CHECKED; i++) {
		work_fill_random(&at, sizeof(at));
		at %= elements;
		sum = 0;
		for (size_t k = 0; k < m->n; k++)
			sum += m->a[at / m->n * m->n + k] * m->b[k * m->n + at % m->n];
		if (m->c[at] != sum)
			bench_die("matmul: element %llu is wrong", (unsigned long long)at);
	}
}

/* matmul N COUNT */
static void work_matmul(const uint64_t *numbers)
{
	const size_t bytes = numbers[0] * numbers[0] * sizeof(float);
	struct matmul m;
	struct samples s;
	uint64_t start_ns;

	samples_init(&s, numbers[1]);
	matmul_init(&m, (uint32_t)numbers[0]);
	for (uint64_t i = 0; i <= numbers[1]; i++) {
		memset(m.c, 0xff, bytes);
		gpu_write(m.params.c, m.c, bytes);
		gpu_synchronize();
		start_ns = bench_now_ns();
		gpu_launch(&m.launch);
		gpu_synchronize();
		if (i > 0)
			samples_add(&s, work_us_since(start_ns));
		matmul_check(&m);
	}
	work_answer(&s, 1);
	matmul_dispose(&m);
	samples_free(&s);
}

const struct work_command more_work[] = {
	{ "first", 0, work_first },    { "name", 0, work_name },
	{ "alloc", 2, work_allocate }, { "memory_info", 1, work_memory_info },
	{ "query", 1, work_query },    { "graph", 2, work_graph },
	{ "dense", 1, work_dense },    { "mixed", 1, work_mixed },
	{ "matmul", 2, work_matmul },  { 0 },
};
