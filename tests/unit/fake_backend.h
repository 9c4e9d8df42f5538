/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fake_backend.so stands in for gpu_mediator_cuda.so: it computes on the CPU, calls itself
 * cuda, and misbehaves for certain n of VECTOR_ADD. What is put into its default stream comes to an
 * illegal address after FAKE_FAULT_MS, which is seen by a fence of the stream only.
 */
#ifndef TESTS_FAKE_BACKEND_H
#define TESTS_FAKE_BACKEND_H

#define FAKE_HANGS 1001u           /* for ever */
#define FAKE_FAILS_FOR_GOOD 1002u  /* CUDA's illegal address: every later call fails too */
#define FAKE_FAILS_ONCE 1003u      /* CUDA's out of memory */
#define FAKE_IS_SLOW 1004u         /* 500 ms */
#define FAKE_TRIES_TO_ESCAPE 1005u /* fails if any of what is denied can be done */

#define FAKE_FAULT_MS 40u

#endif
