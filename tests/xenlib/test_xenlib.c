/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Does the stand-in for event channels and grants do what Xen and Linux do? */
#include "bed.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xenevtchn.h>
#include <xengnttab.h>

#define PAGE 4096u
#define NONE ((uint32_t)-1)

#define FAILS(error, call)                                                                         \
	do {                                                                                       \
		errno = 0;                                                                         \
		assert_true((call) < 0);                                                           \
		assert_int_equal(errno, error);                                                    \
	} while (0)
#define FAILS_NULL(error, call)                                                                    \
	do {                                                                                       \
		errno = 0;                                                                         \
		assert_null(call);                                                                 \
		assert_int_equal(errno, error);                                                    \
	} while (0)

/* ---- event channels ---- */

struct pair {
	xenevtchn_handle *guest, *host;
	evtchn_port_t guest_port, host_port;
};

static xenevtchn_handle *evtchn(uint32_t domid)
{
	xenevtchn_handle *h;

	bed_become(domid);
	h = xenevtchn_open(NULL, 0);
	assert_non_null(h);
	return h;
}

static bool pending(xenevtchn_handle *h)
{
	return bed_readable(xenevtchn_fd(h), 0);
}

/* Take the event that is there. */
static void take(xenevtchn_handle *h, evtchn_port_t port)
{
	assert_true(pending(h));
	assert_int_equal(xenevtchn_pending(h), port);
}

static struct pair bound(void)
{
	struct pair p = { evtchn(1), evtchn(0), 0, 0 };
	int port = xenevtchn_bind_unbound_port(p.guest, 0);

	assert_true(port > 0);
	p.guest_port = (evtchn_port_t)port;
	port = xenevtchn_bind_interdomain(p.host, 1, p.guest_port);
	assert_true(port > 0);
	p.host_port = (evtchn_port_t)port;
	return p;
}

static void unbind_pair(struct pair *p)
{
	xenevtchn_close(p->guest);
	xenevtchn_close(p->host);
}

static void test_binding_signals_the_binder(void **state)
{
	struct pair p = bound();

	(void)state;
	take(p.host, p.host_port);
	assert_false(pending(p.guest));
	unbind_pair(&p);
}

static void test_event_both_ways(void **state)
{
	struct pair p = bound();

	(void)state;
	take(p.host, p.host_port);
	assert_int_equal(xenevtchn_unmask(p.host, p.host_port), 0);
	assert_int_equal(xenevtchn_notify(p.guest, p.guest_port), 0);
	take(p.host, p.host_port);
	assert_int_equal(xenevtchn_notify(p.host, p.host_port), 0);
	take(p.guest, p.guest_port);
	unbind_pair(&p);
}

/* Delivered, it is masked; what comes then is one event, and kept. */
static void test_masked_until_unmask(void **state)
{
	struct pair p = bound();

	(void)state;
	take(p.host, p.host_port);
	for (int i = 0; i < 3; i++)
		assert_int_equal(xenevtchn_notify(p.guest, p.guest_port), 0);
	assert_false(pending(p.host));
	assert_int_equal(xenevtchn_unmask(p.host, p.host_port), 0);
	take(p.host, p.host_port);
	assert_int_equal(xenevtchn_unmask(p.host, p.host_port), 0);
	assert_false(pending(p.host));
	unbind_pair(&p);
}

/* A domain that does not run finds all that came meanwhile as one event. */
static void test_paused_domain_takes_events_later(void **state)
{
	struct pair p = bound();

	(void)state;
	take(p.host, p.host_port);
	assert_int_equal(xenevtchn_unmask(p.host, p.host_port), 0);
	assert_int_equal(bed_command("pause 0", NULL), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(xenevtchn_notify(p.guest, p.guest_port), 0);
	assert_false(pending(p.host));
	assert_int_equal(xenevtchn_notify(p.host, p.host_port), 0);
	take(p.guest, p.guest_port); /* the other one runs */
	assert_int_equal(bed_command("unpause 0", NULL), 0);
	take(p.host, p.host_port);
	assert_int_equal(xenevtchn_unmask(p.host, p.host_port), 0);
	assert_false(pending(p.host));
	unbind_pair(&p);
}

static void test_notify_while_unbound_is_lost_quietly(void **state)
{
	xenevtchn_handle *guest = evtchn(1);
	int port = xenevtchn_bind_unbound_port(guest, 0);

	(void)state;
	assert_int_equal(xenevtchn_notify(guest, (evtchn_port_t)port), 0);
	FAILS(ENOTCONN, xenevtchn_notify(guest, (evtchn_port_t)port + 1));
	FAILS(ENOTCONN, xenevtchn_unbind(guest, (evtchn_port_t)port + 1));
	FAILS(ESRCH, xenevtchn_bind_unbound_port(guest, 77));
	xenevtchn_close(guest);
}

static void test_only_the_named_domain_binds_and_once(void **state)
{
	struct pair p = bound();
	xenevtchn_handle *stranger = evtchn(2), *second = evtchn(0);
	int port = xenevtchn_bind_unbound_port(p.guest, 0);

	(void)state;
	FAILS(EINVAL, xenevtchn_bind_interdomain(stranger, 1, (evtchn_port_t)port));
	FAILS(EINVAL, xenevtchn_bind_interdomain(second, 1, p.guest_port));
	FAILS(EINVAL, xenevtchn_bind_interdomain(second, 1, 999));
	FAILS(ESRCH, xenevtchn_bind_interdomain(second, 77, p.guest_port));
	/* A port is its handle's. */
	FAILS(ENOTCONN, xenevtchn_notify(second, p.host_port));
	xenevtchn_close(second);
	xenevtchn_close(stranger);
	unbind_pair(&p);
}

/* The other end of a closed one is free for the same domain again, and hears nothing of it. */
static void test_closed_end_leaves_the_other_unbound(void **state)
{
	struct pair p = bound();
	int port;

	(void)state;
	take(p.host, p.host_port);
	assert_int_equal(xenevtchn_unbind(p.host, p.host_port), 0);
	assert_false(pending(p.guest));
	assert_int_equal(xenevtchn_notify(p.guest, p.guest_port), 0);
	port = xenevtchn_bind_interdomain(p.host, 1, p.guest_port);
	assert_true(port > 0);
	take(p.host, (evtchn_port_t)port);
	xenevtchn_close(p.host);
	bed_expect_count(0, "ports", 0);
	xenevtchn_close(p.guest);
	bed_expect_count(1, "ports", 0);
}

static void test_restricted(void **state)
{
	xenevtchn_handle *guest1 = evtchn(1), *guest2 = evtchn(2), *host = evtchn(0);
	int port1 = xenevtchn_bind_unbound_port(guest1, 0);
	int port2 = xenevtchn_bind_unbound_port(guest2, 0);

	(void)state;
	assert_int_equal(xenevtchn_restrict(host, 1), 0);
	FAILS(EACCES, xenevtchn_bind_interdomain(host, 2, (evtchn_port_t)port2));
	FAILS(EACCES, xenevtchn_bind_unbound_port(host, 2));
	FAILS(EACCES, xenevtchn_restrict(host, 2));
	assert_true(xenevtchn_bind_interdomain(host, 1, (evtchn_port_t)port1) > 0);
	xenevtchn_close(host);
	xenevtchn_close(guest1);
	xenevtchn_close(guest2);
}

/* ---- grants ---- */

static xengnttab_handle *gnttab(uint32_t domid)
{
	xengnttab_handle *h;

	bed_become(domid);
	h = xengnttab_open(NULL, 0);
	assert_non_null(h);
	return h;
}

static xengntshr_handle *gntshr(uint32_t domid)
{
	xengntshr_handle *h;

	bed_become(domid);
	h = xengntshr_open(NULL, 0);
	assert_non_null(h);
	return h;
}

static void test_pages_are_shared(void **state)
{
	xengntshr_handle *guest = gntshr(1);
	xengnttab_handle *host = gnttab(0);
	uint32_t refs[16], swapped[2];
	uint8_t *ours = xengntshr_share_pages(guest, 0, 16, refs, 1);
	uint8_t *theirs, *two;

	(void)state;
	assert_non_null(ours);
	for (uint32_t i = 0; i < 16 * PAGE; i++)
		assert_int_equal(ours[i], 0);
	theirs = xengnttab_map_domain_grant_refs(host, 16, 1, refs, PROT_READ | PROT_WRITE);
	assert_non_null(theirs);
	ours[15 * PAGE + 7] = 42;
	assert_int_equal(theirs[15 * PAGE + 7], 42);
	theirs[3] = 43;
	assert_int_equal(ours[3], 43);
	/* In whatever order they are named. */
	swapped[0] = refs[15];
	swapped[1] = refs[0];
	two = xengnttab_map_domain_grant_refs(host, 2, 1, swapped, PROT_READ);
	assert_non_null(two);
	assert_int_equal(two[7], 42);
	assert_int_equal(two[PAGE + 3], 43);
	assert_int_equal(xengnttab_unmap(host, two, 2), 0);
	FAILS(EINVAL, xengnttab_unmap(host, theirs, 15));
	assert_int_equal(xengnttab_unmap(host, theirs, 16), 0);
	assert_int_equal(xengntshr_unshare(guest, ours, 16), 0);
	bed_expect_count(1, "grants", 0);
	bed_expect_count(0, "maps", 0);
	xengnttab_close(host);
	xengntshr_close(guest);
}

static void test_pages_of_two_domains(void **state)
{
	xengntshr_handle *guest1 = gntshr(1), *guest2 = gntshr(2);
	xengnttab_handle *host = gnttab(0);
	uint32_t refs[3], domids[3] = { 2, 1, 2 }, two[2];
	uint8_t *a = xengntshr_share_pages(guest1, 0, 1, &refs[1], 1);
	uint8_t *b = xengntshr_share_pages(guest2, 0, 2, two, 1);
	uint8_t *all;

	(void)state;
	refs[0] = two[0];
	refs[2] = two[1];
	a[0] = 1;
	b[0] = 2;
	b[PAGE] = 3;
	all = xengnttab_map_grant_refs(host, 3, domids, refs, PROT_READ);
	assert_non_null(all);
	assert_int_equal(all[0], 2);
	assert_int_equal(all[PAGE], 1);
	assert_int_equal(all[2 * PAGE], 3);
	xengnttab_unmap(host, all, 3);
	xengntshr_unshare(guest1, a, 1);
	xengntshr_unshare(guest2, b, 2);
	xengnttab_close(host);
	xengntshr_close(guest1);
	xengntshr_close(guest2);
}

static void test_map_refused(void **state)
{
	xengntshr_handle *guest = gntshr(1);
	xengnttab_handle *host = gnttab(0), *stranger = gnttab(2);
	uint32_t ref, readonly, both[2];
	void *ours = xengntshr_share_pages(guest, 0, 1, &ref, 1);
	void *fixed = xengntshr_share_pages(guest, 0, 1, &readonly, 0);
	void *map;

	(void)state;
	FAILS_NULL(EINVAL, xengnttab_map_grant_ref(stranger, 1, ref, PROT_READ));
	FAILS_NULL(EINVAL, xengnttab_map_grant_ref(host, 2, ref, PROT_READ));
	FAILS_NULL(EINVAL, xengnttab_map_grant_ref(host, 1, 12345, PROT_READ));
	FAILS_NULL(EINVAL, xengnttab_map_grant_ref(host, 1, UINT32_MAX, PROT_READ));
	FAILS_NULL(EINVAL, xengnttab_map_grant_ref(host, 77, ref, PROT_READ));
	FAILS_NULL(EINVAL, xengnttab_map_grant_ref(host, 1, readonly, PROT_READ | PROT_WRITE));
	/* All or nothing. */
	both[0] = ref;
	both[1] = readonly;
	FAILS_NULL(EINVAL, xengnttab_map_domain_grant_refs(host, 2, 1, both, PROT_WRITE));
	bed_expect_count(0, "maps", 0);
	map = xengnttab_map_domain_grant_refs(host, 2, 1, both, PROT_READ);
	assert_non_null(map);
	xengnttab_unmap(host, map, 2);
	xengntshr_unshare(guest, ours, 1);
	FAILS_NULL(EINVAL, xengnttab_map_grant_ref(host, 1, ref, PROT_READ));
	xengntshr_unshare(guest, fixed, 1);
	xengnttab_close(stranger);
	xengnttab_close(host);
	xengntshr_close(guest);
}

/* What the other side has mapped stays as it is, and its number is not used again. */
static void test_unshared_while_mapped(void **state)
{
	xengntshr_handle *guest = gntshr(1);
	xengnttab_handle *host = gnttab(0);
	uint32_t ref, next;
	uint8_t *ours = xengntshr_share_pages(guest, 0, 1, &ref, 1), *theirs, *others;

	(void)state;
	theirs = xengnttab_map_grant_ref(host, 1, ref, PROT_READ | PROT_WRITE);
	assert_non_null(theirs);
	ours[0] = 9;
	xengntshr_unshare(guest, ours, 1);
	others = xengntshr_share_pages(guest, 0, 1, &next, 1);
	assert_int_not_equal(next, ref);
	others[0] = 8;
	assert_int_equal(theirs[0], 9);
	xengnttab_unmap(host, theirs, 1);
	xengntshr_unshare(guest, others, 1);
	bed_expect_count(1, "grants", 0);
	xengnttab_close(host);
	xengntshr_close(guest);
}

static void test_limit(void **state)
{
	xengntshr_handle *guest = gntshr(1);
	uint32_t refs[1024];
	void *all;

	(void)state;
	assert_int_equal(bed_command("limit 1 100", NULL), 0);
	FAILS_NULL(ENOSPC, xengntshr_share_pages(guest, 0, 101, refs, 1));
	all = xengntshr_share_pages(guest, 0, 100, refs, 1);
	assert_non_null(all);
	FAILS_NULL(ENOSPC, xengntshr_share_pages(guest, 0, 1, refs, 1));
	xengntshr_unshare(guest, all, 100);
	assert_int_equal(bed_command("limit 1 1024", NULL), 0);
	all = xengntshr_share_pages(guest, 0, 1024, refs, 1);
	assert_non_null(all);
	xengntshr_unshare(guest, all, 1024);
	xengntshr_close(guest);
}

/* ---- notifications of an unmap ---- */

struct presence {
	struct pair p;
	xengntshr_handle *shr;
	xengnttab_handle *tab;
	uint8_t *ours, *theirs;
	uint32_t ref;
};

/* The guest's byte is 0, the host's 1; both ports have nothing pending. */
static struct presence present(void)
{
	struct presence s = { .p = bound(), .shr = gntshr(1), .tab = gnttab(0) };

	take(s.p.host, s.p.host_port);
	xenevtchn_unmask(s.p.host, s.p.host_port);
	s.ours = xengntshr_share_page_notify(s.shr, 0, &s.ref, 1, 0, s.p.guest_port);
	assert_non_null(s.ours);
	s.theirs = xengnttab_map_grant_ref_notify(s.tab, 1, s.ref, PROT_READ | PROT_WRITE, 1,
						  s.p.host_port);
	assert_non_null(s.theirs);
	s.ours[0] = s.theirs[1] = 1;
	return s;
}

static void test_unshare_tells(void **state)
{
	struct presence s = present();

	(void)state;
	xengntshr_unshare(s.shr, s.ours, 1);
	assert_int_equal(s.theirs[0], 0);
	assert_int_equal(s.theirs[1], 1);
	take(s.p.host, s.p.host_port);
	xengnttab_unmap(s.tab, s.theirs, 1);
	xengntshr_close(s.shr);
	xengnttab_close(s.tab);
	unbind_pair(&s.p);
}

static void test_unmap_tells(void **state)
{
	struct presence s = present();

	(void)state;
	xengnttab_unmap(s.tab, s.theirs, 1);
	assert_int_equal(s.ours[0], 1);
	assert_int_equal(s.ours[1], 0);
	take(s.p.guest, s.p.guest_port);
	xengntshr_unshare(s.shr, s.ours, 1);
	xengntshr_close(s.shr);
	xengnttab_close(s.tab);
	unbind_pair(&s.p);
}

/* The notification holds the port open: it arrives though the port's handle is closed before. */
static void test_port_closed_before_the_page_goes(void **state)
{
	struct presence s = present();

	(void)state;
	xenevtchn_close(s.p.guest);
	bed_expect_count(1, "ports", 1);
	assert_false(pending(s.p.host));
	xengntshr_unshare(s.shr, s.ours, 1);
	take(s.p.host, s.p.host_port);
	bed_expect_count(1, "ports", 0);
	xengnttab_unmap(s.tab, s.theirs, 1);
	xengntshr_close(s.shr);
	xengnttab_close(s.tab);
	xenevtchn_close(s.p.host);
}

static void test_notify_needs_sound_arguments(void **state)
{
	struct presence s = present();
	uint32_t ref;

	(void)state;
	FAILS_NULL(EINVAL, xengntshr_share_page_notify(s.shr, 0, &ref, 1, 0, 999));
	FAILS_NULL(EINVAL,
		   xengnttab_map_grant_ref_notify(s.tab, 1, s.ref, PROT_READ | PROT_WRITE, 1, 999));
	FAILS_NULL(EINVAL, xengnttab_map_grant_ref_notify(s.tab, 1, s.ref, PROT_READ, 1, NONE));
	bed_expect_count(1, "grants", 1);
	assert_int_equal(s.ours[0], 1);
	assert_int_equal(s.ours[1], 1);
	xengnttab_unmap(s.tab, s.theirs, 1);
	xengntshr_unshare(s.shr, s.ours, 1);
	xengntshr_close(s.shr);
	xengnttab_close(s.tab);
	unbind_pair(&s.p);
}

/* Closing the handle leaves what is mapped: the worker does that. */
static void test_mapping_outlives_its_handle(void **state)
{
	struct presence s = present();

	(void)state;
	xengnttab_close(s.tab);
	usleep(50000);
	assert_int_equal(s.ours[1], 1);
	s.theirs[100] = 5;
	assert_int_equal(s.ours[100], 5);
	assert_false(pending(s.p.guest));
	bed_expect_count(0, "maps", 1);
	munmap(s.theirs, PAGE);
	xengntshr_unshare(s.shr, s.ours, 1);
	xengntshr_close(s.shr);
	unbind_pair(&s.p);
}

/* A guest's program, and what it tells the test. */
struct told {
	uint32_t port, ref;
};

static void guest_program(int to_parent)
{
	xenevtchn_handle *h = evtchn(1);
	xengntshr_handle *shr = gntshr(1);
	struct told told = { .port = (uint32_t)xenevtchn_bind_unbound_port(h, 0) };
	uint8_t *page = xengntshr_share_page_notify(shr, 0, &told.ref, 1, 0, told.port);

	page[0] = 1;
	if (write(to_parent, &told, sizeof(told)) < 0)
		_exit(1);
}

static void test_killed_program_tells(void **state)
{
	xenevtchn_handle *host = evtchn(0);
	xengnttab_handle *tab = gnttab(0);
	struct told told;
	int from, port;
	pid_t pid = bed_program(guest_program, &from);
	uint8_t *page;

	(void)state;
	assert_int_equal(read(from, &told, sizeof(told)), sizeof(told));
	port = xenevtchn_bind_interdomain(host, 1, told.port);
	take(host, (evtchn_port_t)port);
	xenevtchn_unmask(host, (evtchn_port_t)port);
	page = xengnttab_map_grant_ref_notify(tab, 1, told.ref, PROT_READ | PROT_WRITE, 1,
					      (evtchn_port_t)port);
	assert_non_null(page);
	assert_int_equal(page[0], 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_true(bed_readable(xenevtchn_fd(host), BED_WAIT_MS));
	assert_int_equal(page[0], 0);
	bed_expect_count(1, "ports", 0);
	bed_expect_count(1, "grants", 1); /* ours is the last mapping */
	xengnttab_unmap(tab, page, 1);
	bed_expect_count(1, "grants", 0);
	xengnttab_close(tab);
	xenevtchn_close(host);
	close(from);
}

static void test_domain_destroyed(void **state)
{
	struct presence s = present();
	struct xs_handle *xs = bed_xs(0);

	(void)state;
	assert_true(xs_is_domain_introduced(xs, 1));
	assert_int_equal(bed_command("destroy 1", NULL), 0);
	assert_false(xs_is_domain_introduced(xs, 1));
	assert_int_equal(s.theirs[0], 0);
	take(s.p.host, s.p.host_port);
	FAILS(EIO, xenevtchn_notify(s.p.guest, s.p.guest_port));
	FAILS_NULL(EINVAL, xengnttab_map_grant_ref(s.tab, 1, s.ref, PROT_READ));
	/* The number is another's, and the old one's memory is not that one's. */
	assert_int_equal(bed_command("create 1 again 33333333-3333-3333-3333-333333333333", NULL),
			 0);
	FAILS_NULL(EINVAL, xengnttab_map_grant_ref(s.tab, 1, s.ref, PROT_READ));
	xengnttab_unmap(s.tab, s.theirs, 1);
	xengntshr_unshare(s.shr, s.ours, 1);
	xengntshr_close(s.shr);
	xengnttab_close(s.tab);
	unbind_pair(&s.p);
	xs_close(xs);
}

static void test_no_daemon(void **state)
{
	(void)state;
	setenv("XENLIB_SOCKET", "/nowhere/xen", 1);
	FAILS_NULL(ENOENT, xenevtchn_open(NULL, 0));
	FAILS_NULL(ENOENT, xengnttab_open(NULL, 0));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, bed_setup, bed_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_binding_signals_the_binder),
		CASE(test_event_both_ways),
		CASE(test_masked_until_unmask),
		CASE(test_paused_domain_takes_events_later),
		CASE(test_notify_while_unbound_is_lost_quietly),
		CASE(test_only_the_named_domain_binds_and_once),
		CASE(test_closed_end_leaves_the_other_unbound),
		CASE(test_restricted),
		CASE(test_pages_are_shared),
		CASE(test_pages_of_two_domains),
		CASE(test_map_refused),
		CASE(test_unshared_while_mapped),
		CASE(test_limit),
		CASE(test_unshare_tells),
		CASE(test_unmap_tells),
		CASE(test_port_closed_before_the_page_goes),
		CASE(test_notify_needs_sound_arguments),
		CASE(test_mapping_outlives_its_handle),
		CASE(test_killed_program_tells),
		CASE(test_domain_destroyed),
		cmocka_unit_test(test_no_daemon),
	};

	return cmocka_run_group_tests_name("xenlib", tests, NULL, NULL);
}
