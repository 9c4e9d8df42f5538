// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The mediator's side of XenStore between a hostile guest, a careless toolstack and a scheduler
 * that answers what and when it likes. XenStore is the tree of tests/xenlib, in this process, with
 * its permissions; the library's functions are below. The mediator must never write where the guest
 * does, its own nodes must be in order, and the scheduler must be used as it asks to be.
 */
#include "fuzz.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <xenstore.h>

#include "../../host/log.h"
#include "../../host/mediator.h"
#include "../../host/mediator_owner.h"
#include "../../host/mediator_scheduler.h"
#include "../../host/mediator_vm.h"
#include "../../host/mediator_xen.h"
#include "../../protocol/vgpu_channel.h"
#include "../../protocol/vgpu_errors.h"
#include "../../protocol/vgpu_xenstore.h"
#include "../xenlib/xs_store.h"

#define GUEST 1
#define FRONT "/local/domain/1/device/vgpu/0"
#define BACK "/local/domain/0/backend/vgpu/1/0"
#define BACK_OF_DOMAIN "/local/domain/0/backend/vgpu/1" /* goes with the last device */
#define STEPS_MAX 60 /* below what the mediator looks at without a pause */
#define WATCHES 8
#define EVENTS 1024
#define CHANNELS 64

static struct mediator mediator;

/* ---- XenStore ---- */

struct xs_handle {
	int fd;
};

static struct xs_handle handle = { -1 };
static struct {
	char path[128], token[64];
} watches[WATCHES];
static struct {
	char path[128], token[64];
} events[EVENTS];
static size_t event_count;
static struct xs_transaction *transaction; /* the mediator has one at a time */
static bool introduced;
static bool broken; /* xenstored does not answer */

static const char *full(char out[256], const char *path)
{
	snprintf(out, 256, "%s%s", path[0] == '/' ? "" : "/local/domain/0/", path);
	return out;
}

static void queue(const char *path, const char *token)
{
	const uint64_t one = 1;

	if (event_count == EVENTS)
		return;
	snprintf(events[event_count].path, sizeof(events[0].path), "%.127s", path);
	snprintf(events[event_count].token, sizeof(events[0].token), "%s", token);
	event_count++;
	MUST(write(handle.fd, &one, sizeof(one)) == sizeof(one));
}

static void fire(const char *path, bool exact)
{
	static const char home[] = "/local/domain/0/";

	for (size_t i = 0; i < WATCHES; i++) {
		char watched[256];
		size_t n;

		if (!watches[i].token[0])
			continue;
		n = strlen(watches[i].path[0] == '@' ? watches[i].path
						     : full(watched, watches[i].path));
		if (watches[i].path[0] == '@')
			strcpy(watched, watches[i].path);
		if (strncmp(path, watched, n) || (path[n] && (exact || path[n] != '/')))
			continue;
		queue(watches[i].path[0] != '/' && path[0] == '/' ? path + strlen(home) : path,
		      watches[i].token);
	}
}

static void fire_changes(struct xs_change_list *changes)
{
	struct xs_change *change;

	STAILQ_FOREACH(change, changes, link)
		fire(change->path, change->exact);
	xs_changes_clear(changes);
}

/* One change by @domid; its watches fire at once, or at the transaction's end. */
struct change {
	struct xs_change_list list;
	struct xs_caller caller;
};

static struct xs_caller *begin(struct change *c, uint32_t domid, struct xs_transaction *t)
{
	STAILQ_INIT(&c->list);
	c->caller = (struct xs_caller){ domid, t, t ? &t->changes : &c->list };
	return &c->caller;
}

static bool done(struct change *c, int rc)
{
	fire_changes(&c->list);
	errno = rc;
	return rc == 0;
}

struct xs_handle *xs_open(unsigned long flags)
{
	(void)flags;
	MUST(handle.fd < 0);
	handle.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
	return &handle;
}

void xs_close(struct xs_handle *xsh)
{
	close(xsh->fd);
	xsh->fd = -1;
	event_count = 0;
	memset(watches, 0, sizeof(watches));
	if (transaction)
		xs_transaction_free(transaction);
	transaction = NULL;
}

int xs_fileno(struct xs_handle *h)
{
	return h->fd;
}

static struct xs_transaction *of(xs_transaction_t t)
{
	MUST((t != XBT_NULL) == (transaction != NULL));
	return t ? transaction : NULL;
}

static bool answers(void)
{
	errno = EIO;
	return !broken;
}

static void *give(const void *data, uint32_t bytes)
{
	char *out = malloc(bytes + 1);

	MUST(out);
	if (bytes)
		memcpy(out, data, bytes);
	out[bytes] = '\0';
	return out;
}

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *len)
{
	struct xs_caller c = { .t = of(t) };
	struct xs_node *n;
	char whole[256];
	int rc;

	(void)h;
	if (!answers())
		return NULL;
	rc = xs_get(&c, full(whole, path), XS_PERM_READ, &n);
	errno = rc;
	if (rc)
		return NULL;
	if (len)
		*len = n->value_bytes;
	return give(n->value, n->value_bytes);
}

char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *num)
{
	struct xs_caller c = { .t = of(t) };
	struct xs_node *n;
	char whole[256], **out, *names;
	unsigned int count = 0;

	(void)h;
	if (!answers())
		return NULL;
	errno = xs_get(&c, full(whole, path), XS_PERM_READ, &n);
	if (errno)
		return NULL;
	for (uint32_t i = 0; i < n->children_bytes; i++)
		count += !n->children[i];
	out = malloc(count * sizeof(*out) + n->children_bytes + 1);
	MUST(out);
	names = (char *)(out + count);
	memcpy(names, n->children, n->children_bytes);
	for (unsigned int i = 0; i < count; i++, names += strlen(names) + 1)
		out[i] = names;
	*num = count;
	return out;
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data,
	      unsigned int len)
{
	struct change c;
	char whole[256];

	(void)h;
	MUST(strncmp(full(whole, path), BACK "/", strlen(BACK "/")) == 0);
	MUST(len <= 255);
	for (unsigned int i = 0; i < len; i++)
		MUST(isprint(((const unsigned char *)data)[i]));
	if (!answers())
		return false;
	return done(&c, xs_node_write(begin(&c, 0, of(t)), whole, data, len));
}

bool xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path)
{
	struct change c;
	char whole[256];

	(void)h;
	full(whole, path);
	MUST(strncmp(whole, BACK, strlen(BACK)) == 0 || strcmp(whole, BACK_OF_DOMAIN) == 0 ||
	     strncmp(whole, FRONT "/channel-", strlen(FRONT "/channel-")) == 0);
	if (!answers())
		return false;
	return done(&c, xs_node_rm(begin(&c, 0, of(t)), whole));
}

xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
	(void)h;
	if (!answers())
		return XBT_NULL;
	MUST(!transaction);
	transaction = xs_transaction_new(0, 1);
	return 1;
}

bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abandon)
{
	struct xs_transaction *ends = of(t);
	struct change c;
	int rc = 0;

	(void)h;
	begin(&c, 0, NULL);
	transaction = NULL;
	if (abandon || broken)
		xs_transaction_free(ends);
	else
		rc = xs_transaction_commit(ends, &c.list);
	return done(&c, broken ? EIO : rc);
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
	(void)h;
	if (!answers())
		return false;
	for (size_t i = 0; i < WATCHES; i++) {
		if (watches[i].token[0])
			continue;
		snprintf(watches[i].path, sizeof(watches[i].path), "%s", path);
		snprintf(watches[i].token, sizeof(watches[i].token), "%s", token);
		queue(path, token);
		return true;
	}
	errno = E2BIG;
	return false;
}

bool xs_unwatch(struct xs_handle *h, const char *path, const char *token)
{
	(void)h;
	for (size_t i = 0; i < WATCHES; i++)
		if (!strcmp(watches[i].path, path) && !strcmp(watches[i].token, token)) {
			watches[i].token[0] = '\0';
			return true;
		}
	MUST(broken);
	return false;
}

char **xs_check_watch(struct xs_handle *h)
{
	char **out, *text;
	uint64_t one;
	size_t a, b;

	if (!answers())
		return NULL;
	if (!event_count) {
		errno = EAGAIN;
		return NULL;
	}
	MUST(read(h->fd, &one, sizeof(one)) == sizeof(one));
	a = strlen(events[0].path) + 1;
	b = strlen(events[0].token) + 1;
	out = malloc(2 * sizeof(*out) + a + b);
	MUST(out);
	text = (char *)(out + 2);
	out[XS_WATCH_PATH] = memcpy(text, events[0].path, a);
	out[XS_WATCH_TOKEN] = memcpy(text + a, events[0].token, b);
	event_count--;
	memmove(events, events + 1, event_count * sizeof(events[0]));
	return out;
}

bool xs_is_domain_introduced(struct xs_handle *h, unsigned int domid)
{
	(void)h;
	return domid == 0 || (domid == GUEST && introduced);
}

/* ---- scheduler ---- */

static struct {
	struct owner *owner; /* NULL: free */
	bool opened, asked;
} channels[CHANNELS];
static uint8_t answer_at_once; /* bits: how the next requests are met */

static bool lucky(void)
{
	answer_at_once = (uint8_t)(answer_at_once >> 1 | answer_at_once << 7);
	return answer_at_once & 1;
}

static void opened(uint32_t number, int32_t status)
{
	struct owner *owner = channels[number].owner;

	channels[number].opened = true;
	if (status < 0)
		channels[number].owner = NULL;
	owner->ops->opened(owner, 0, number, status, status < 0 ? "no room" : "");
}

static void closed(uint32_t number, int32_t reason, const char *text)
{
	struct owner *owner = channels[number].owner;
	bool was_open = channels[number].opened;

	channels[number].owner = NULL;
	if (was_open)
		owner->ops->closed(owner, 0, number, reason, text);
	else
		owner->ops->opened(owner, 0, number, reason ? reason : VGPU_EDEVLOST, text);
}

bool sched_room_soon(const struct owner *owner, uint64_t length)
{
	(void)owner;
	(void)length;
	return false;
}

void sched_open(struct owner *owner, const struct channel_request *rq)
{
	MUST(rq->number < CHANNELS && !channels[rq->number].owner);
	MUST(rq->transport == WORKER_TRANSPORT_XEN && rq->xen.domid == GUEST);
	MUST(rq->length <= (1ull + VGPU_GRANTS_MAX) * VGPU_PAGE_BYTES);
	channels[rq->number].owner = owner;
	channels[rq->number].opened = channels[rq->number].asked = false;
	if (lucky())
		opened(rq->number, VGPU_EQUOTA);
}

void sched_end(struct owner *owner, uint32_t number, int32_t reason, const char *why,
	       uint32_t grace_ms)
{
	(void)grace_ms;
	MUST(number < CHANNELS && channels[number].owner == owner);
	channels[number].asked = true;
	if (lucky())
		closed(number, reason, why);
}

void sched_owner_gone(struct owner *owner, uint32_t grace_ms)
{
	(void)grace_ms;
	for (uint32_t k = 0; k < CHANNELS; k++)
		if (channels[k].owner == owner)
			channels[k].owner = NULL;
}

static void scheduler_step(struct input *in)
{
	static const int32_t reasons[] = { 0, VGPU_EDEVLOST, VGPU_EPROTO, VGPU_ETIMEDOUT };
	uint8_t op = input_u8(in);
	uint32_t k = op % 4;

	if (!channels[k].owner)
		return;
	if (!channels[k].opened && op & 0x80)
		opened(k, op & 0x40 ? VGPU_EBACKEND : 0);
	else if (channels[k].opened)
		closed(k, channels[k].asked ? 0 : reasons[op >> 4 & 3], op & 0x40 ? "why" : "");
}

/* ---- guest and toolstack ---- */

static void put(uint32_t domid, const char *path, const void *value, uint32_t bytes)
{
	struct change c;

	(void)done(&c, xs_node_write(begin(&c, domid, NULL), path, value, bytes));
}

static void put_text(uint32_t domid, const char *path, const char *text)
{
	put(domid, path, text, (uint32_t)strlen(text));
}

static void remove_node(uint32_t domid, const char *path)
{
	struct change c;

	(void)done(&c, xs_node_rm(begin(&c, domid, NULL), path));
}

static void own(const char *path, uint32_t domid)
{
	const struct xs_perm perms[] = { { domid, XS_PERM_NONE },
					 { domid ? 0 : GUEST, XS_PERM_READ } };
	struct change c;

	(void)done(&c, xs_node_set_perms(begin(&c, 0, NULL), path, perms, 2));
}

static void attach(uint8_t which)
{
	char generation[17];

	snprintf(generation, sizeof(generation), "%016x", which);
	put_text(0, BACK, "");
	own(BACK, 0);
	put_text(0, BACK "/domain", "guest");
	put_text(0, BACK "/uuid", "11111111-1111-1111-1111-111111111111");
	put_text(0, BACK "/online", "1");
	put_text(0, BACK "/state", "1");
	put_text(0, FRONT, "");
	own(FRONT, GUEST);
	put_text(GUEST, FRONT "/state", "1");
	put_text(0, BACK "/generation", generation);
}

static void toolstack_step(struct input *in)
{
	uint8_t op = input_u8(in);

	switch (op % 8) {
	case 0:
		put_text(0, BACK "/online", op & 0x80 ? "0" : "1");
		break;
	case 1:
		remove_node(0, BACK);
		break;
	case 2:
		attach(op >> 4);
		break;
	case 3:
		introduced = false;
		remove_node(0, "/local/domain/1");
		fire("@releaseDomain", true);
		break;
	case 4:
		if (op >= 0xf0)
			broken = true;
		break;
	case 5:
		xen_reconfigured(&mediator);
		break;
	default:
		put_text(0, BACK "/online", "1");
	}
}

/* A value as the guest likes it. */
static void guest_value(struct input *in, const char *path)
{
	uint8_t how = input_u8(in);
	uint8_t raw[256];
	char text[32];

	if (how < 0x80) {
		snprintf(text, sizeof(text), "%u", how % 8);
		put_text(GUEST, path, text);
	} else if (how < 0xa0) {
		snprintf(text, sizeof(text), "%llu", (unsigned long long)input_near(in, 993));
		put_text(GUEST, path, text);
	} else if (how < 0xc0) {
		snprintf(text, sizeof(text), "%016x", how % 4);
		put_text(GUEST, path, text);
	} else {
		input_bytes(in, raw, sizeof(raw));
		put(GUEST, path, raw, how % 4 ? how % 64 : sizeof(raw));
	}
}

static void claim(unsigned int k, uint8_t how)
{
	char path[96], id[17];

	snprintf(id, sizeof(id), "%016x", how >> 4);
	snprintf(path, sizeof(path), FRONT "/channel-%u/id", k);
	put_text(GUEST, path, id);
	snprintf(path, sizeof(path), FRONT "/channel-%u/pages", k);
	put_text(GUEST, path, "64");
	snprintf(path, sizeof(path), FRONT "/channel-%u/ring-ref", k);
	put_text(GUEST, path, "8");
	snprintf(path, sizeof(path), FRONT "/channel-%u/event-channel", k);
	put_text(GUEST, path, "10");
	snprintf(path, sizeof(path), FRONT "/channel-%u/state", k);
	put_text(GUEST, path, how & 4 ? "4" : "3");
}

static void guest_step(struct input *in)
{
	static const char *const nodes[] = { "id",    "pages",   "ring-ref", "event-channel",
					     "state", "nonsense" };
	uint8_t op = input_u8(in), how = input_u8(in);
	char path[96];
	unsigned int k = op >> 4 & 3;

	snprintf(path, sizeof(path), FRONT "/channel-%u", k);
	switch (op % 8) {
	case 0:
	case 1:
		guest_value(in, FRONT "/state");
		break;
	case 2:
		claim(k, how);
		break;
	case 3:
		remove_node(GUEST, path);
		break;
	case 4:
		snprintf(path, sizeof(path), FRONT "/channel-%u/%s", k, nodes[how % 6]);
		guest_value(in, path);
		break;
	case 5:
		snprintf(path, sizeof(path), FRONT "/channel-%u/%s", k, nodes[how % 6]);
		remove_node(GUEST, path);
		break;
	case 6:
		snprintf(path, sizeof(path), how & 1 ? FRONT "/channel-%u" : FRONT "/channel-0%u",
			 how * 8u);
		put_text(GUEST, path, "");
		break;
	default:
		put_text(GUEST, FRONT "/state", how & 1 ? "3" : "4");
	}
}

/* ---- the run ---- */

static void turn(void)
{
	static const char *const states[] = { "3", "4", "6" };

	for (int i = 0; i < 4; i++)
		event_base_loop(mediator.base, EVLOOP_NONBLOCK);
	for (unsigned int k = 0; k < CHANNELS; k++) {
		const struct xs_node *n;
		char path[96];
		bool well = false;

		snprintf(path, sizeof(path), BACK "/channel-%u/state", k);
		n = xs_peek(path);
		if (!n)
			continue;
		for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
			well |= n->value_bytes == 1 && !memcmp(n->value, states[i], 1);
		MUST(well);
	}
}

static void sink(void *ctx, enum log_level level, const char *text, size_t len)
{
	(void)ctx;
	(void)level;
	MUST(strlen(text) == len);
	for (size_t i = 0; i < len; i++)
		MUST((unsigned char)text[i] >= 0x20 && text[i] != 0x7f);
}

static void start(struct input *in)
{
	memset(&mediator, 0, sizeof(mediator));
	TAILQ_INIT(&mediator.vms);
	mediator.base = event_base_new();
	MUST(mediator.base);
	config_init(&mediator.config);
	mediator.config.xen = CONFIG_XEN_YES;
	mediator.config.limits.open_rate = 0; /* no waiting for a clock */
	mediator.config.limits.channels_per_vm = 1 + input_u8(in) % 4;
	answer_at_once = input_u8(in);
	log_set_level(LOG_LEVEL_DEBUG);
	log_set_sink(sink, NULL);
	introduced = true;
	broken = false;
	attach(1);
	MUST(xen_start(&mediator) == 0);
	turn();
}

static void finish(void)
{
	xen_stop(&mediator);
	for (uint32_t k = 0; k < CHANNELS; k++)
		MUST(!channels[k].owner);
	MUST(TAILQ_EMPTY(&mediator.vms));
	event_base_free(mediator.base);
	remove_node(0, "/local");
	MUST(handle.fd < 0 && !transaction);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };

	start(&in);
	for (int i = 0; i < STEPS_MAX && in.left; i++) {
		uint8_t who = input_u8(&in);

		if (who < 0xa0)
			guest_step(&in);
		else if (who < 0xe0)
			scheduler_step(&in);
		else
			toolstack_step(&in);
		if (who & 1) /* else more happens before the mediator looks */
			turn();
	}
	turn();
	finish();
	return 0;
}
