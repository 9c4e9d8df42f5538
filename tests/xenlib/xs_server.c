/* SPDX-License-Identifier: GPL-2.0-or-later */
/* XenStore's protocol (xen/io/xs_wire.h), watches, and the nodes that come with a domain. */
#include "daemon.h"
#include "xs_store.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <xenstore_lib.h>

#define OUT_BYTES_MAX (4u << 20) /* a client that takes no more than this waiting is dropped */
#define WORDS_MAX 16u

struct watch {
	LIST_ENTRY(watch) link;
	char *path; /* absolute */
	char *token;
	size_t cut; /* bytes to leave out of what is reported: the watch was a relative one */
};

struct xs_client {
	LIST_ENTRY(xs_client) link;
	struct conn *conn;
	LIST_HEAD(, watch) watches;
	LIST_HEAD(, xs_transaction) transactions;
	uint32_t last_id;
	size_t in_bytes;
	char in[sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX];
	char *out;
	size_t out_bytes, out_room;
	bool broken;
};

static LIST_HEAD(client_list, xs_client) clients = LIST_HEAD_INITIALIZER(clients);

/* ---- sending ---- */

static void put(struct xs_client *x, const void *data, size_t bytes)
{
	if (x->out_bytes + bytes > x->out_room) {
		size_t room = 2 * (x->out_bytes + bytes);
		char *out = room > OUT_BYTES_MAX ? NULL : realloc(x->out, room);

		if (!out) {
			x->broken = true;
			return;
		}
		x->out = out;
		x->out_room = room;
	}
	if (bytes)
		memcpy(x->out + x->out_bytes, data, bytes);
	x->out_bytes += bytes;
}

static void send_message(struct xs_client *x, const struct xsd_sockmsg *to, uint32_t type,
			 const void *data, size_t bytes)
{
	const struct xsd_sockmsg head = {
		.type = type,
		.req_id = to ? to->req_id : 0,
		.tx_id = to ? to->tx_id : 0,
		.len = (uint32_t)bytes,
	};

	put(x, &head, sizeof(head));
	put(x, data, bytes);
}

bool xs_client_wants_write(const struct xs_client *x)
{
	return x->out_bytes > 0;
}

bool xs_client_writable(struct xs_client *x)
{
	ssize_t n = send(x->conn->fd, x->out, x->out_bytes, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	memmove(x->out, x->out + n, x->out_bytes - (size_t)n);
	x->out_bytes -= (size_t)n;
	return true;
}

/* ---- paths ---- */

static bool sound_path(const char *path)
{
	size_t length = strlen(path);

	if (length > XENSTORE_ABS_PATH_MAX || length == 0 ||
	    (length > 1 && path[length - 1] == '/') || strstr(path, "//"))
		return false;
	for (const char *c = path; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("-/_@", *c))
			return false;
	return true;
}

static void home(char out[40], uint32_t domid)
{
	snprintf(out, 40, "/local/domain/%u", domid);
}

/* Absolute, to be freed; NULL: it is no path. Relative ones are of the domain that asks. */
static char *absolute(const struct xs_client *x, const char *path)
{
	char *out = NULL, dir[40];

	home(dir, x->conn->domid);
	if (path[0] == '/')
		out = strdup(path);
	else if (strlen(path) > XENSTORE_REL_PATH_MAX || asprintf(&out, "%s/%s", dir, path) < 0)
		out = NULL;
	if (out && !sound_path(out)) {
		free(out);
		out = NULL;
	}
	return out;
}

/* ---- watches ---- */

static bool special(const char *path)
{
	return path[0] == '@';
}

static bool below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (strcmp(dir, "/") == 0)
		return path[0] == '/';
	return strncmp(path, dir, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

static void report(struct xs_client *x, const struct watch *w, const char *path)
{
	const char *shown = path + (strlen(path) >= w->cut ? w->cut : 0);
	size_t a = strlen(shown) + 1, b = strlen(w->token) + 1;
	char *data = malloc(a + b);

	if (!data)
		return;
	memcpy(data, shown, a);
	memcpy(data + a, w->token, b);
	send_message(x, NULL, XS_WATCH_EVENT, data, a + b);
	free(data);
}

/* May it hear of this? Of what is gone, too, if it could have read it. */
static bool may_hear(uint32_t domid, const char *path, const struct xs_node *old)
{
	const struct xs_node *now = xs_peek(path), *dir;
	char *above;

	if (old && (xs_may(domid, old) & XS_PERM_READ))
		return true;
	if (!now && !old)
		return false;
	if (now && (xs_may(domid, now) & XS_PERM_READ))
		return true;
	above = xs_parent(path);
	dir = xs_peek(above);
	free(above);
	return dir && (xs_may(domid, dir) & XS_PERM_READ);
}

static void fire(const char *path, bool exact, const struct xs_node *old)
{
	struct xs_client *x;
	struct watch *w;

	LIST_FOREACH(x, &clients, link) {
		if (special(path) ? x->conn->domid != 0 : !may_hear(x->conn->domid, path, old))
			continue;
		LIST_FOREACH(w, &x->watches, link)
			if (strcmp(path, w->path) == 0 ||
			    (!exact && !special(path) && below(path, w->path)))
				report(x, w, path);
	}
}

static void fire_changes(struct xs_change_list *changes)
{
	struct xs_change *change;

	STAILQ_FOREACH(change, changes, link)
		fire(change->path, change->exact, change->old);
	xs_changes_clear(changes);
}

static uint32_t count_watches(const struct xs_client *x)
{
	struct watch *w;
	uint32_t n = 0;

	LIST_FOREACH(w, &x->watches, link)
		n++;
	return n;
}

uint32_t xs_count_watches(uint32_t domid)
{
	struct xs_client *x;
	uint32_t n = 0;

	LIST_FOREACH(x, &clients, link)
		if (x->conn->domid == domid)
			n += count_watches(x);
	return n;
}

static char *watch_path(struct xs_client *x, const char *path, size_t *cut)
{
	char dir[40];

	*cut = 0;
	if (special(path))
		return strcmp(path, "@releaseDomain") == 0 || strcmp(path, "@introduceDomain") == 0
			       ? strdup(path)
			       : NULL;
	home(dir, x->conn->domid);
	if (path[0] != '/')
		*cut = strlen(dir) + 1;
	return absolute(x, path);
}

static struct watch *find_watch(struct xs_client *x, const char *path, const char *token)
{
	struct watch *w;

	LIST_FOREACH(w, &x->watches, link)
		if (strcmp(w->path, path) == 0 && strcmp(w->token, token) == 0)
			return w;
	return NULL;
}

/* Answers by itself: the first event follows the answer. */
static int do_watch(struct xs_client *x, const struct xsd_sockmsg *rq, char **word)
{
	struct watch *w;
	size_t cut;
	char *path = watch_path(x, word[0], &cut);
	int rc = 0;

	if (!path)
		return EINVAL;
	if (find_watch(x, path, word[1]))
		rc = EEXIST;
	else if (x->conn->domid != 0 && xs_count_watches(x->conn->domid) >= XS_WATCHES_MAX)
		rc = E2BIG;
	w = rc ? NULL : calloc(1, sizeof(*w));
	if (w)
		w->token = strdup(word[1]);
	if (!w || !w->token) {
		free(w);
		free(path);
		return rc ? rc : ENOMEM;
	}
	w->path = path;
	w->cut = cut;
	LIST_INSERT_HEAD(&x->watches, w, link);
	send_message(x, rq, XS_WATCH, "OK", 3);
	report(x, w, w->path);
	return 0;
}

static void watch_free(struct watch *w)
{
	LIST_REMOVE(w, link);
	free(w->path);
	free(w->token);
	free(w);
}

static int do_unwatch(struct xs_client *x, char **word)
{
	size_t cut;
	char *path = watch_path(x, word[0], &cut);
	struct watch *w = path ? find_watch(x, path, word[1]) : NULL;
	int rc = !path ? EINVAL : w ? 0 : ENOENT;

	free(path);
	if (w)
		watch_free(w);
	return rc;
}

/* ---- transactions ---- */

static struct xs_transaction *find_transaction(struct xs_client *x, uint32_t id)
{
	struct xs_transaction *t;

	LIST_FOREACH(t, &x->transactions, link)
		if (t->id == id)
			return t;
	return NULL;
}

uint32_t xs_count_transactions(uint32_t domid)
{
	struct xs_transaction *t;
	struct xs_client *x;
	uint32_t n = 0;

	LIST_FOREACH(x, &clients, link)
		if (x->conn->domid == domid)
			LIST_FOREACH(t, &x->transactions, link)
				n++;
	return n;
}

static int do_start(struct xs_client *x, const struct xsd_sockmsg *rq)
{
	struct xs_transaction *t;
	char id[16];

	if (rq->tx_id)
		return EBUSY;
	if (x->conn->domid != 0 && xs_count_transactions(x->conn->domid) >= XS_TRANSACTIONS_MAX)
		return ENOSPC;
	do {
		x->last_id++;
	} while (!x->last_id || find_transaction(x, x->last_id));
	t = xs_transaction_new(x->conn->domid, x->last_id);
	LIST_INSERT_HEAD(&x->transactions, t, link);
	send_message(x, rq, XS_TRANSACTION_START, id,
		     (size_t)snprintf(id, sizeof(id), "%u", t->id) + 1);
	return 0;
}

static int do_end(struct xs_client *x, const struct xsd_sockmsg *rq, const char *how)
{
	struct xs_change_list changes = STAILQ_HEAD_INITIALIZER(changes);
	struct xs_transaction *t = find_transaction(x, rq->tx_id);
	int rc = 0;

	if (strcmp(how, "T") != 0 && strcmp(how, "F") != 0)
		return EINVAL;
	if (!t)
		return ENOENT;
	LIST_REMOVE(t, link);
	if (how[0] == 'F')
		xs_transaction_free(t);
	else
		rc = xs_transaction_commit(t, &changes);
	if (rc == 0)
		send_message(x, rq, XS_TRANSACTION_END, "OK", 3);
	fire_changes(&changes);
	return rc;
}

/* ---- nodes ---- */

static char *perms_text(const struct xs_node *n, size_t *bytes)
{
	static const char letters[] = { 'n', 'r', 'w', 'b' };
	char *out = malloc(n->nperms * 16u + 1);

	*bytes = 0;
	for (uint32_t i = 0; out && i < n->nperms; i++)
		*bytes += (size_t)sprintf(out + *bytes, "%c%u", letters[n->perms[i].perms & 3],
					  n->perms[i].domid) +
			  1;
	return out;
}

static int parse_perms(char **word, uint32_t n, struct xs_perm *out)
{
	static const char letters[] = "nrwb";

	for (uint32_t i = 0; i < n; i++) {
		const char *l = strchr(letters, word[i][0]);
		char *end;

		if (!word[i][0] || !l)
			return EINVAL;
		out[i].perms = (uint32_t)(l - letters);
		out[i].domid = (uint32_t)strtoul(word[i] + 1, &end, 10);
		if (end == word[i] + 1 || *end)
			return EINVAL;
	}
	return 0;
}

static int answer_node(struct xs_client *x, const struct xsd_sockmsg *rq, struct xs_caller *c,
		       const char *path)
{
	struct xs_node *n;
	size_t bytes;
	char *text;
	int rc = xs_get(c, path, XS_PERM_READ, &n);

	if (rc)
		return rc;
	switch (rq->type) {
	case XS_READ:
		send_message(x, rq, rq->type, n->value, n->value_bytes);
		return 0;
	case XS_DIRECTORY:
		if (n->children_bytes > XENSTORE_PAYLOAD_MAX)
			return E2BIG;
		send_message(x, rq, rq->type, n->children, n->children_bytes);
		return 0;
	default:
		text = perms_text(n, &bytes);
		if (!text)
			return ENOMEM;
		send_message(x, rq, rq->type, text, bytes);
		free(text);
		return 0;
	}
}

static int change_node(struct xs_client *x, const struct xsd_sockmsg *rq, struct xs_caller *c,
		       const char *path, char **word, uint32_t words)
{
	struct xs_change_list changes = STAILQ_HEAD_INITIALIZER(changes);
	struct xs_perm perms[WORDS_MAX];
	size_t skip = strlen(word[0]) + 1;
	int rc;

	c->changes = c->t ? &c->t->changes : &changes;
	switch (rq->type) {
	case XS_WRITE:
		rc = xs_node_write(c, path, word[0] + skip, (uint32_t)(rq->len - skip));
		break;
	case XS_MKDIR:
		rc = xs_node_mkdir(c, path);
		break;
	case XS_RM:
		rc = xs_node_rm(c, path);
		break;
	default:
		rc = words < 2 ? EINVAL : parse_perms(word + 1, words - 1, perms);
		if (rc == 0)
			rc = xs_node_set_perms(c, path, perms, words - 1);
	}
	if (rc == 0)
		send_message(x, rq, rq->type, "OK", 3);
	fire_changes(&changes);
	return rc;
}

static int do_node(struct xs_client *x, const struct xsd_sockmsg *rq, char **word, uint32_t words)
{
	struct xs_caller c = { .domid = x->conn->domid };
	char *path;
	int rc;

	if (rq->tx_id) {
		c.t = find_transaction(x, rq->tx_id);
		if (!c.t)
			return ENOENT;
	}
	path = absolute(x, word[0]);
	if (!path)
		return EINVAL;
	if (rq->type == XS_READ || rq->type == XS_DIRECTORY || rq->type == XS_GET_PERMS)
		rc = answer_node(x, rq, &c, path);
	else
		rc = change_node(x, rq, &c, path, word, words);
	free(path);
	return rc;
}

/* ---- requests ---- */

static int do_domain(struct xs_client *x, const struct xsd_sockmsg *rq, const char *text)
{
	uint32_t id = (uint32_t)strtoul(text, NULL, 10);
	char path[40];

	if (rq->type == XS_GET_DOMAIN_PATH) {
		home(path, id);
		send_message(x, rq, rq->type, path, strlen(path) + 1);
	} else {
		send_message(x, rq, rq->type, id == DOMID_SELF_ || domain_find(id) ? "T" : "F", 2);
	}
	return 0;
}

/* The payload's strings, at most so many; what follows the last counts as one, ended or not. */
static uint32_t split(char *data, uint32_t bytes, char **word)
{
	uint32_t n = 0;

	for (uint32_t at = 0; at < bytes && n < WORDS_MAX; at += (uint32_t)strlen(data + at) + 1)
		word[n++] = data + at;
	return n;
}

static int dispatch(struct xs_client *x, const struct xsd_sockmsg *rq, char *data)
{
	char *word[WORDS_MAX];
	uint32_t words;

	/* One NUL more than the payload: everything in it ends. */
	words = split(data, rq->len, word);
	if (words == 0 || strlen(word[0]) >= rq->len)
		return EINVAL;
	switch (rq->type) {
	case XS_TRANSACTION_START:
		return do_start(x, rq);
	case XS_TRANSACTION_END:
		return do_end(x, rq, word[0]);
	case XS_GET_DOMAIN_PATH:
	case XS_IS_DOMAIN_INTRODUCED:
		return do_domain(x, rq, word[0]);
	case XS_WATCH:
		return words < 2 ? EINVAL : do_watch(x, rq, word);
	case XS_UNWATCH: {
		int rc = words < 2 ? EINVAL : do_unwatch(x, word);

		if (rc == 0)
			send_message(x, rq, rq->type, "OK", 3);
		return rc;
	}
	case XS_READ:
	case XS_WRITE:
	case XS_MKDIR:
	case XS_RM:
	case XS_DIRECTORY:
	case XS_GET_PERMS:
	case XS_SET_PERMS:
		return do_node(x, rq, word, words);
	default:
		return ENOSYS;
	}
}

static void answer(struct xs_client *x, const struct xsd_sockmsg *rq, char *data)
{
	const char *name = "EINVAL";
	int rc = dispatch(x, rq, data);

	if (rc == 0)
		return;
	for (size_t i = 0; i < sizeof(xsd_errors) / sizeof(xsd_errors[0]); i++)
		if (xsd_errors[i].errnum == rc)
			name = xsd_errors[i].errstring;
	send_message(x, rq, XS_ERROR, name, strlen(name) + 1);
}

bool xs_client_readable(struct xs_client *x)
{
	struct xsd_sockmsg rq;
	ssize_t n =
		recv(x->conn->fd, x->in + x->in_bytes, sizeof(x->in) - x->in_bytes, MSG_DONTWAIT);

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	x->in_bytes += (size_t)n;
	while (x->in_bytes >= sizeof(rq)) {
		char data[XENSTORE_PAYLOAD_MAX + 1];

		memcpy(&rq, x->in, sizeof(rq));
		if (rq.len > XENSTORE_PAYLOAD_MAX)
			return false;
		if (x->in_bytes < sizeof(rq) + rq.len)
			break;
		memcpy(data, x->in + sizeof(rq), rq.len);
		data[rq.len] = '\0';
		x->in_bytes -= sizeof(rq) + rq.len;
		memmove(x->in, x->in + sizeof(rq) + rq.len, x->in_bytes);
		answer(x, &rq, data);
	}
	/* Most answers fit at once, which saves a turn. */
	return !x->broken && (!x->out_bytes || xs_client_writable(x));
}

struct xs_client *xs_client_new(struct conn *c)
{
	struct xs_client *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->conn = c;
	LIST_INIT(&x->watches);
	LIST_INIT(&x->transactions);
	LIST_INSERT_HEAD(&clients, x, link);
	return x;
}

void xs_client_free(struct xs_client *x)
{
	struct xs_transaction *t;
	struct watch *w;

	if (!x)
		return;
	while ((w = LIST_FIRST(&x->watches)))
		watch_free(w);
	while ((t = LIST_FIRST(&x->transactions))) {
		LIST_REMOVE(t, link);
		xs_transaction_free(t);
	}
	LIST_REMOVE(x, link);
	free(x->out);
	free(x);
}

/* ---- domains ---- */

/* DIR/NODE, with read permission for @reader unless that is 0. */
static void plant(struct xs_caller *c, const char *dir, const char *node, uint32_t owner,
		  uint32_t reader, const char *value)
{
	const struct xs_perm perms[] = { { owner, XS_PERM_NONE }, { reader, XS_PERM_READ } };
	char path[128];

	snprintf(path, sizeof(path), "%s%s%s", dir, *node ? "/" : "", node);
	xs_node_write(c, path, value, (uint32_t)strlen(value));
	xs_node_set_perms(c, path, perms, reader ? 2 : 1);
}

/* What the toolstack makes for a new domain. */
int xs_domain_introduce(const struct domain *d)
{
	struct xs_change_list changes = STAILQ_HEAD_INITIALIZER(changes);
	struct xs_caller c = { .changes = &changes };
	char dir[40], vm[48], id[16];

	home(dir, d->id);
	snprintf(vm, sizeof(vm), "/vm/%s", d->uuid);
	snprintf(id, sizeof(id), "%u", d->id);
	plant(&c, dir, "", 0, d->id, "");
	plant(&c, dir, "domid", 0, d->id, id);
	plant(&c, dir, "name", 0, d->id, d->name);
	plant(&c, dir, "vm", 0, d->id, vm);
	plant(&c, dir, "device", 0, d->id, "");
	plant(&c, dir, "data", d->id, 0, "");
	plant(&c, vm, "", 0, d->id, "");
	plant(&c, vm, "uuid", 0, d->id, d->uuid);
	plant(&c, vm, "name", 0, d->id, d->name);
	fire_changes(&changes);
	fire("@introduceDomain", false, NULL);
	return 0;
}

/* The toolstack removes the domain's own nodes, xenstored those that it owned elsewhere. */
void xs_domain_release(uint32_t id)
{
	struct xs_change_list changes = STAILQ_HEAD_INITIALIZER(changes);
	struct xs_caller c = { .changes = &changes };
	char dir[40];

	fire("@releaseDomain", false, NULL);
	home(dir, id);
	xs_node_rm(&c, dir);
	xs_remove_owned(id, &changes);
	fire_changes(&changes);
}

uint32_t xs_count_nodes(uint32_t domid)
{
	return xs_nodes_owned(domid);
}

void xs_dump(FILE *out)
{
	size_t n;
	char **paths = xs_all_paths(&n);

	for (size_t i = 0; i < n; i++) {
		const struct xs_node *node = xs_peek(paths[i]);
		size_t bytes, at = 0;
		char *text = perms_text(node, &bytes);

		fprintf(out, "%s = \"%.*s\"", paths[i], (int)node->value_bytes,
			(const char *)node->value);
		for (; text && at < bytes; at += strlen(text + at) + 1)
			fprintf(out, " %s", text + at);
		fputc('\n', out);
		free(text);
		free(paths[i]);
	}
	free(paths);
}
