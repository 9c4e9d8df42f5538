/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fake_xen_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../common/rings.h"
#include "../../common/shm.h"
#include "../../protocol/vgpu_xenstore.h"
#include "../xenlib/bed.h"

#define FRONT "/local/domain/1/device/vgpu/0"
#define BACK "/local/domain/0/backend/vgpu/1/0"
#define LOOK_US 1000

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fake_xen_host: %s: %m\n", what);
	abort();
}

static void get(struct fake_xen_host *h, const char *dir, const char *node, char out[64])
{
	char path[256], *value;

	snprintf(path, sizeof(path), "%s/%s", dir, node);
	value = xs_read(h->xs, XBT_NULL, path, NULL);
	snprintf(out, 64, "%s", value ? value : "");
	free(value);
}

static void put(struct fake_xen_host *h, const char *dir, const char *node, const char *value)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, node);
	if (value)
		must(xs_write(h->xs, XBT_NULL, path, value, (unsigned int)strlen(value)), path);
	else
		xs_rm(h->xs, XBT_NULL, path);
}

static void permit(struct fake_xen_host *h, const char *dir, unsigned int owner,
		   unsigned int reader)
{
	struct xs_permissions perms[] = { { owner, XS_PERM_NONE }, { reader, XS_PERM_READ } };

	must(xs_set_permissions(h->xs, XBT_NULL, dir, perms, 2), "permissions");
}

static void unmap(struct fake_xen_host *h, struct fake_xen_channel *ch)
{
	if (ch->presence)
		xengnttab_unmap(h->gnttab, ch->presence, 1);
	if (ch->base)
		xengnttab_unmap(h->gnttab, ch->base, ch->pages);
	if (ch->bound)
		xenevtchn_unbind(h->evtchn, ch->port);
	ch->presence = ch->base = NULL;
	ch->bound = false;
}

static void map(struct fake_xen_host *h, struct fake_xen_channel *ch, const char *dir)
{
	struct vgpu_channel_header header = { 0 };
	uint32_t refs[1 + VGPU_GRANTS_MAX];
	struct spsc_shape shape;
	char text[64];
	void *page;

	get(h, dir, VGPU_XS_EVENT_CHANNEL, text);
	ch->port =
		(evtchn_port_t)xenevtchn_bind_interdomain(h->evtchn, 1, (evtchn_port_t)atoi(text));
	ch->bound = true;
	get(h, dir, VGPU_XS_RING_REF, text);
	refs[0] = (uint32_t)atoi(text);
	page = xengnttab_map_grant_ref(h->gnttab, 1, refs[0], PROT_READ | PROT_WRITE);
	must(page, "ring-ref");
	shm_copy_in(&header, page, sizeof(header));
	xengnttab_unmap(h->gnttab, page, 1);
	must(header.magic == VGPU_CHANNEL_MAGIC && header.grant_count <= VGPU_GRANTS_MAX, "header");
	memcpy(refs + 1, header.grants, header.grant_count * sizeof(refs[0]));
	ch->pages = 1 + header.grant_count;
	get(h, dir, VGPU_XS_PAGES, text);
	must((uint32_t)atoi(text) == ch->pages, "pages");
	must(header.total_bytes == (uint64_t)ch->pages * VGPU_PAGE_BYTES, "total_bytes");
	ch->base = xengnttab_map_domain_grant_refs(h->gnttab, ch->pages, 1, refs,
						   PROT_READ | PROT_WRITE);
	must(ch->base, "pages");
	ch->presence = xengnttab_map_grant_ref_notify(h->gnttab, 1, header.presence_ref,
						      PROT_READ | PROT_WRITE, VGPU_PRESENCE_HOST,
						      ch->port);
	must(ch->presence && ch->presence[VGPU_PRESENCE_GUEST] == 1, "presence page");
	shm_store_byte(ch->presence + VGPU_PRESENCE_HOST, 1);
	shape = rings_requests(ch->base + header.index_offset, ch->base + header.req_offset,
			       header.req_entries);
	spsc_consumer_init(&ch->req, &shape);
	shape = rings_responses(ch->base + header.index_offset, ch->base + header.rsp_offset,
				header.rsp_entries);
	spsc_producer_init(&ch->rsp, &shape);
}

static void answer(struct fake_xen_host *h, uint32_t k, struct fake_xen_channel *ch)
{
	char front[128], back[128];

	snprintf(front, sizeof(front), FRONT "/" VGPU_XS_CHANNEL_FMT, k);
	snprintf(back, sizeof(back), BACK "/" VGPU_XS_CHANNEL_FMT, k);
	xs_rm(h->xs, XBT_NULL, back);
	if (h->answer == FAKE_XEN_SERVE)
		map(h, ch, front);
	put(h, back, VGPU_XS_ID, ch->id);
	if (h->answer == FAKE_XEN_END && h->error)
		put(h, back, VGPU_XS_ERROR, h->error);
	if (h->answer == FAKE_XEN_SEEN)
		put(h, back, VGPU_XS_STATE, "3");
	else if (h->answer == FAKE_XEN_SERVE)
		put(h, back, VGPU_XS_STATE, "4");
	else if (h->state)
		put(h, back, VGPU_XS_STATE, h->state);
	h->served += h->answer == FAKE_XEN_SERVE;
}

static void follow_channel(struct fake_xen_host *h, uint32_t k)
{
	struct fake_xen_channel *ch = &h->channel[k];
	struct vgpu_request q;
	char front[128], node[32], id[64], state[64];

	snprintf(node, sizeof(node), VGPU_XS_CHANNEL_FMT, k);
	snprintf(front, sizeof(front), FRONT "/%s", node);
	get(h, front, VGPU_XS_ID, id);
	get(h, front, VGPU_XS_STATE, state);
	if (!id[0] && ch->id[0]) {
		unmap(h, ch);
		ch->id[0] = '\0';
		put(h, BACK, node, NULL);
	} else if (strcmp(id, ch->id) && !strcmp(state, "3")) {
		unmap(h, ch);
		strcpy(ch->id, id);
		answer(h, k, ch);
	}
	while (ch->base && spsc_consume(&ch->req, &q)) {
		struct vgpu_response p = { .id = q.id };

		if (h->mute)
			continue;
		if (h->last_words) {
			usleep(20000); /* it has fallen asleep by now */
			spsc_produce(&ch->rsp, &p);
			unmap(h, ch);
		} else if (spsc_produce(&ch->rsp, &p) > 0)
			xenevtchn_notify(h->evtchn, ch->port);
	}
}

/* As the header's table says. */
static void follow_device(struct fake_xen_host *h)
{
	static const char *const follows[] = { "6", "2", "2", "4", "4", "5", "6" };
	char front[64], back[64];

	get(h, FRONT, VGPU_XS_STATE, front);
	get(h, BACK, VGPU_XS_STATE, back);
	if (h->frozen || front[0] < '0' || front[0] > '6')
		return;
	if (strcmp(back, follows[front[0] - '0']))
		put(h, BACK, VGPU_XS_STATE, follows[front[0] - '0']);
}

static void *run(void *opaque)
{
	struct fake_xen_host *h = opaque;
	bool stop;

	do {
		pthread_mutex_lock(&h->lock);
		follow_device(h);
		for (uint32_t k = 0; h->answer != FAKE_XEN_SILENT && k < FAKE_XEN_CHANNELS; k++)
			follow_channel(h, k);
		stop = h->stop;
		pthread_mutex_unlock(&h->lock);
		usleep(LOOK_US);
	} while (!stop);
	return NULL;
}

void fake_xen_host_start(struct fake_xen_host *h)
{
	pthread_mutex_init(&h->lock, NULL);
	h->xs = bed_xs(0);
	h->gnttab = xengnttab_open(NULL, 0);
	h->evtchn = xenevtchn_open(NULL, 0);
	must(h->gnttab && h->evtchn, "open");
	put(h, BACK, VGPU_XS_FRONTEND_ID, "1");
	permit(h, BACK, 0, 1);
	put(h, BACK, VGPU_XS_ONLINE, "1");
	put(h, BACK, VGPU_XS_STATE, h->device_state ? h->device_state : "2");
	put(h, BACK, VGPU_XS_PROTOCOL_VERSION, h->version ? h->version : "131072");
	put(h, BACK, VGPU_XS_MAX_CHANNELS, h->max_channels ? h->max_channels : "4");
	put(h, BACK, VGPU_XS_MAX_WINDOW_PAGES, h->max_pages ? h->max_pages : "993");
	put(h, FRONT, VGPU_XS_BACKEND_ID, "0");
	permit(h, FRONT, 1, 0);
	put(h, FRONT, VGPU_XS_STATE, "1");
	permit(h, FRONT "/" VGPU_XS_STATE, 1, 0);
	bed_become(1);
	pthread_create(&h->thread, NULL, run, h);
	h->running = true;
}

void fake_xen_host_stop(struct fake_xen_host *h)
{
	if (!h->running)
		return;
	h->running = false;
	pthread_mutex_lock(&h->lock);
	h->stop = true;
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->thread, NULL);
	for (uint32_t k = 0; k < FAKE_XEN_CHANNELS; k++)
		unmap(h, &h->channel[k]);
	xenevtchn_close(h->evtchn);
	xengnttab_close(h->gnttab);
	xs_close(h->xs);
	pthread_mutex_destroy(&h->lock);
}

void fake_xen_front(struct fake_xen_host *h, const char *node, const char *value)
{
	pthread_mutex_lock(&h->lock);
	put(h, FRONT, node, value);
	pthread_mutex_unlock(&h->lock);
}

void fake_xen_back(struct fake_xen_host *h, const char *node, const char *value)
{
	pthread_mutex_lock(&h->lock);
	put(h, BACK, node, value);
	pthread_mutex_unlock(&h->lock);
}

void fake_xen_read(struct fake_xen_host *h, const char *node, char out[64])
{
	pthread_mutex_lock(&h->lock);
	get(h, FRONT, node, out);
	pthread_mutex_unlock(&h->lock);
}

void fake_xen_kill(struct fake_xen_host *h, uint32_t k, const char *error, int delay_ms)
{
	char node[64];

	pthread_mutex_lock(&h->lock);
	unmap(h, &h->channel[k]);
	pthread_mutex_unlock(&h->lock);
	if (!error)
		return;
	usleep((useconds_t)delay_ms * 1000);
	snprintf(node, sizeof(node), VGPU_XS_CHANNEL_FMT "/" VGPU_XS_ERROR, k);
	fake_xen_back(h, node, error);
	snprintf(node, sizeof(node), VGPU_XS_CHANNEL_FMT "/" VGPU_XS_STATE, k);
	fake_xen_back(h, node, "6");
}
