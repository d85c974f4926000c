#include "client/node_meta.h"

#include <stdio.h>
#include <string.h>

#include "client/client_int.h"
#include "client/fingerprint.h"
#include "client/state.h"
#include "client/taskenv.h"
#include "lib/log.h"
#include "proto/error.h"
#include "proto/jsonin.h"

#define META_REQUEST_FIELDS(X, T)                                                        \
	X(T, STR, node_id, "NodeID")                                                     \
	X(T, ANY, meta, "Meta")

OBJECT_DECLARE(meta_request, META_REQUEST_FIELDS);
OBJECT_DEFINE(meta_request, META_REQUEST_FIELDS);

/* ---- maps, sorted by key; a value of NULL takes a key out ---- */

static uint32_t place_of(const struct map *map, const char *key)
{
	uint32_t i = 0;

	while (i < map->n && strcmp(map->at[i].key, key) < 0) {
		i++;
	}
	return i;
}

/* There is room for one more. */
static void put(struct map *map, const char *key, const char *value)
{
	uint32_t i = place_of(map, key);

	if (i == map->n || strcmp(map->at[i].key, key) != 0) {
		memmove(&map->at[i + 1], &map->at[i], (map->n - i) * sizeof(map->at[0]));
		map->n++;
	}
	map->at[i] = (struct pair){key, value};
}

static int copy_wider(const struct map *from, uint32_t more, struct map *out, struct arena *mem)
{
	*out = (struct map){arena_alloc(mem, (from->n + (size_t)more + 1) * sizeof(out->at[0])), 0};
	if (out->at == NULL) {
		return ERR_NOMEM;
	}
	for (uint32_t i = 0; i < from->n; i++) {
		put(out, from->at[i].key, from->at[i].value);
	}
	return 0;
}

int node_meta_merge(const struct map *fixed, const struct map *over, struct map *out, struct arena *mem)
{
	uint32_t kept = 0;
	uint32_t i;

	if (copy_wider(fixed, over->n, out, mem) != 0) {
		return ERR_NOMEM;
	}
	for (i = 0; i < over->n; i++) {
		put(out, over->at[i].key, over->at[i].value);
	}
	for (i = 0; i < out->n; i++) {
		if (out->at[i].value != NULL) {
			out->at[kept++] = out->at[i];
		}
	}
	out->n = kept;
	return 0;
}

/* ---- as text ---- */

/* Keys are parts of names that job files refer to, ${meta.rack}. */
static const char *key_fault(const char *key)
{
	const char *p;

	if (key[0] == '\0') {
		return "metadata keys must not be empty";
	}
	for (p = key; *p != '\0'; p++) {
		if ((unsigned char)*p <= ' ' || *p == '{' || *p == '}' || *p == '"' || *p == 0x7f) {
			return "metadata keys must not have spaces, quotes or braces";
		}
	}
	return p - key > NODE_META_KEY_MAX ? "a metadata key is longer than 256 bytes" : NULL;
}

static int take_member(struct jsonin *in, struct map *out, const char **why)
{
	struct map wider;
	const char *value = NULL;
	const char *fault;
	const char *key;

	if (jsonin_str(in, &key) != 0 || !jsonin_take(in, ':') ||
	    (!jsonin_word(in, "null") && jsonin_str(in, &value) != 0)) {
		*why = "Meta must be an object of strings and nulls";
		return ERR_INVALID;
	}
	fault = key_fault(key);
	if (fault != NULL) {
		*why = fault;
		return ERR_INVALID;
	}
	if (out->n % 64 == 0) {
		if (copy_wider(out, 64, &wider, in->mem) != 0) {
			return ERR_NOMEM;
		}
		*out = wider;
	}
	put(out, key, value);
	if (out->n > NODE_META_KEYS_MAX) {
		*why = "there are more than 1024 keys of dynamic metadata";
		return ERR_INVALID;
	}
	return 0;
}

int node_meta_parse(const char *json, size_t len, struct map *out, const char **why, struct arena *mem)
{
	struct fault fault = {"", ""};
	struct map made;
	struct jsonin in;
	bool more = false;
	int rv;

	*why = "Meta must be an object of strings and nulls";
	if (copy_wider(out, 64, &made, mem) != 0) {
		return ERR_NOMEM;
	}
	jsonin_init(&in, json, len, mem, &fault);
	rv = jsonin_open(&in, '{', &more) != 0 ? ERR_INVALID : 0;
	while (rv == 0 && more) {
		rv = take_member(&in, &made, why);
		if (rv == 0 && jsonin_next(&in, '{', &more) != 0) {
			rv = ERR_INVALID;
		}
	}
	if (rv == 0) {
		*out = made;
	}
	return rv;
}

static void put_map(struct buf *out, const struct map *map)
{
	uint32_t i;

	buf_str(out, "{");
	for (i = 0; i < map->n; i++) {
		buf_str(out, i > 0 ? "," : "");
		json_put_str(out, map->at[i].key, strlen(map->at[i].key));
		buf_str(out, ":");
		if (map->at[i].value == NULL) {
			buf_str(out, "null");
		} else {
			json_put_str(out, map->at[i].value, strlen(map->at[i].value));
		}
	}
	buf_str(out, "}");
}

/* ---- the file ---- */

static bool file_path(const struct client *c, const char *tail, char path[4096])
{
	return snprintf(path, 4096, "%s/node-meta%s", c->config->state_dir, tail) < 4096;
}

static int save(const struct client *c, const struct map *over)
{
	char path[4096];
	struct buf text = {0};
	int rc;

	put_map(&text, over);
	rc = text.failed ? ERR_NOMEM : !file_path(c, "", path) ? ERR_IO :
		state_replace_file(path, text.at, text.len, text.len, false);
	if (rc != 0) {
		log_error("client", "the node's metadata cannot be kept in %s: %s", c->config->state_dir, error_text(rc));
	}
	buf_close(&text);
	return rc == 0 ? 0 : ERR_IO;
}

static int load(struct client *c)
{
	char *text = arena_alloc(&c->node_mem, NODE_META_TEXT_MAX + 1);
	char path[4096];
	const char *why;
	size_t n;
	FILE *f;
	int rv;

	if (text == NULL) {
		return ERR_NOMEM;
	}
	f = file_path(c, "", path) ? fopen(path, "re") : NULL;
	if (f == NULL) {
		return 0;
	}
	n = fread(text, 1, NODE_META_TEXT_MAX, f);
	text[n] = '\0';
	fclose(f);
	rv = node_meta_parse(text, n, &c->meta_over, &why, &c->node_mem);
	if (rv == ERR_INVALID) {
		char aside[4096];

		log_warn("client", "%s is damaged, and set aside: %s", path, why);
		if (file_path(c, ".damaged", aside)) {
			rename(path, aside);
		}
		rv = 0;
	}
	return rv;
}

/* ---- the node ---- */

/* What follows from it: the node's class, and what tasks may refer to. */
static int lay_over(struct client *c, const struct map *over)
{
	struct map *vars = arena_alloc(&c->node_mem, sizeof(*vars));
	struct node node = c->node;
	const char *class_;

	if (vars == NULL || node_meta_merge(&c->config->meta, over, &node.meta, &c->node_mem) != 0) {
		return ERR_NOMEM;
	}
	class_ = fingerprint_class(&node, &c->node_mem);
	if (class_ == NULL || node_vars_make(&node, c->config->region, vars, &c->node_mem) != 0) {
		return ERR_NOMEM;
	}
	c->meta_over = *over;
	c->node.meta = node.meta;
	c->node.computed_class = class_;
	c->node_vars = vars;
	return 0;
}

int node_meta_open(struct client *c)
{
	struct map over;
	int rv = load(c);

	over = c->meta_over;
	return rv != 0 ? rv : lay_over(c, &over);
}

/* ---- requests ---- */

void node_meta_answer(struct client *c, struct http_request *req)
{
	struct http_response res = {.status = 200};
	struct map fixed;

	if (copy_wider(&c->config->meta, 0, &fixed, &req->mem) != 0) {
		http_answer_error(req, ERR_NOMEM);
		return;
	}
	buf_str(&res.body, "{\"Meta\":");
	put_map(&res.body, &c->node.meta);
	buf_str(&res.body, ",\"Dynamic\":");
	put_map(&res.body, &c->meta_over);
	buf_str(&res.body, ",\"Static\":");
	put_map(&res.body, &fixed);
	buf_str(&res.body, "}");
	http_answer(req, &res);
}

static bool same(const struct map *a, const struct map *b)
{
	struct buf x = {0};
	struct buf y = {0};
	bool equal;

	put_map(&x, a);
	put_map(&y, b);
	equal = !x.failed && !y.failed && x.len == y.len && (x.len == 0 || memcmp(x.at, y.at, x.len) == 0);
	buf_close(&x);
	buf_close(&y);
	return equal;
}

/* The change as a request says it, laid over what there is, in the request's memory. 0, or answered. */
static int asked_change(struct client *c, struct http_request *req, struct map *over)
{
	struct meta_request body;
	struct fault f = {"", ""};
	const char *why;

	if (req->body_len > NODE_META_TEXT_MAX / 2) {
		http_answer_text(req, 413, "the metadata is larger than %d bytes", NODE_META_TEXT_MAX / 2);
		return ERR_TOOBIG;
	}
	if (req->body_len == 0) {
		http_answer_text(req, 400, "Request body is empty");
		return ERR_INVALID;
	}
	if (json_decode(&meta_request_type, &body, req->body, req->body_len, &req->mem, &f) != 0) {
		http_answer_text(req, 400, "%s%s%s", f.path, f.path[0] != '\0' ? ": " : "", f.why);
		return ERR_INVALID;
	}
	if (body.meta[0] == '\0' || strcmp(body.meta, "{}") == 0) {
		http_answer_text(req, 400, "missing required Meta object");
		return ERR_INVALID;
	}
	*over = c->meta_over;
	if (node_meta_parse(body.meta, strlen(body.meta), over, &why, &req->mem) != 0) {
		http_answer_text(req, 400, "%s", why);
		return ERR_INVALID;
	}
	return 0;
}

/* Kept on disk first, then in memory of the node. 0, or answered. */
static int change(struct client *c, struct http_request *req, const struct map *asked)
{
	struct map over = {0};
	const char *why;
	struct buf text = {0};
	int rv;

	put_map(&text, asked);
	if (text.len > NODE_META_TEXT_MAX || c->node_mem.total > NODE_META_MEMORY_MAX) {
		http_answer_text(req, 500, text.len > NODE_META_TEXT_MAX
		                                   ? "the node's dynamic metadata is too large"
		                                   : "the node's metadata has changed too often since its agent started");
		buf_close(&text);
		return ERR_TOOBIG;
	}
	rv = text.failed ? ERR_NOMEM : 0;
	if (rv == 0) {
		buf_text(&text);
		rv = node_meta_parse(text.at, text.len, &over, &why, &c->node_mem); /* Copied into our memory. */
	}
	buf_close(&text);
	rv = rv != 0 ? rv : save(c, &over);
	rv = rv != 0 ? rv : lay_over(c, &over);
	if (rv != 0) {
		http_answer_error(req, rv);
	}
	return rv;
}

void node_meta_apply(struct client *c, struct http_request *req)
{
	struct map over;

	if (asked_change(c, req, &over) != 0) {
		return;
	}
	if (!same(&over, &c->meta_over)) {
		if (change(c, req, &over) != 0) {
			return;
		}
		session_register_again(c);
	}
	node_meta_answer(c, req);
}
