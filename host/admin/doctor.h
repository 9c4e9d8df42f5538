/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of `vgpu-admin doctor` share: each check says a line. */
#ifndef ADMIN_DOCTOR_H
#define ADMIN_DOCTOR_H

#include "../mediator_config.h"
#include "admin.h"

enum verdict {
	VERDICT_OK,
	VERDICT_NOTE, /* not as usual, but it need not harm */
	VERDICT_FAIL,
};

struct doctor {
	struct admin *a;
	json_object *checks;
	unsigned int failed;

	struct mediator_config config; /* the mediator's, or its defaults */
	char xen_enabled[16];          /* its [xen] enabled */
	bool mediator_runs;

	bool xen;       /* this is a domain of Xen */
	bool dom0;      /* the one whose word XenStore takes */
	bool has_domid; /* domid is known */
	uint32_t domid; /* of this domain */
};

void say(struct doctor *d, enum verdict verdict, const char *check, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* doctor_xen.c */
void check_xen(struct doctor *d);
void check_attached(struct doctor *d, uint32_t only); /* UINT32_MAX: all guests */

/* doctor_mediator.c */
void check_mediator(struct doctor *d);

#endif
