/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gpu_mediator --self-test: is this host able to serve? */
#ifndef HOST_SELF_TEST_H
#define HOST_SELF_TEST_H

#define SELF_TEST_PASSED 0
#define SELF_TEST_FAILED 1
#define SELF_TEST_NO_GPU 4 /* backend = cuda, and it did not come up */

/*
 * Starts a worker, gives it a channel, has it add vectors, and prints the outcome and what
 * computed it. Needs no privileges and no running mediator. Returns one of the above.
 */
int self_test_run(const char *backend, const char *cuda_library, int device);

#endif
