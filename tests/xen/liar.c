// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A guest that lies, for tests on real Xen. Root in a guest runs it against the device of that
 * guest; it speaks XenStore, grants and event channels itself and knows nothing of the library.
 *
 *   vgpu-liar CASE...    run the cases, or all of them; a line each:
 *                          CASE: <error node of the backend>, or what the mediator did
 *   vgpu-liar toggle N   write random states N times, device's and channels', from several
 *                        processes; then put things right
 *   vgpu-liar storm S    ring for nothing as fast as it can, S seconds
 *   vgpu-liar compute S  the same without ringing: what its processor time costs others
 *   vgpu-liar list       the names of the cases
 *
 * Exit code 0: every case ended as the mediator's side should end it, with an error that it wrote.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#include "../../common/shm.h"
#include "../../protocol/vgpu_channel.h"
#include "../../protocol/vgpu_errors.h"
#include "../../protocol/vgpu_version.h"
#include "../../protocol/vgpu_xenstore.h"

#define FRONT "device/vgpu/0"
#define NUMBER 20 /* of the channel that lies: beyond those that honest programs take first */
#define PAGES 16u
#define WAIT_S 60
#define RING_ENTRIES 32u

struct liar {
	struct xs_handle *xs;
	xengntshr_handle *share;
	xenevtchn_handle *evtchn;
	uint32_t backend_id;
	uint32_t domid;
	char back[128];

	/* The channel, true until a case bends it. */
	char id[VGPU_XS_ID_CHARS + 1];
	struct vgpu_channel_header *header; /* PAGES pages from here */
	uint8_t *presence;
	uint32_t refs[PAGES];
	uint32_t presence_ref;
	evtchn_port_t port;
	char pages[2100], ring_ref[2100], event_channel[2100], state[2100];
};

static _Noreturn void __attribute__((format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "liar: ");
	vfprintf(stderr, fmt, args);
	fprintf(stderr, ": %s\n", strerror(errno));
	va_end(args);
	exit(2);
}

static uint64_t random64(void)
{
	return (uint64_t)random() << 42 ^ (uint64_t)random() << 21 ^ (uint64_t)random();
}

static char *read_node(struct liar *l, const char *dir, const char *leaf)
{
	static char value[4200];
	char path[256];
	unsigned int n;
	char *got;

	snprintf(path, sizeof(path), "%s/%s", dir, leaf);
	got = xs_read(l->xs, XBT_NULL, path, &n);
	if (!got)
		return NULL;
	snprintf(value, sizeof(value), "%s", got);
	free(got);
	return value;
}

static void write_node(struct liar *l, xs_transaction_t t, const char *dir, const char *leaf,
		       const char *value)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, leaf);
	xs_write(l->xs, t, path, value, (unsigned int)strlen(value));
}

/* Write the device's state, until the mediator's is @back. */
static bool device_state(struct liar *l, const char *front, int back)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	time_t end = time(NULL) + WAIT_S;
	char *text;

	write_node(l, XBT_NULL, FRONT, VGPU_XS_STATE, front);
	while ((text = read_node(l, l->back, VGPU_XS_STATE)), !text || atoi(text) != back) {
		if (time(NULL) > end)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

/* No channel is looked at before some program has opened the device. */
static void open_device(struct liar *l)
{
	char *text = read_node(l, FRONT, VGPU_XS_STATE);

	if (text && atoi(text) == VGPU_XS_CONNECTED)
		return;
	if (!device_state(l, "3", VGPU_XS_CONNECTED))
		die("open the device");
	write_node(l, XBT_NULL, FRONT, VGPU_XS_STATE, "4");
}

static void open_all(struct liar *l)
{
	char *text;

	l->xs = xs_open(0);
	l->share = xengntshr_open(NULL, 0);
	l->evtchn = xenevtchn_open(NULL, 0);
	if (!l->xs || !l->share || !l->evtchn)
		die("open XenStore, gntalloc and evtchn");
	text = xs_read(l->xs, XBT_NULL, "domid", NULL);
	l->domid = text ? (uint32_t)strtoul(text, NULL, 10) : 0;
	free(text);
	text = read_node(l, FRONT, VGPU_XS_BACKEND_ID);
	if (!text)
		die("no device " FRONT);
	l->backend_id = (uint32_t)strtoul(text, NULL, 10);
	snprintf(l->back, sizeof(l->back), "/local/domain/%u/backend/vgpu/%u/0", l->backend_id,
		 l->domid);
	open_device(l);
}

/* ---- the channel ---- */

static void make_channel(struct liar *l)
{
	struct vgpu_channel_header *h;
	xenevtchn_port_or_error_t port;

	snprintf(l->id, sizeof(l->id), "%016llx", (unsigned long long)random64());
	l->header = xengntshr_share_pages(l->share, l->backend_id, PAGES, l->refs, 1);
	port = xenevtchn_bind_unbound_port(l->evtchn, l->backend_id);
	if (!l->header || port < 0)
		die("share %u pages, allocate a port", PAGES);
	l->port = (evtchn_port_t)port;
	l->presence = xengntshr_share_page_notify(l->share, l->backend_id, &l->presence_ref, 1,
						  VGPU_PRESENCE_GUEST, l->port);
	if (!l->presence)
		die("share the presence page");
	l->presence[VGPU_PRESENCE_GUEST] = 1;
	h = l->header;
	memset(h, 0, PAGES * VGPU_PAGE_BYTES);
	h->magic = VGPU_CHANNEL_MAGIC;
	h->version = VGPU_PROTOCOL_VERSION;
	h->total_bytes = PAGES * VGPU_PAGE_BYTES;
	h->index_offset = VGPU_PAGE_BYTES;
	h->req_offset = 2 * VGPU_PAGE_BYTES;
	h->req_entries = RING_ENTRIES;
	h->rsp_offset = 3 * VGPU_PAGE_BYTES;
	h->rsp_entries = RING_ENTRIES;
	h->window_offset = 4 * VGPU_PAGE_BYTES;
	h->window_bytes = (PAGES - 4) * VGPU_PAGE_BYTES;
	h->grant_count = PAGES - 1;
	h->presence_ref = l->presence_ref;
	memcpy(h->grants, l->refs + 1, (PAGES - 1) * sizeof(l->refs[0]));
	snprintf(l->pages, sizeof(l->pages), "%u", PAGES);
	snprintf(l->ring_ref, sizeof(l->ring_ref), "%u", l->refs[0]);
	snprintf(l->event_channel, sizeof(l->event_channel), "%u", l->port);
	snprintf(l->state, sizeof(l->state), "%d", VGPU_XS_INITIALISED);
}

static void channel_path(char out[128], const char *dir, unsigned int k)
{
	snprintf(out, 128, "%.90s/" VGPU_XS_CHANNEL_FMT, dir, k);
}

static void claim(struct liar *l)
{
	struct xs_permissions perms[] = {
		{ .id = l->domid, .perms = XS_PERM_NONE },
		{ .id = l->backend_id, .perms = XS_PERM_READ | XS_PERM_WRITE },
	};
	char dir[128];

	channel_path(dir, FRONT, NUMBER);
	for (int i = 0; i < 50; i++) {
		xs_transaction_t t = xs_transaction_start(l->xs);

		xs_mkdir(l->xs, t, dir);
		xs_set_permissions(l->xs, t, dir, perms, 2);
		write_node(l, t, dir, VGPU_XS_ID, l->id);
		write_node(l, t, dir, VGPU_XS_PAGES, l->pages);
		write_node(l, t, dir, VGPU_XS_RING_REF, l->ring_ref);
		write_node(l, t, dir, VGPU_XS_EVENT_CHANNEL, l->event_channel);
		write_node(l, t, dir, VGPU_XS_STATE, l->state);
		if (xs_transaction_end(l->xs, t, false))
			return;
	}
	die("claim channel %d", NUMBER);
}

static void set_state(struct liar *l, const char *state)
{
	char dir[128];

	channel_path(dir, FRONT, NUMBER);
	write_node(l, XBT_NULL, dir, VGPU_XS_STATE, state);
}

/* The backend's state of our channel under our id; 0: none. */
static int backend_state(struct liar *l)
{
	char dir[128], *text;

	channel_path(dir, l->back, NUMBER);
	text = read_node(l, dir, VGPU_XS_ID);
	if (!text || strcmp(text, l->id) != 0)
		return 0;
	text = read_node(l, dir, VGPU_XS_STATE);
	return text ? atoi(text) : 0;
}

static const char *backend_error(struct liar *l)
{
	char dir[128];

	channel_path(dir, l->back, NUMBER);
	return read_node(l, dir, VGPU_XS_ERROR);
}

/* Until the backend's state is one of these bits (1 << state). Its state, or 0 after WAIT_S. */
static int await(struct liar *l, unsigned int wanted)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	time_t end = time(NULL) + WAIT_S;
	int state;

	do {
		state = backend_state(l);
		if (1u << state & wanted)
			return state;
		nanosleep(&pause, NULL);
	} while (time(NULL) < end);
	return 0;
}

static void drop_channel(struct liar *l)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	char dir[128];

	channel_path(dir, FRONT, NUMBER);
	xs_rm(l->xs, XBT_NULL, dir);
	if (l->presence)
		xengntshr_unshare(l->share, l->presence, 1);
	if (l->header)
		xengntshr_unshare(l->share, l->header, PAGES);
	l->presence = NULL;
	l->header = NULL;
	xenevtchn_unbind(l->evtchn, l->port);
	/* The number is free again when the backend's node is gone too. */
	channel_path(dir, l->back, NUMBER);
	for (int i = 0; i < WAIT_S * 50 && read_node(l, dir, VGPU_XS_ID); i++)
		nanosleep(&pause, NULL);
}

/* ---- lies that the claim tells ---- */

static void lie_random_refs(struct liar *l)
{
	for (uint32_t i = 0; i < PAGES - 1; i++)
		l->header->grants[i] = 100 + (uint32_t)random() % 2000000000;
}

static void lie_ring_ref(struct liar *l)
{
	snprintf(l->ring_ref, sizeof(l->ring_ref), "%u", 1000000 + (unsigned int)random());
}

static void lie_swapped_refs(struct liar *l)
{
	/* The header is no page of the channel's data: what stands there instead has no magic. */
	snprintf(l->ring_ref, sizeof(l->ring_ref), "%u", l->refs[3]);
	l->header->grants[2] = l->refs[0];
}

/* Granted, but to another domain than the backend's. */
static void lie_own_refs(struct liar *l)
{
	uint32_t other;

	if (!xengntshr_share_pages(l->share, l->backend_id + 500, 1, &other, 1))
		die("share a page with domain %u", l->backend_id + 500);
	l->header->grants[5] = other;
}

static bool is_ours(const struct liar *l, uint32_t ref)
{
	for (uint32_t i = 0; i < PAGES; i++)
		if (l->refs[i] == ref)
			return true;
	return ref == l->presence_ref;
}

/*
 * Numbers that a neighbour with many channels has. This guest has them not, and had not: Linux
 * takes back ten grants a second of a program that was killed, which are sound until then.
 */
static void lie_foreign_refs(struct liar *l)
{
	uint32_t ref = 30000; /* of 32768, 64 frames of 512 */

	for (uint32_t i = 0; i < PAGES - 1; i++, ref++) {
		while (is_ours(l, ref))
			ref++;
		l->header->grants[i] = ref;
	}
}

static void lie_freed_refs(struct liar *l)
{
	uint32_t ref;
	void *page = xengntshr_share_pages(l->share, l->backend_id, 1, &ref, 1);

	if (!page)
		die("share a page");
	xengntshr_unshare(l->share, page, 1);
	l->header->grants[4] = ref;
}

static void lie_duplicate_refs(struct liar *l)
{
	l->header->grants[6] = l->header->grants[7];
}

static void lie_read_only(struct liar *l)
{
	uint32_t ref;

	if (!xengntshr_share_pages(l->share, l->backend_id, 1, &ref, 0))
		die("share a page for reading");
	l->header->grants[8] = ref;
}

static void lie_presence_ref(struct liar *l)
{
	l->header->presence_ref = 1900000000;
}

static void lie_count(struct liar *l)
{
	l->header->grant_count = 0xffffffff;
}

static void lie_pages(struct liar *l)
{
	snprintf(l->pages, sizeof(l->pages), "%u", PAGES - 1);
}

static void lie_pages_huge(struct liar *l)
{
	snprintf(l->pages, sizeof(l->pages), "4294967297");
}

static void lie_port(struct liar *l)
{
	snprintf(l->event_channel, sizeof(l->event_channel), "%u", 3999);
}

/* A port of ours that waits for another domain. */
static void lie_port_of_other(struct liar *l)
{
	xenevtchn_port_or_error_t port =
		xenevtchn_bind_unbound_port(l->evtchn, l->backend_id + 500);

	if (port < 0)
		die("allocate a port for domain %u", l->backend_id + 500);
	snprintf(l->event_channel, sizeof(l->event_channel), "%d", port);
}

static void lie_port_text(struct liar *l)
{
	snprintf(l->event_channel, sizeof(l->event_channel), "-1");
}

/* XenStore takes no more than 2048 bytes, permissions and its own header counted. */
static void lie_long_node(struct liar *l)
{
	memset(l->ring_ref, '7', 2000);
	l->ring_ref[2000] = '\0';
}

static void lie_state_text(struct liar *l)
{
	snprintf(l->state, sizeof(l->state), "three");
}

static void lie_magic(struct liar *l)
{
	l->header->magic++;
}

static void lie_version(struct liar *l)
{
	l->header->version = 0x00630000;
}

static void lie_geometry(struct liar *l)
{
	l->header->window_offset = 2 * VGPU_PAGE_BYTES;
}

/* ---- lies once it is connected ---- */

static uint32_t *index_word(struct liar *l, uint32_t offset)
{
	return (uint32_t *)(void *)((uint8_t *)l->header + VGPU_PAGE_BYTES + offset);
}

/* More answers wanted than the ring has places for, and none taken. */
static void late_responses(struct liar *l)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	struct vgpu_request *slots = (void *)((uint8_t *)l->header + 2 * VGPU_PAGE_BYTES);

	for (uint32_t i = 0; i < 2 * RING_ENTRIES; i++) {
		if (i == RING_ENTRIES)
			for (int turn = 0;
			     turn < WAIT_S * 50 &&
			     shm_load_acquire(index_word(l, VGPU_INDEX_REQ_CONS)) != i;
			     turn++)
				nanosleep(&pause, NULL);
		slots[i % RING_ENTRIES] = (struct vgpu_request){ .cmd = 1, .id = i };
		shm_store_release(&slots[i % RING_ENTRIES].seq, i + 1);
		xenevtchn_notify(l->evtchn, l->port);
	}
}

/* The same, and the index of those taken is one that cannot be. */
static void late_index(struct liar *l)
{
	shm_store(index_word(l, VGPU_INDEX_RSP_CONS), 0x7fffffff);
	late_responses(l);
}

static void late_ring_ref(struct liar *l)
{
	char dir[128];

	channel_path(dir, FRONT, NUMBER);
	write_node(l, XBT_NULL, dir, VGPU_XS_RING_REF, "77");
}

static void late_event_channel(struct liar *l)
{
	char dir[128];

	channel_path(dir, FRONT, NUMBER);
	write_node(l, XBT_NULL, dir, VGPU_XS_EVENT_CHANNEL, "3");
}

static void late_delete(struct liar *l)
{
	char path[160], dir[128];

	channel_path(dir, FRONT, NUMBER);
	snprintf(path, sizeof(path), "%s/" VGPU_XS_PAGES, dir);
	xs_rm(l->xs, XBT_NULL, path);
}

static void late_retype(struct liar *l)
{
	char path[160], dir[128];

	/* A directory where a number was. */
	channel_path(dir, FRONT, NUMBER);
	snprintf(path, sizeof(path), "%s/" VGPU_XS_STATE, dir);
	xs_rm(l->xs, XBT_NULL, path);
	strcat(path, "/deeper");
	xs_write(l->xs, XBT_NULL, path, "4", 1);
}

static const struct {
	const char *name;
	void (*claim)(struct liar *l); /* before the claim */
	void (*late)(struct liar *l);  /* or once it is connected */
} cases[] = {
	{ "random-refs", lie_random_refs, NULL },
	{ "random-ring-ref", lie_ring_ref, NULL },
	{ "swapped-refs", lie_swapped_refs, NULL },
	{ "own-refs", lie_own_refs, NULL },
	{ "foreign-refs", lie_foreign_refs, NULL },
	{ "freed-refs", lie_freed_refs, NULL },
	{ "duplicate-refs", lie_duplicate_refs, NULL },
	{ "read-only-refs", lie_read_only, NULL },
	{ "presence-ref", lie_presence_ref, NULL },
	{ "grant-count", lie_count, NULL },
	{ "pages-too-few", lie_pages, NULL },
	{ "pages-too-many", lie_pages_huge, NULL },
	{ "wrong-port", lie_port, NULL },
	{ "port-of-other", lie_port_of_other, NULL },
	{ "port-no-number", lie_port_text, NULL },
	{ "long-node", lie_long_node, NULL },
	{ "state-no-number", lie_state_text, NULL },
	{ "magic", lie_magic, NULL },
	{ "version", lie_version, NULL },
	{ "geometry", lie_geometry, NULL },
	{ "index-garbage", NULL, late_index },
	{ "responses-not-taken", NULL, late_responses },
	{ "ring-ref-changed", NULL, late_ring_ref },
	{ "port-changed", NULL, late_event_channel },
	{ "node-deleted", NULL, late_delete },
	{ "node-retyped", NULL, late_retype },
};
#define CASES (sizeof(cases) / sizeof(cases[0]))

#define ENDED (1u << VGPU_XS_CLOSED)

/* 0: ended with an error of the mediator's. */
static int run_case(struct liar *l, size_t i)
{
	const char *error;
	int state = 0;

	make_channel(l);
	if (cases[i].claim)
		cases[i].claim(l);
	claim(l);
	if (cases[i].late) {
		state = await(l, ENDED | 1u << VGPU_XS_CONNECTED);
		if (state == VGPU_XS_CONNECTED) {
			set_state(l, "4");
			cases[i].late(l);
			state = await(l, ENDED);
		}
	} else {
		state = await(l, ENDED);
	}
	error = state == VGPU_XS_CLOSED ? backend_error(l) : NULL;
	printf("%s: %s\n", cases[i].name,
	       error   ? error
	       : state ? "ended without an error"
		       : "not ended");
	fflush(stdout);
	state = error ? 0 : 1;
	drop_channel(l);
	return state;
}

/* ---- floods ---- */

/* The device is the kernel's to reset; do as it does. */
static int put_right(struct liar *l)
{
	if (device_state(l, "5", 5) && device_state(l, "6", 6) && device_state(l, "1", 2))
		return 0;
	printf("the device is not put right\n");
	return 1;
}

/* Several at once: one write at a time would spend the time waiting for XenStore. */
#define TOGGLERS 8

static void toggle_some(struct liar *l, long n)
{
	static const char *const states[] = { "0", "1", "2",  "3",    "4", "5",
					      "6", "7", "-1", "four", "",  "4294967300" };
	const size_t count = sizeof(states) / sizeof(states[0]);

	l->xs = xs_open(0);
	if (!l->xs)
		die("open XenStore");
	srandom((unsigned int)(time(NULL) ^ getpid()));
	while (n-- > 0) {
		const char *state = states[(size_t)random() % count];

		if (random() % 3 == 0)
			write_node(l, XBT_NULL, FRONT, VGPU_XS_STATE, state);
		else
			set_state(l, state);
	}
}

static int toggle(struct liar *l, long n)
{
	int status, failed = 0;

	make_channel(l);
	claim(l);
	for (int i = 0; i < TOGGLERS; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork");
		if (pid == 0) {
			toggle_some(l, n / TOGGLERS);
			_exit(0);
		}
	}
	for (int i = 0; i < TOGGLERS; i++)
		if (wait(&status) < 0 || status != 0)
			failed = 1;
	drop_channel(l);
	return put_right(l) || failed;
}

static int storm(struct liar *l, long seconds, bool ring)
{
	time_t end = time(NULL) + seconds;
	unsigned long rung = 0;

	make_channel(l);
	claim(l);
	if (await(l, 1u << VGPU_XS_CONNECTED) != VGPU_XS_CONNECTED)
		die("the channel was not served");
	set_state(l, "4");
	while (time(NULL) < end)
		for (int i = 0; ring && i < 64; i++, rung++)
			xenevtchn_notify(l->evtchn, l->port);
	printf("rang %lu times\n", rung);
	drop_channel(l);
	return 0;
}

int main(int argc, char **argv)
{
	static struct liar l;
	int failed = 0;

	srandom((unsigned int)(time(NULL) ^ getpid()));
	if (argc == 2 && strcmp(argv[1], "list") == 0) {
		for (size_t i = 0; i < CASES; i++)
			puts(cases[i].name);
		return 0;
	}
	open_all(&l);
	if (argc == 3 && strcmp(argv[1], "toggle") == 0)
		return toggle(&l, strtol(argv[2], NULL, 10));
	if (argc == 3 && strcmp(argv[1], "storm") == 0)
		return storm(&l, strtol(argv[2], NULL, 10), true);
	if (argc == 3 && strcmp(argv[1], "compute") == 0)
		return storm(&l, strtol(argv[2], NULL, 10), false);
	for (size_t i = 0; i < CASES; i++) {
		bool wanted = argc == 1;

		for (int a = 1; a < argc; a++)
			wanted |= strcmp(argv[a], cases[i].name) == 0;
		if (wanted)
			failed |= run_case(&l, i);
	}
	return failed;
}
