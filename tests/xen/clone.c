// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * clone ID NAME NEW-ID: create and start a domain like domain ID, which is still there, with a
 * name and a UUID of its own, under the number NEW-ID. xl lets Xen choose the number, so what
 * happens when one is used again cannot be tried with it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libxl.h>
#include <libxl_utils.h>

int main(int argc, char **argv)
{
	xentoollog_logger_stdiostream *log;
	libxl_domain_config config;
	libxl_ctx *ctx = NULL;
	uint32_t domid = 0;
	int rc;

	if (argc != 4) {
		fprintf(stderr, "usage: clone ID NAME NEW-ID\n");
		return 2;
	}
	/* Numbers rest for a minute after their domain has ended, unless: */
	setenv("LIBXL_DOMID_REUSE_TIMEOUT", "0", 1);
	log = xtl_createlogger_stdiostream(stderr, XTL_WARN, 0);
	if (!log || libxl_ctx_alloc(&ctx, LIBXL_VERSION, 0, (xentoollog_logger *)log)) {
		fprintf(stderr, "clone: no libxl context\n");
		return 1;
	}
	libxl_domain_config_init(&config);
	rc = libxl_retrieve_domain_configuration(ctx, (uint32_t)atoi(argv[1]), &config, NULL);
	if (rc == 0) {
		free(config.c_info.name);
		config.c_info.name = strdup(argv[2]);
		libxl_uuid_generate(&config.c_info.uuid);
		config.c_info.domid = (libxl_domid)atoi(argv[3]);
		rc = libxl_domain_create_new(ctx, &config, &domid, NULL, NULL);
	}
	if (rc == 0)
		rc = libxl_domain_unpause(ctx, domid, NULL);
	if (rc)
		fprintf(stderr, "clone: domain %s as %s: libxl error %d\n", argv[1], argv[3], rc);
	else
		printf("%u\n", domid);
	libxl_domain_config_dispose(&config);
	libxl_ctx_free(ctx);
	xtl_logger_destroy((xentoollog_logger *)log);
	return rc ? 1 : 0;
}
