/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>

#include "cli.h"

/* splitmix64: the same numbers for the same seed, everywhere. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* -1024 to 1024 in steps of 2^-13: sums are exact, but not the same as their operands. */
static float next_float(uint64_t *state)
{
	return (float)(int32_t)(next_random(state) >> 40) / 8192.0f - 1024.0f;
}

static int report(struct cli *cli, const struct vgpu_vector_add_result *r)
{
	cli_add(cli, "elements", json_object_new_uint64(r->elements));
	cli_add(cli, "errors", json_object_new_uint64(r->errors));
	cli_add(cli, "backend", json_object_new_string(cli_backend(r->backend)));
	cli_add(cli, "device", json_object_new_string(cli_safe(r->device)));
	if (r->errors)
		return cli_fail_text(cli,
				     "Vector add failed: %zu elements, %zu errors (%s, backend %s)",
				     r->elements, r->errors, cli_safe(r->device),
				     cli_backend(r->backend));
	cli_print(cli, "Vector add passed: %zu elements, 0 errors\n", r->elements);
	cli_print(cli, "Executed on %s (backend %s)\n", cli_safe(r->device),
		  cli_backend(r->backend));
	return CLI_DONE;
}

static int self_test(struct cli *cli)
{
	struct vgpu_vector_add_result r;
	struct vgpu *vgpu;
	int code = cli_open(cli, &vgpu);
	int rc;

	if (code)
		return code;
	rc = vgpu_vector_add_self_test(vgpu, &r);
	code = rc ? cli_fail(cli, rc, vgpu_last_error(vgpu)) : report(cli, &r);
	vgpu_close(vgpu);
	return code;
}

static size_t count_errors(const float *a, const float *b, const float *c, size_t n)
{
	size_t errors = 0;

	for (size_t i = 0; i < n; i++)
		errors += c[i] != a[i] + b[i];
	return errors;
}

static int add_random(struct cli *cli, size_t n)
{
	struct vgpu_vector_add_result r;
	struct vgpu *vgpu = NULL;
	uint64_t state = cli->seed;
	float *a = calloc(n, sizeof(*a)), *b = calloc(n, sizeof(*b)), *c = calloc(n, sizeof(*c));
	int code, rc;

	if (!a || !b || !c) {
		code = cli_fail_text(cli, "vector_add: out of memory for 3 arrays of %zu elements",
				     n);
		goto out;
	}
	/* First, so that a machine without a device says so before it makes a lot of data. */
	code = cli_open(cli, &vgpu);
	if (code)
		goto out;
	for (size_t i = 0; i < n; i++) {
		a[i] = next_float(&state);
		b[i] = next_float(&state);
	}
	rc = vgpu_vector_add(vgpu, a, b, c, n, &r);
	if (rc) {
		code = cli_fail(cli, rc, vgpu_last_error(vgpu));
		goto out;
	}
	r.errors = count_errors(a, b, c, n);
	code = report(cli, &r);
out:
	vgpu_close(vgpu);
	free(a);
	free(b);
	free(c);
	return code;
}

int command_vector_add(struct cli *cli, int argc, char **argv)
{
	const uint64_t max = SIZE_MAX / (4 * sizeof(float));
	uint64_t n;

	if (argc > 1)
		return cli_usage(cli, "vector_add: takes one number at most");
	if (argc == 0)
		return self_test(cli);
	if (!cli_parse_number(argv[0], 1, max, &n))
		return cli_usage(cli, "vector_add: \"%s\" is no number of elements from 1 to %llu",
				 cli_safe(argv[0]), (unsigned long long)max);
	return add_random(cli, (size_t)n);
}
